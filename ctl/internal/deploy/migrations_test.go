package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// there is a database with two tables.
var there = []column{
	{"posts", "id", "bigint unsigned", false}, {"posts", "title", "varchar(200)", false}, {"posts", "body", "text", false},
	{"posts", "user_id", "bigint unsigned", true}, {"posts", "price", "decimal(10,2)", true},
	{"users", "id", "bigint unsigned", false}, {"users", "name", "varchar(50)", false},
}

func objectionsTo(file, sql string) []string {
	a := ahead{Columns: there}
	a.Migrations = append(a.Migrations, struct{ File, SQL string }{file, sql})
	return a.objections()
}

func TestAMigrationThatTakesSomethingAwayIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sql, says string }{
		{"DROP TABLE posts", "drops the table posts"},
		{"drop table if exists `foobar`.`posts`, users", "drops the table posts"},
		{"DROP DATABASE foobar", "drops the database"},
		{"TRUNCATE TABLE posts", "empties the table posts"},
		{"RENAME TABLE posts TO articles", "renames the table posts"},
		{"ALTER TABLE posts RENAME TO articles", "renames the table posts"},
		{"ALTER TABLE posts RENAME articles", "renames the table posts"},
		{"ALTER TABLE posts DROP COLUMN title", "drops the column posts.title"},
		{"alter table foobar.posts drop `title`", "drops the column posts.title"},
		{"ALTER TABLE `foobar`.`posts` ADD COLUMN a int NULL, DROP COLUMN title, ALGORITHM=INSTANT", "drops the column posts.title"},
		{"/* not this: */ ALTER /* nor -- this */ TABLE posts\n DROP -- or this\n COLUMN title;", "drops the column posts.title"},
		{"/*!50000 ALTER TABLE posts DROP COLUMN title */", "drops the column posts.title"},
		{"SET @ddl = IF(1, 'DO 0', 'ALTER TABLE posts DROP COLUMN title'); PREPARE ddl FROM @ddl", "drops the column posts.title"},
		{"ALTER TABLE posts RENAME COLUMN title TO heading", "renames the column posts.title"},
		{"ALTER TABLE posts CHANGE title heading varchar(200) NOT NULL", "renames the column posts.title"},
		{"ALTER TABLE posts CHANGE COLUMN title title varchar(100) NOT NULL", "may not fit into varchar(100)"},
		{"ALTER TABLE posts MODIFY title varchar(199) NOT NULL", "from varchar(200)"},
		{"ALTER TABLE posts MODIFY user_id bigint unsigned NOT NULL", "no NULL any more"},
		{"ALTER TABLE posts MODIFY user_id bigint NULL", "its sign changes"},
		{"ALTER TABLE posts MODIFY id int unsigned NOT NULL", "may not fit into int"},
		{"ALTER TABLE posts MODIFY body varchar(200) NOT NULL", "may not fit"},
		{"ALTER TABLE posts MODIFY price decimal(8,2) NULL", "may not fit"},
		{"ALTER TABLE posts MODIFY title tinytext NOT NULL", "may not fit"},
		{"ALTER TABLE posts ALTER COLUMN title DROP DEFAULT", "drops the default"},
		{"ALTER TABLE posts ADD COLUMN slug varchar(20) NOT NULL", "must be filled in"},
		{"ALTER TABLE posts ADD (slug varchar(20) NULL, kind int NOT NULL)", "adds the column posts.kind"},
		{"SELECT 1; ALTER TABLE users DROP name", "drops the column users.name"},
		{"-- +goose Up\nALTER TABLE users DROP name;\n-- +goose Down\nSELECT 1", "00011.sql drops"},
	} {
		if got := strings.Join(objectionsTo("00011.sql", test.sql), "\n"); !strings.Contains(got, test.says) {
			t.Errorf("%s: %q, want %q", test.sql, got, test.says)
		}
	}
}

func TestAMigrationThatTheRunningReleaseSurvivesIsNot(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"CREATE TABLE IF NOT EXISTS tags (id int NOT NULL, post_id bigint)",
		"ALTER TABLE posts ADD COLUMN slug varchar(20) NULL, ALGORITHM=INSTANT",
		"ALTER TABLE posts ADD slug varchar(20) NOT NULL DEFAULT ''",
		"ALTER TABLE posts ADD COLUMN n int AS (id) STORED NOT NULL",
		"ALTER TABLE posts DROP INDEX words, DROP KEY k, DROP FOREIGN KEY f, DROP CONSTRAINT c, DROP PRIMARY KEY, DROP CHECK d",
		"ALTER TABLE posts RENAME INDEX a TO b, RENAME KEY c TO d",
		"ALTER TABLE posts ADD KEY user_id (user_id, title), ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE",
		"ALTER TABLE posts MODIFY COLUMN body mediumtext NOT NULL, LOCK = SHARED",
		"ALTER TABLE posts MODIFY title varchar(300) NULL",
		"ALTER TABLE posts CHANGE title title text NOT NULL",
		"ALTER TABLE posts MODIFY price decimal(10,2) NULL",
		"INSERT INTO posts (title, body) VALUES ('Drop it', 'DROP TABLE posts is a sentence; ALTER it \\' too')",
		"UPDATE posts SET title = 'x' -- DROP TABLE posts\n WHERE id = 1",
		"DROP TABLE IF EXISTS never_there",
		"ALTER TABLE posts DROP COLUMN never_there",
		"ALTER TABLE never_there DROP COLUMN title",
		"DROP TEMPORARY TABLE posts",
		"DROP PROCEDURE posts",
		"SELECT 1;\n-- +goose Down\nDROP TABLE posts",
		"-- +goose Up\n-- contract: nothing has read it since the release of 2026-11-20\nALTER TABLE posts DROP COLUMN title",
		"",
	} {
		if got := objectionsTo("00011.sql", sql); len(got) > 0 {
			t.Errorf("%s: %q", sql, got)
		}
	}
}

// The repository's own, each on top of the tables above, which are theirs.
func TestTheMigrationsThatThereArePass(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../services/app/mysql/migrations/*.sql")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := objectionsTo(filepath.Base(file), string(text)); len(got) > 0 {
			t.Errorf("%q", got)
		}
	}
}

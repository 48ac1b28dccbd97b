package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oneserver/ctl/internal/migration"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/throwaway"
)

// tablesBefore creates the tables that each migration of the test starts from.
const tablesBefore = `
CREATE TABLE users (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email varchar(254) COLLATE utf8mb4_0900_as_ci NOT NULL,
  name varchar(50) NOT NULL,
  UNIQUE KEY email (email));
CREATE TABLE posts (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  title varchar(200) NOT NULL DEFAULT 'Untitled',
  body text NOT NULL,
  user_id bigint unsigned NULL,
  price decimal(10,2) NULL,
  state enum('draft','shown') NOT NULL DEFAULT 'draft',
  token varbinary(32) NULL,
  at datetime(3) NULL,
  likes int NOT NULL DEFAULT 0,
  twice bigint AS (likes * 2) VIRTUAL,
  KEY title (title),
  KEY at_likes (at, likes),
  FULLTEXT KEY words (title, body),
  CONSTRAINT posts_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT priced CHECK (price >= 0));
CREATE TABLE tags (name varchar(20) NOT NULL PRIMARY KEY, note varchar(20) NULL);
INSERT INTO users (email, name) VALUES ('ada@example.com', 'Ada'), ('bob@example.com', 'Bob');
INSERT INTO posts (title, body, user_id, price, token, at, likes) VALUES
  ('One', 'The first', 1, 1.50, x'00ff', '2026-01-02 03:04:05.678', 1), ('Two', 'The second\n\\ "of" it''s', 2, NULL, NULL, NULL, 2), ('Three', '三', NULL, NULL, x'', NULL, 3);
`

func TestLongAMigrationIsJudgedByWhatItDoes(t *testing.T) {
	server := migrationServer(t)
	for i, test := range []struct {
		sql, says string // empty if the running release survives it
	}{
		// removed
		{"DROP TABLE tags", "drops the table tags"},
		{"drop table if exists tags, never_there", "drops the table tags"},
		{"DROP DATABASE {}; CREATE DATABASE {}", "drops all tables"},
		{"TRUNCATE TABLE posts", "empties the table posts"},
		{"DELETE FROM posts WHERE id = 1", "removes 1 of 3 rows of posts"},
		{"DROP TABLE tags; CREATE TABLE tags (name varchar(20) NOT NULL PRIMARY KEY, note varchar(20) NULL)", ""}, // it was empty
		{"ALTER TABLE posts DROP COLUMN body, DROP KEY words, ADD FULLTEXT words (title)", "drops the column posts.body"},
		{"alter table {}.posts drop `price`, drop check priced", "drops the column posts.price"},
		{"ALTER TABLE `{}`.`posts` ADD COLUMN a int NULL, DROP COLUMN likes, DROP COLUMN twice, DROP KEY at_likes", "drops the column posts.likes"},
		{"/* not this: */ ALTER /* nor -- this */ TABLE tags\n DROP -- or this\n COLUMN note;", "drops the column tags.note"},
		{"/*!50000 ALTER TABLE tags DROP COLUMN note */", "drops the column tags.note"},
		{"SET @ddl = IF(1, 'ALTER TABLE tags DROP COLUMN note', 'DO 0'); PREPARE ddl FROM @ddl; EXECUTE ddl; DEALLOCATE PREPARE ddl", "drops the column tags.note"},
		{"SET @ddl = CONCAT('ALTER TABLE tags DR', 'OP COLUMN note'); PREPARE ddl FROM @ddl; EXECUTE ddl; DEALLOCATE PREPARE ddl", "drops the column tags.note"},
		{"SET @ddl = IF(0, 'ALTER TABLE tags DROP COLUMN note', 'DO 0'); PREPARE ddl FROM @ddl; EXECUTE ddl; DEALLOCATE PREPARE ddl", ""},
		{"SELECT 1; ALTER TABLE tags DROP note", "drops the column tags.note"},
		{"DROP INDEX words ON posts", "drops the full-text index words of posts"},
		{"ALTER TABLE posts DROP INDEX words, ADD FULLTEXT KEY words (title)", "drops the full-text index words of posts"},
		{"ALTER TABLE posts DROP KEY title", "drops the key title of posts"},
		{"ALTER TABLE posts ALTER INDEX title INVISIBLE", "drops the key title of posts"},
		{"ALTER TABLE users DROP KEY email", "drops the unique key email of users"},
		{"ALTER TABLE tags DROP PRIMARY KEY", "drops the primary key of tags"},
		{"ALTER TABLE posts DROP FOREIGN KEY posts_user", "drops the foreign key posts_user of posts"},
		{"ALTER TABLE posts DROP FOREIGN KEY posts_user, ADD CONSTRAINT other FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL", "drops the foreign key posts_user"},
		{"ALTER TABLE posts DROP CHECK priced", "drops the check priced of posts"},
		{"UPDATE posts SET title = ''", "overwrites what posts.title holds"},
		{"UPDATE posts SET price = NULL", "overwrites what posts.price holds, in at least 1 of 3 rows"},
		{"UPDATE posts SET body = LEFT(body, 5) WHERE id = 1", "overwrites what posts.body holds, in at least 1 of 3 rows"},
		{"UPDATE posts SET title = 'x'", "overwrites what posts.title holds, in at least 2 of 3 rows"},
		// renamed
		{"RENAME TABLE posts TO articles", "renames the table posts to articles"},
		{"ALTER TABLE posts RENAME articles", "renames the table posts to articles"},
		{"ALTER TABLE posts RENAME COLUMN state TO status", "renames the column posts.state to status"},
		{"ALTER TABLE tags CHANGE note remark varchar(20) NULL", "renames the column tags.note to remark"},
		// made narrower
		{"ALTER TABLE posts CHANGE COLUMN title title varchar(100) NOT NULL DEFAULT 'Untitled'", "may not fit into varchar(100)"},
		{"ALTER TABLE posts MODIFY title varchar(199) NOT NULL DEFAULT 'Untitled'", "from varchar(200)"},
		{"ALTER TABLE posts MODIFY user_id bigint unsigned NOT NULL", "fails"}, // there is a NULL
		{"ALTER TABLE posts MODIFY likes int unsigned NOT NULL DEFAULT 0", "its sign changes"},
		{"ALTER TABLE posts MODIFY likes smallint NOT NULL DEFAULT 0", "may not fit into smallint"},
		{"ALTER TABLE posts DROP KEY words, MODIFY body varchar(200) NOT NULL, ADD FULLTEXT words (title, body)", "may not fit into varchar(200)"},
		{"ALTER TABLE posts MODIFY price decimal(8,2) NULL", "may not fit into decimal(8,2)"},
		{"ALTER TABLE posts MODIFY price decimal(11,3) NULL", ""},
		{"ALTER TABLE posts MODIFY price decimal(10,3) NULL", "may not fit into decimal(10,3)"},
		{"ALTER TABLE tags MODIFY note varchar(20) CHARACTER SET latin1 NULL", "may not fit into the character set latin1"},
		{"ALTER TABLE tags CONVERT TO CHARACTER SET utf8mb3", "may not fit into the character set utf8mb3"},
		{"ALTER TABLE posts MODIFY state enum('shown') NOT NULL DEFAULT 'shown'", "fails"}, // a row has the other value
		{"ALTER TABLE posts MODIFY state enum('shown','draft') NOT NULL DEFAULT 'draft'", "may not fit into enum"},
		{"ALTER TABLE posts MODIFY at datetime NULL", "may not fit into datetime"},
		{"ALTER TABLE posts MODIFY token varbinary(16) NULL", "may not fit into varbinary(16)"},
		{"ALTER TABLE posts MODIFY token binary(32) NULL", "may not fit into binary(32)"},
		{"ALTER TABLE posts DROP COLUMN twice, ADD COLUMN twice bigint AS (likes * 3) VIRTUAL", "it is computed otherwise"},
		{"ALTER TABLE posts ALTER COLUMN state SET INVISIBLE", "SELECT * does not show it"},
		{"ALTER TABLE users ENGINE = MyISAM", "fails"}, // a foreign key refers to it
		{"ALTER TABLE tags ENGINE = MyISAM", "moves the table tags from InnoDB to MyISAM"},
		// newly required
		{"ALTER TABLE tags MODIFY note varchar(20) NOT NULL DEFAULT ''", "no NULL any more"},
		{"ALTER TABLE posts ALTER COLUMN title DROP DEFAULT", "it drops the default"},
		{"ALTER TABLE tags ALTER COLUMN note DROP DEFAULT", "it drops the default"},
		{"ALTER TABLE posts ALTER COLUMN state SET DEFAULT 'shown'", `it drops the default "draft"`},
		{"ALTER TABLE users MODIFY id bigint unsigned NOT NULL", "fails"}, // a foreign key refers to it
		{"ALTER TABLE posts MODIFY id bigint unsigned NOT NULL", "it drops the default"},
		{"ALTER TABLE posts ADD COLUMN slug varchar(20) NOT NULL", "adds the column posts.slug, which must be filled in"},
		{"ALTER TABLE posts ADD (slug varchar(20) NULL, kind int NOT NULL)", "adds the column posts.kind"},
		{"ALTER TABLE posts ADD CONSTRAINT short CHECK (LENGTH(title) < 50)", "checks what is written into posts by short"},
		{"ALTER TABLE tags ADD COLUMN n int NULL, ADD CONSTRAINT few CHECK (n < 50)", ""},
		{"ALTER TABLE users ADD KEY name (name); ALTER TABLE tags ADD CONSTRAINT owner FOREIGN KEY (note) REFERENCES users (name)", "fails"}, // not unique
		{"ALTER TABLE posts ADD COLUMN editor bigint unsigned NULL, ADD CONSTRAINT edited FOREIGN KEY (editor) REFERENCES users (id) ON DELETE SET NULL", ""},
		{"CREATE TABLE kinds (state enum('draft','shown') NOT NULL PRIMARY KEY); INSERT INTO kinds VALUES ('draft'); ALTER TABLE posts ADD CONSTRAINT kind FOREIGN KEY (state) REFERENCES kinds (state)", "ties posts.state to another table by the foreign key kind"},
		// newly unique
		{"ALTER TABLE posts ADD UNIQUE (title)", "makes title of posts unique by the unique key title_2"},
		{"ALTER TABLE posts ADD UNIQUE both_of_them (user_id, title)", "makes user_id, title of posts unique"},
		{"CREATE UNIQUE INDEX lower ON posts ((LOWER(title)))", "of posts unique by the unique key lower"},
		{"ALTER TABLE users DROP KEY email, ADD UNIQUE KEY email (email(20))", "unique by the unique key email"},
		{"ALTER TABLE users MODIFY email varchar(254) COLLATE utf8mb4_0900_ai_ci NOT NULL", "makes email of users unique"},
		{"ALTER TABLE users ADD UNIQUE (email, name)", ""}, // as the email already is
		{"ALTER TABLE posts ADD COLUMN slug varchar(20) NULL, ADD UNIQUE (slug)", ""},
		{"ALTER TABLE posts ADD COLUMN n int NOT NULL DEFAULT 0, ADD COLUMN slug varchar(20) NULL, ADD UNIQUE (n, slug)", ""},
		{"INSERT INTO posts (title, body) VALUES ('One', ''); ALTER TABLE posts ADD UNIQUE (title)", "fails"},
		// failing
		{"ALTER TABLE posts DROP COLUMN never_there", "fails"},
		{"DROP PROCEDURE posts", "fails"},
		// harmless to the running release
		{"CREATE TABLE IF NOT EXISTS labels (id int NOT NULL, post_id bigint)", ""},
		{"ALTER TABLE posts ADD COLUMN slug varchar(20) NULL", ""},
		{"ALTER TABLE posts ADD slug varchar(20) NOT NULL DEFAULT ''", ""},
		{"ALTER TABLE posts ADD COLUMN n int AS (likes) STORED NOT NULL", ""},
		{"ALTER TABLE posts RENAME INDEX title TO by_title", ""},
		{"ALTER TABLE posts DROP KEY title, ADD KEY longer (title, likes)", ""},
		{"ALTER TABLE posts ADD KEY body_begin (body(20))", ""},
		{"ALTER TABLE tags MODIFY note varchar(300) NULL", ""},
		{"ALTER TABLE tags MODIFY note text NULL", ""},
		{"ALTER TABLE posts MODIFY COLUMN body mediumtext NOT NULL, LOCK = SHARED", ""},
		{"ALTER TABLE posts MODIFY title varchar(300) NULL DEFAULT 'Untitled'", ""},
		{"ALTER TABLE posts MODIFY price decimal(10,2) NULL", ""},
		{"ALTER TABLE posts MODIFY likes bigint NOT NULL DEFAULT 0", ""},
		{"ALTER TABLE posts MODIFY state enum('draft','shown','gone') NOT NULL DEFAULT 'draft'", ""},
		{"ALTER TABLE posts MODIFY at datetime(6) NULL, MODIFY token varbinary(64) NULL", ""},
		{"INSERT INTO posts (title, body) VALUES ('Drop it', 'DROP TABLE posts is a sentence; ALTER it \\' too')", ""},
		{"UPDATE posts SET title = 'x' -- DROP TABLE posts\n WHERE id = 1", ""},
		{"UPDATE posts SET at = NOW() WHERE at IS NULL", ""},
		{"DROP TABLE IF EXISTS never_there", ""},
		{"CREATE TEMPORARY TABLE later (i int); DROP TEMPORARY TABLE later", ""},
		{"DO 0", ""},
	} {
		t.Run(test.sql, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("case_%d", i)
			before := tablesOf(t, server, name)
			_, err := server.SQL(t.Context(), "USE "+name+";\n"+strings.ReplaceAll(test.sql, "{}", name)+"\n;")
			after, failed := migration.Read(t.Context(), server, name)
			if failed != nil {
				t.Fatal(failed)
			}
			got := migration.Compare(before, after)
			if err != nil {
				got = append(got, "fails: "+err.Error())
			}
			if said := strings.Join(got, "\n"); test.says == "" && said != "" || !strings.Contains(said, test.says) {
				t.Errorf("it %q, want %q", got, test.says)
			} else {
				t.Logf("it %q", got)
			}
		})
	}
}

// The repository's own migrations pass, one after another. Only rebuilds of tables are not detected here, since there are
// few rows.
func TestLongTheMigrationsThatThereArePass(t *testing.T) {
	server := migrationServer(t)
	files, err := filepath.Glob(filepath.Join(root, "services/app/mysql/migrations/*.sql"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	if _, err := server.SQL(t.Context(), "CREATE DATABASE foobar"); err != nil {
		t.Fatal(err)
	}
	var before migration.Schema
	for _, file := range files {
		if !strings.Contains(file, "00009_") { // it came with the migration before it, whose column no other release knew
			if before, err = migration.Read(t.Context(), server, "foobar"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := server.SQL(t.Context(), "USE foobar;\n"+read(t, file)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		after, err := migration.Read(t.Context(), server, "foobar")
		if err != nil {
			t.Fatal(err)
		}
		if got := migration.Compare(before, after); len(got) > 0 {
			t.Errorf("%s %q", file, got)
		}
	}
}

func TestLongATableThatIsRebuiltIsTold(t *testing.T) {
	server := migrationServer(t)
	for i, test := range []struct {
		sql  string
		want []string
	}{
		{"ALTER TABLE tags ADD COLUMN a int NULL, ALGORITHM = INSTANT", nil},
		{"ALTER TABLE tags ADD KEY note (note), ALGORITHM = INPLACE, LOCK = NONE", nil},
		{"ALTER TABLE tags MODIFY note varchar(40) NULL", nil},
		{"ALTER TABLE tags MODIFY note varchar(300) NULL", []string{"tags"}}, // its length then takes two bytes
		{"ALTER TABLE tags FORCE, ALGORITHM = INPLACE", []string{"tags"}},
		{"ALTER TABLE posts ADD COLUMN a int NULL", []string{"posts"}}, // it has a full-text index
		{"OPTIMIZE TABLE users, tags", []string{"tags", "users"}},
		{"CREATE TABLE more (i int)", nil},
	} {
		name := fmt.Sprintf("rebuilt_%d", i)
		before := tablesOf(t, server, name)
		if _, err := server.SQL(t.Context(), "USE "+name+";\n"+test.sql); err != nil {
			t.Fatalf("%s: %v", test.sql, err)
		}
		after, err := migration.Read(t.Context(), server, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := migration.Rebuilt(before, after); !slices.Equal(got, test.want) {
			t.Errorf("%s rebuilds %q, want %q", test.sql, got, test.want)
		}
	}
}

// migrationServer starts a MySQL server that lasts as long as the test.
func migrationServer(t *testing.T) *throwaway.Server {
	t.Helper()
	server, err := throwaway.Start(t.Context(), stack.New(root, site.env...), "migration")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// tablesOf creates a database with the tables that exist before a migration.
func tablesOf(t *testing.T, server *throwaway.Server, name string) migration.Schema {
	t.Helper()
	if _, err := server.SQL(t.Context(), "CREATE DATABASE "+name+"; USE "+name+";"+tablesBefore); err != nil {
		t.Fatal(err)
	}
	before, err := migration.Read(t.Context(), server, name)
	if err != nil {
		t.Fatal(err)
	}
	return before
}

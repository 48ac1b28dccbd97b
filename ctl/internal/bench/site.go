package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/stack"
)

const (
	project = "oneserver-bench"
	domain  = "foobar.com"
)

// site is the copy of the stack that is measured.
type site struct {
	*stack.Stack
	dir string // holds what the copy mounts besides the repository's files
}

// describe describes the copy and starts nothing.
func describe(of *stack.Stack) (*site, error) {
	dir, err := os.MkdirTemp("", project)
	if err != nil {
		return nil, err
	}
	s := &site{of.Copy(project, "ctl/internal/bench/compose.yaml", "SUBNET=172.28.7", "BENCH_DIR="+dir), dir}
	if err := os.Chmod(dir, 0o755); err != nil { // Nginx reads it as another user
		return nil, err
	}
	return s, os.CopyFS(filepath.Join(dir, "site"), os.DirFS(filepath.Join(s.Dir, "services/web")))
}

// writeStatic adds a file to those that web serves.
func (s *site) writeStatic(name string, content []byte) error {
	return os.WriteFile(filepath.Join(s.dir, "site", name), content, 0o644)
}

// start starts what a page of posts needs, and what it is compared with. It waits only for the migrations: Compose does not
// wait for a service whose health check is off.
func (s *site) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	_, err := s.Compose(ctx, "up", "--detach", "app", "web", "bare", "web-bare", "dial", "web-dial", "certs", "web-tls")
	return err
}

// sql runs statements in a session that writes no binary log.
func (s *site) sql(ctx context.Context, statements string) error {
	db := s.Database()
	db.Schema, db.Limit = "foobar", 5*time.Minute
	_, err := db.SQL(ctx, "SET sql_log_bin = 0, foreign_key_checks = 0, unique_checks = 0, cte_max_recursion_depth = 1000000;\n"+statements)
	return err
}

// authors is how many authors have written the posts.
const authors = 1_000

// fill makes the two tables of posts and puts the large one in place. Each page of 20 has the same 20 text lengths, so pages
// differ only in their position. The index for searches is left out: building it takes many times as long as everything
// else, and a page does not read it.
func (s *site) fill(ctx context.Context, rows int, progress func(done int)) error {
	// The variant that opens a connection for each request leaves connections behind faster than the server closes them. It
	// gets more connections here than app does, so that its rate is measured rather than how soon it is refused.
	if err := s.sql(ctx, fmt.Sprintf(`
SET GLOBAL max_connections = 1000;
INSERT INTO users (id, email, name, password_hash, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT i, CONCAT('author', i, '@example.com'), CONCAT('Author ', LPAD(i, 4, '0')), '', UTC_TIMESTAMP(6) FROM n;
DROP TABLE post_search;
CREATE TABLE posts_large LIKE posts;
ALTER TABLE posts_large DROP KEY words, DROP KEY user_id;
CREATE TABLE posts_small LIKE posts_large;
`, authors)); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	if err := s.insert(ctx, "posts_small", 0, smallRows); err != nil {
		return err
	}
	const step = 250_000
	for done := 0; done < rows; done += step {
		progress(done)
		if err := s.insert(ctx, "posts_large", done, min(step, rows-done)); err != nil {
			return err
		}
	}
	progress(rows)
	if err := s.sql(ctx, `
ALTER TABLE posts_small ADD KEY user_id (user_id);
ALTER TABLE posts_large ADD KEY user_id (user_id);
ANALYZE TABLE posts_small, posts_large;
RENAME TABLE posts TO posts_original, posts_large TO posts;
`); err != nil {
		return fmt.Errorf("put the tables in place: %w", err)
	}
	return nil
}

func (s *site) insert(ctx context.Context, table string, after, count int) error {
	err := s.sql(ctx, strings.NewReplacer("$table", table, "$after", strconv.Itoa(after), "$count", strconv.Itoa(count), "$authors", strconv.Itoa(authors)).Replace(`
INSERT INTO $table (id, title, body, created_at, user_id)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $count)
SELECT $after + i, CONCAT('Post ', LPAD($after + i, 8, '0')),
  LEFT(REPEAT('What is written here is as long as what people write, and means as much. ', 9), 30 + 30 * (i % 20)),
  TIMESTAMP'2020-01-01 00:00:00' + INTERVAL $after + i SECOND, 1 + i % $authors
FROM n;`))
	if err != nil {
		return fmt.Errorf("fill %s: %w", table, err)
	}
	return nil
}

// swap puts the small or the large table in place.
func (s *site) swap(ctx context.Context, small bool) error {
	out, in := "posts_small", "posts_large"
	if small {
		out, in = in, out
	}
	return s.sql(ctx, "RENAME TABLE posts TO "+out+", "+in+" TO posts;")
}

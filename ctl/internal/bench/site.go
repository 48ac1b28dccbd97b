package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
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

// describe returns a description of the copy without starting it.
func describe(of *stack.Stack) (*site, error) {
	dir, err := os.MkdirTemp("", project)
	if err != nil {
		return nil, err
	}
	copied, err := of.Copy(project, "ctl/internal/bench/compose.yaml", "SUBNET=172.28.7", "BENCH_DIR="+dir)
	if err != nil {
		return nil, err
	}
	s := &site{copied, dir}
	if err := os.Chmod(dir, 0o755); err != nil { // Nginx and CoreDNS read it as other users
		return nil, err
	}
	if err := os.CopyFS(filepath.Join(dir, "site"), os.DirFS(filepath.Join(s.Dir, "services/web"))); err != nil {
		return nil, err
	}
	return s, errors.Join(s.writeCompressed("site.js"), s.writeZone())
}

// writeCompressed puts a compressed copy next to a file, for the bare Nginx.
func (s *site) writeCompressed(name string) error {
	content, err := os.ReadFile(filepath.Join(s.dir, "site", name))
	if err != nil {
		return err
	}
	const level = 5 // as gzip_comp_level in nginx.conf
	var compressed bytes.Buffer
	w, err := gzip.NewWriterLevel(&compressed, level)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return s.writeStatic(name+".gz", compressed.Bytes())
}

// writeZone writes the site's zone as outside clients see it, in the form that CoreDNS' own plugin can read.
func (s *site) writeZone() error {
	zone, err := os.ReadFile(s.Path("services/dns/zone/site.zone"))
	if err != nil {
		return err
	}
	const address = "8.8.8.8"
	text := strings.NewReplacer("{$WEB}", address, "{$DNS}", address, "{$SERIAL}", "1").Replace(string(zone))
	folder := filepath.Join(s.dir, "zone")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "site.zone"), []byte(text), 0o644)
}

// writeStatic adds a file to those that web serves.
func (s *site) writeStatic(name string, content []byte) error {
	return os.WriteFile(filepath.Join(s.dir, "site", name), content, 0o644)
}

// start starts the services that serve a page of posts, and those that they are compared with. It waits only for the
// migrations: Compose does not wait for a service whose health check is off.
func (s *site) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	_, err := s.Compose(ctx, "up", "--detach", "app", "web", "bare", "web-bare", "dial", "web-dial", "certs", "web-nginx", "dns", "dns-file")
	return err
}

// sql runs statements in a session that writes no binary log.
func (s *site) sql(ctx context.Context, statements string) error {
	db := s.Database()
	db.Schema, db.Limit = "foobar", 5*time.Minute
	_, err := db.SQL(ctx, "SET sql_log_bin = 0, foreign_key_checks = 0, unique_checks = 0, cte_max_recursion_depth = 1000000;\n"+statements)
	return err
}

// authors is the number of authors who have written the posts.
const authors = 1_000

// fill creates the two tables of posts and puts the large one in place. Each page of 20 has the same 20 text lengths, so
// pages differ only in their position. Only the small table has the indexes for searches: building them takes many times as
// long as everything else, and pages do not use them.
func (s *site) fill(ctx context.Context, rows int, progress func(done int)) error {
	// The variant that opens a connection for each request leaves connections behind faster than the server closes them. It
	// gets more connections here than app does, so that its rate is measured rather than how soon it is refused.
	if err := s.sql(ctx, fmt.Sprintf(`
SET GLOBAL max_connections = 1000;
INSERT INTO users (id, email, name, password_hash, created_at, unbounded)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT i, CONCAT('author', i, '@example.com'), CONCAT('Author ', LPAD(i, 4, '0')), '', UTC_TIMESTAMP(6), 1 FROM n;
CREATE TABLE post_search_small LIKE post_search;
DROP TABLE post_search;
CREATE TABLE posts_small LIKE posts;
CREATE TABLE posts_large LIKE posts;
ALTER TABLE posts_large DROP KEY words, DROP KEY user_id;
`, authors)); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	if err := s.insert(ctx, "posts_small", 0, smallRows); err != nil {
		return err
	}
	if err := s.sql(ctx, "INSERT INTO post_search_small (post_id, words, grams, as_of) SELECT id, CONCAT(title, ' ', body), '', updated_at FROM posts_small"); err != nil {
		return fmt.Errorf("index the small table: %w", err)
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
	if small {
		return s.sql(ctx, "RENAME TABLE posts TO posts_large, posts_small TO posts, post_search_small TO post_search")
	}
	return s.sql(ctx, "RENAME TABLE posts TO posts_small, posts_large TO posts, post_search TO post_search_small")
}

// signedIn is the session cookie of the first author: 43 characters of base64, which encode 32 bytes.
const signedIn = "session=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"

// password is the same for all authors.
const password = "correct horse battery staple"

// letIn gives all authors the password of a user whom the site has registered, and the first author a session.
func (s *site) letIn(ctx context.Context, registered string) error {
	return s.sql(ctx, `
UPDATE users JOIN users AS one ON one.email = '`+registered+`' SET users.password_hash = one.password_hash;
INSERT INTO sessions (token, user_id, created_at, used_at, expires_at)
VALUES (UNHEX(SHA2('01234567890123456789012345678901', 256)), 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 1 DAY);
`)
}

// forget removes what sign-ins and writes leave behind, so that all variants begin with the same data.
func (s *site) forget(ctx context.Context) error {
	return s.sql(ctx, fmt.Sprintf(`
DELETE FROM throttle;
DELETE FROM devices;
DELETE FROM sessions WHERE user_id <> 1;
DELETE FROM idempotency_keys;
DELETE FROM post_search WHERE post_id > %[1]d;
DELETE FROM posts WHERE id > %[1]d;
SET GLOBAL innodb_optimize_fulltext_only = ON; -- each search reads the list of deleted rows until the indexes are tidied
OPTIMIZE NO_WRITE_TO_BINLOG TABLE post_search, posts;
SET GLOBAL innodb_optimize_fulltext_only = OFF;
`, smallRows))
}

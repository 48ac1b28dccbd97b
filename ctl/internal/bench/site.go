package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

const (
	project = "oneserver-bench"
	domain  = "foobar.com"
)

// site is the copy of the stack that is measured.
type site struct {
	cli docker.CLI
	dir string // what it mounts besides the repository's files
}

// describe says what the copy is, and starts nothing. Settings of the machine (.env, exported variables) do not reach it.
func describe(cli docker.CLI) (*site, error) {
	dir, err := os.MkdirTemp("", project)
	if err != nil {
		return nil, err
	}
	s := &site{cli: cli, dir: dir}
	env := cli.Env
	if env == nil {
		env = os.Environ()
	}
	s.cli.Env = append(slices.Clone(env), "COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_PROJECT_NAME="+project,
		"COMPOSE_FILE="+filepath.Join(cli.Dir, "compose.yaml")+string(os.PathListSeparator)+filepath.Join(cli.Dir, "ctl/internal/bench/compose.yaml"),
		"DOMAIN="+domain, "SERVER_IP=8.8.8.8", "BIND=127.0.0.1", "SUBNET=172.28.7", "TRUSTED_PROXIES=", "BENCH_DIR="+dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Nginx reads it as another user
		return nil, err
	}
	return s, os.CopyFS(filepath.Join(dir, "site"), os.DirFS(filepath.Join(cli.Dir, "services/web")))
}

// writeStatic puts a file among those that web serves.
func (s *site) writeStatic(name string, content []byte) error {
	return os.WriteFile(filepath.Join(s.dir, "site", name), content, 0o644)
}

// start starts what a page of posts takes, and what it is compared with. It waits for the migrations only: Compose waits for
// no service whose health check is off.
func (s *site) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	_, err := s.cli.Output(ctx, "compose", "--progress", "quiet", "up", "--detach", "app", "web", "bare", "web-bare", "dial", "web-dial")
	return err
}

// remove takes the copy away with its data, also when the run was interrupted.
func (s *site) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := s.cli.Output(ctx, "compose", "--progress", "quiet", "down", "--volumes", "--remove-orphans", "--timeout", "5")
	return err
}

// containers returns the ids of the copy's running containers by service.
func (s *site) containers(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := s.cli.Output(ctx, "ps", "--no-trunc", "--filter", "label=com.docker.compose.project="+project,
		"--format", `{{.Label "com.docker.compose.service"}} {{.ID}}`)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for line := range strings.Lines(out) {
		service, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		ids[service] = id
	}
	return ids, nil
}

// sql runs statements as root, over the socket inside db, in a session that writes no binary log.
func (s *site) sql(ctx context.Context, statements string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := s.cli.Command(ctx, "compose", "exec", "--no-TTY", "db", "sh", "-c", stack.RootMySQL+" foobar")
	cmd.Stdin = strings.NewReader("SET sql_log_bin = 0, foreign_key_checks = 0, unique_checks = 0, cte_max_recursion_depth = 1000000;\n" + statements)
	_, err := s.cli.OutputOf(cmd)
	return err
}

// authors is how many have written the posts.
const authors = 1_000

// fill makes the two tables of posts and puts the large one in place. Each page of 20 has the same 20 lengths of text,
// so that pages differ in nothing but where they are. What a search reads is left out: it takes many times as long as all
// the rest, and a page does not read it.
func (s *site) fill(ctx context.Context, rows int, progress func(done int)) error {
	// What connects for each request leaves connections behind faster than the server closes them: more than app is
	// given are admitted here, so that its rate is measured and not how soon it is refused.
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

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// insertPosts inserts posts and their search entries as the application does, each post in its own transaction.
func (c *copyOfStack) insertPosts(t *testing.T, title string, count int) {
	t.Helper()
	cmd := c.command(t.Context(), "docker", "compose", "exec", "--no-TTY", "db", "sh", "-c", `MYSQL_PWD="$(cat /run/secrets/mysql_root_password)" exec mysql --user root foobar`)
	cmd.Stdin = strings.NewReader(strings.Repeat("BEGIN; INSERT INTO posts (title, body, created_at) VALUES ('"+title+"', 'Written by a test.', UTC_TIMESTAMP(6)); "+
		"INSERT INTO post_search (post_id, words, grams) VALUES (LAST_INSERT_ID(), '"+title+" Written test', ''); COMMIT;\n", count))
	if _, err := combined(cmd); err != nil {
		t.Fatal(err)
	}
}

// leftBehind returns what is left of the things that a restore creates and removes again: the throwaway server with its
// volumes, the schema and the account.
func (c *copyOfStack) leftBehind(t *testing.T) string {
	t.Helper()
	var left []string
	for _, list := range [][]string{{"ps", "--all", "--format", "{{.Names}}"}, {"volume", "ls", "--quiet"}} {
		out, err := c.output(t.Context(), "docker", append(list, "--filter", "label=oneserver.throwaway="+c.project)...)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, strings.Fields(out)...)
	}
	left = append(left, strings.Fields(c.mustSQL(t, "SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'foobar_restore' UNION SELECT user FROM mysql.user WHERE user = 'restore'"))...)
	return strings.Join(left, " ")
}

// stopAt runs the tool, sends it a signal some time after it has reported a point, and returns what it printed.
func (c *copyOfStack) stopAt(t *testing.T, point string, later time.Duration, signal syscall.Signal, args ...string) (said string, reached bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(), args...)
	cmd.Dir, cmd.Env = root, c.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	cmd.Stderr = &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if strings.Contains(scanner.Text(), point) && !reached {
			reached = true
			time.Sleep(later)
			// as from a terminal or the kernel: all programs that the tool has started get the signal too
			if err := syscall.Kill(-cmd.Process.Pid, signal); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil && reached && later == 0 {
		t.Errorf("at %q: it succeeded nevertheless", point)
	}
	return strings.Join(lines, "\n") + text.String(), reached
}

// nobodyIsAtWork: MySQL has finished or abandoned what a killed command had told it to do, and the command's throwaway
// server has ended.
func nobodyIsAtWork() check {
	return check{"nothing of the killed command is still running", []string{"db"}, func(ctx context.Context, c *copyOfStack) error {
		working, err := c.sql(ctx, "root", "SELECT id, user, command, info FROM information_schema.processlist WHERE user IN ('root', 'restore') AND id <> CONNECTION_ID()")
		if err != nil {
			return err
		}
		apart, err := c.output(ctx, "docker", "ps", "--filter", "label=oneserver.throwaway="+c.project, "--format", "{{.Names}}")
		if err == nil && working+apart != "" {
			err = fmt.Errorf("still running are %q and %q", working, apart)
		}
		return err
	}}
}

// points are the steps that a restore reports, in their order.
var points = []string{"comparing", "looking for", "starting a MySQL", "loading it there", "comparing the rows", "carrying out",
	"checking what", "copying its tables", "comparing the tables in", "putting it in", "restored in", "bringing the tables"}

// A restore that is killed at any point leaves the data either unchanged or restored; the next command removes what the
// killed one has left behind. After Ctrl-C, nothing is left at all.
func TestLongAKilledRestoreLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	site.mustCtl(t, "backup", "--dir", dir)
	machine.empty(t)
	defer func() {
		if err := machine.remove(); err != nil {
			t.Error(err)
		}
	}()
	machine.mustCtl(t, "restore", "--yes", "--dir", dir)
	dir = t.TempDir()
	machine.mustCtl(t, "backup", "--dir", dir)
	machine.insertPosts(t, "Of the log", 300)
	restored := machine.state(t, "foobar")
	moment := machine.mustSQL(t, "SELECT UTC_TIMESTAMP(6)")
	args := []string{"restore", "--yes", "--dir", dir, "--to", moment}
	machine.insertPosts(t, "Too late", 1)
	machine.mustCtl(t, "backup", "--dir", t.TempDir()) // closes the log, so that each restore to the moment takes the same steps

	for i, point := range points {
		// a line says which step begins; the kill comes then, or a moment later, when the step is under way
		later := time.Duration(i%2) * 300 * time.Millisecond
		machine.insertPosts(t, "Before a kill", 1)
		now := machine.state(t, "foobar")
		said, reached := machine.stopAt(t, point, later, syscall.SIGKILL, args...)
		if !reached {
			t.Fatalf("it never says %q:\n%s", point, said)
		}
		newScenario(t, machine).Then(30*time.Second, nobodyIsAtWork())
		got := machine.state(t, "foobar")
		outcome := "as it was"
		switch got {
		case now:
		case restored:
			outcome = "as restored"
		default:
			t.Fatalf("killed %s after %q, the data is neither as before nor as restored:\n%s", later, point, got)
		}
		left := machine.leftBehind(t)
		next := []string{"restore", "--forget"}
		if i%4 > 1 {
			next = []string{"backup", "--dir", filepath.Join(t.TempDir(), "next")}
		}
		machine.mustCtl(t, next...)
		if still := machine.leftBehind(t); still != "" {
			t.Errorf("killed %s after %q: cleaning up has left %s", later, point, still)
		}
		if again := machine.state(t, "foobar"); again != got {
			t.Errorf("cleaning up has changed the data:\n%s", again)
		}
		t.Logf("killed %s after %q: the data is %s; left behind was %q", later, point, outcome, left)
	}
	for _, point := range []string{"loading it there", "copying its tables"} {
		now := machine.state(t, "foobar")
		said, reached := machine.stopAt(t, point, 0, syscall.SIGINT, args...)
		if !reached || !strings.Contains(said, "the site's data is as it was") {
			t.Errorf("Ctrl-C at %q: it says\n%s", point, said)
		}
		if got, left := machine.state(t, "foobar"), machine.leftBehind(t); got != now || left != "" {
			t.Errorf("after Ctrl-C at %q, left behind is %q, and the data is\n%s", point, left, got)
		}
	}
	// From the swap on, Ctrl-C comes too late: a restore goes on to its end, even if its swap has to wait.
	for _, point := range []string{"putting it in", "restored in"} {
		machine.insertPosts(t, "Before Ctrl-C", 1)
		now := machine.state(t, "foobar")
		held := make(chan error, 1)
		go func() { // a transaction that ends 3 s after the swap has begun to wait for it
			_, err := machine.compose(t.Context(), "exec", "--no-TTY", "db", "bash", "-c", `export MYSQL_PWD="$(</run/secrets/mysql_root_password)"
{ echo 'BEGIN; SELECT id FROM foobar.posts LIMIT 1;'
until mysql --user root --batch --skip-column-names -e "SELECT info FROM information_schema.processlist WHERE info LIKE 'RENAME TABLE%'" | grep -q .; do sleep 0.2; done
sleep 3; } | timeout 200 mysql --user root`)
			held <- err
		}()
		said, reached := machine.stopAt(t, point, time.Second, syscall.SIGINT, args...)
		if err := <-held; err != nil {
			t.Error(err)
		}
		got, kept, left := machine.state(t, "foobar"), machine.state(t, "foobar_before"), machine.leftBehind(t)
		if !reached || got != restored || kept != now || left != "" || !strings.Contains(said, "next: make backup") {
			t.Errorf("Ctrl-C at %q: left behind is %q, the data is\n%s\nand that of before\n%s\nand it says\n%s", point, left, got, kept, said)
		}
	}
	machine.mustCtl(t, args...)
	if got := machine.state(t, "foobar"); got != restored {
		t.Errorf("in the end, the restored state is\n%s\nand at that moment it was\n%s", got, restored)
	}
}

const (
	manyRows    = 1_000_000
	logged      = 60_000 // ten minutes at 100 a second
	timesToLoad = 2.5
	slower      = 1.3
)

// large is a copy with a million posts.
var large = newCopy("oneserver-test-large", "18086", "11059", "172.28.10")

// Restoring a million rows to a moment takes a small multiple of the time that loading their dump takes, and visitors hardly
// notice.
func TestLongALargeRestoreIsQuickAndQuiet(t *testing.T) {
	if err := large.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := large.compose(t.Context(), "up", "--detach", "--wait"); err != nil {
		t.Fatalf("%v\n%s", err, large.logs())
	}
	defer func() {
		if err := large.remove(); err != nil {
			t.Error(err)
		}
	}()
	const step = 100_000
	for done := 0; done < manyRows; done += step {
		large.mustSQL(t, fmt.Sprintf(`SET sql_log_bin = 0, unique_checks = 0, cte_max_recursion_depth = 1000000; USE foobar;
INSERT INTO posts (id, title, body, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT 1000 + %d + i, CONCAT('Post ', LPAD(%[2]d + i, 8, '0')),
  LEFT(REPEAT('What is written here is as long as what people write, and means as much. ', 9), 30 + 30 * (i %% 20)),
  TIMESTAMP'2020-01-01 00:00:00' + INTERVAL i SECOND FROM n;
INSERT INTO post_search (post_id, words, grams)
SELECT id, CONCAT(title, ' written here long people write and means much'), '' FROM posts WHERE id > 1000 + %[2]d`, step, done))
	}
	dir := t.TempDir()
	large.mustCtl(t, "backup", "--dir", dir)
	// writing these is not part of the measurement, so it may be fast
	large.mustSQL(t, "SET GLOBAL sync_binlog = 0, innodb_flush_log_at_trx_commit = 2")
	large.insertPosts(t, "Of the log", logged)
	large.mustSQL(t, "SET GLOBAL sync_binlog = 1, innodb_flush_log_at_trx_commit = 1")
	want := large.state(t, "foobar")
	moment := large.mustSQL(t, "SELECT UTC_TIMESTAMP(6)")
	large.insertPosts(t, "Too late", 1)

	// the dump, loaded once
	dump := filepath.Join(backups(t, dir)[0], "foobar.sql.zst")
	large.mustSQL(t, "CREATE DATABASE once")
	begun := time.Now()
	if out, err := large.output(t.Context(), "sh", "-c", `zstd --decompress --stdout "$0" | docker compose exec --no-TTY db sh -c 'MYSQL_PWD="$(cat /run/secrets/mysql_root_password)" exec mysql --user root --init-command="SET SESSION sql_log_bin = 0" once'`, dump); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	once := time.Since(begun)
	large.mustSQL(t, "SET SESSION sql_log_bin = 0; DROP DATABASE once")

	quiet := large.visit(t, 10*time.Second, nil)
	begun = time.Now()
	var took time.Duration
	meanwhile := large.visit(t, time.Hour, func() {
		large.mustCtl(t, "restore", "--yes", "--dir", dir, "--to", moment)
		took = time.Since(begun)
	})
	if got := large.state(t, "foobar"); got != want {
		t.Errorf("the restored state is\n%s\nand it was\n%s", got, want)
	}
	t.Logf("loading the dump once: %.1f s; the restore: %.1f s, %.2f times that. Visitors: median %s before, %s meanwhile; %d of %d failed, slowest %s",
		once.Seconds(), took.Seconds(), took.Seconds()/once.Seconds(), quiet.median(), meanwhile.median(), meanwhile.failed.Load(), len(meanwhile.took), slices.Max(meanwhile.took))
	if took.Seconds() > timesToLoad*once.Seconds() {
		t.Errorf("it takes %.2f times as long as loading the dump, want at most %.1f", took.Seconds()/once.Seconds(), timesToLoad)
	}
	if meanwhile.failed.Load() > 0 {
		t.Errorf("%d requests failed", meanwhile.failed.Load())
	}
	if meanwhile.median() > time.Duration(slower*float64(quiet.median())) {
		t.Errorf("the median goes from %s to %s", quiet.median(), meanwhile.median())
	}
}

type requests struct {
	mu     sync.Mutex
	took   []time.Duration
	failed atomic.Int64
}

func (v *requests) median() time.Duration {
	slices.Sort(v.took)
	return v.took[len(v.took)/2]
}

// visit asks for the newest posts 100 times a second, for a time or until do returns. Each request is sent when it is due,
// whether or not earlier ones have been answered.
func (c *copyOfStack) visit(t *testing.T, most time.Duration, do func()) *requests {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), most)
	defer stop()
	v := &requests{}
	var asking sync.WaitGroup
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			asking.Go(func() {
				begun := time.Now()
				ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
				defer cancel()
				_, err := c.get(ask, "/api/v1/posts?limit=20")
				v.mu.Lock()
				defer v.mu.Unlock()
				v.took = append(v.took, time.Since(begun))
				if err != nil {
					v.failed.Add(1)
					t.Log(err)
				}
			})
		}
	}()
	if do != nil {
		do()
		stop()
	}
	<-ended
	asking.Wait()
	return v
}

// A table with indexes on expressions, whose checksum differs in every copy that MySQL makes, is restored with its rows and
// indexes.
func TestLongAnIndexOnAnExpressionIsRestored(t *testing.T) {
	dir := t.TempDir()
	site.mustSQL(t, `SET NAMES utf8mb4; CREATE TABLE foobar.tagged (id int PRIMARY KEY, name varchar(20), tags json, KEY name ((LOWER(name))), KEY tag ((CAST(tags AS CHAR(20) ARRAY))));
INSERT INTO foobar.tagged VALUES (1, 'Ada', '["a", "b"]'), (2, 'Zoë', '["b", "c"]'), (3, NULL, '[]')`)
	defer site.mustSQL(t, "DROP TABLE foobar.tagged")
	site.mustCtl(t, "backup", "--dir", dir)
	machine.empty(t)
	defer func() {
		if err := machine.remove(); err != nil {
			t.Error(err)
		}
	}()
	machine.mustCtl(t, "restore", "--yes", "--dir", dir)
	for _, find := range []string{
		"SELECT GROUP_CONCAT(id ORDER BY id) FROM foobar.tagged FORCE INDEX (tag) WHERE 'b' MEMBER OF (tags)",
		"SELECT GROUP_CONCAT(id ORDER BY id) FROM foobar.tagged FORCE INDEX (name) WHERE LOWER(name) IN ('ada', 'zoë')",
	} {
		if got := machine.mustSQL(t, "SET NAMES utf8mb4; "+find); got != "1,2" {
			t.Errorf("%s finds %q, want 1,2", find, got)
		}
	}
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// busy keeps a statement that contains SLEEP running in MySQL until the returned function is called.
func (c *copyOfStack) busy(t *testing.T, mark, statement string) (end func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		statement := strings.Replace(statement, "SLEEP", "/* "+mark+" */ SLEEP", 1)
		c.sql(context.WithoutCancel(t.Context()), "root", statement) // it fails, being killed in the end
	}()
	find := "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE '%" + mark + "%'"
	newScenario(t, c).Then(10*time.Second, check{"the statement runs", []string{"db"}, func(ctx context.Context, c *copyOfStack) error {
		out, err := c.sql(ctx, "root", find)
		if err == nil && out == "" {
			err = fmt.Errorf("it is not in the process list")
		}
		return err
	}})
	end = sync.OnceFunc(func() {
		ctx := context.WithoutCancel(t.Context()) // it may be called when the test has ended
		id, err := c.sql(ctx, "root", find)
		if err == nil && id != "" {
			_, err = c.sql(ctx, "root", "KILL "+id)
		}
		if err != nil && !strings.Contains(err.Error(), "Unknown thread id") { // it ended by itself
			t.Error(err)
		}
		<-ended
	})
	t.Cleanup(end)
	return end
}

// A backup finds its position in the binary log without FLUSH TABLES, which would wait for the longest SELECT and make every
// reader wait behind it.
func TestLongABackupBesideALongSelectKeepsNobodyWaiting(t *testing.T) {
	dir := t.TempDir()
	v := newMember(t, site)
	v.write("Before the backup")
	end := site.busy(t, "a long SELECT", "SELECT SLEEP(60) FROM foobar.posts LIMIT 1")

	// each request goes through to app and asks for another page size than the one before
	var slowest time.Duration
	ctx, stop := context.WithCancel(t.Context())
	asked, over := 0, make(chan struct{})
	go func() {
		defer close(over)
		for ; ctx.Err() == nil; asked++ {
			begun := time.Now()
			got := v.ask("GET", fmt.Sprintf("/api/v1/posts?limit=%d", 1+asked%50), nil)
			if got.status != http.StatusOK && got.status != http.StatusTooManyRequests {
				t.Errorf("a reader gets %d %s", got.status, got.body)
			}
			slowest = max(slowest, time.Since(begun))
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	site.mustCtl(t, "backup", "--dir", dir)
	stop()
	<-over
	end()
	t.Logf("%d readers, the slowest waited %s", asked, slowest)
	if asked < 10 || slowest > 2*time.Second {
		t.Errorf("of %d readers during the backup, the slowest waited %s", asked, slowest)
	}
	if all := backups(t, dir); len(all) != 1 {
		t.Errorf("the backups are %q", all)
	}
}

// A backup waits for a transaction that has written, if it ends in time.
func TestLongABackupWaitsForAWriter(t *testing.T) {
	dir := t.TempDir()
	site.busy(t, "a writer", "START TRANSACTION; UPDATE foobar.posts SET title = title LIMIT 1; SELECT SLEEP(8)")
	site.mustCtl(t, "backup", "--dir", dir)
	if still := site.mustSQL(t, "SELECT info FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE '%a writer%'"); still != "" {
		t.Errorf("after the backup, this still runs: %s", still)
	}
	if all := backups(t, dir); len(all) != 1 {
		t.Errorf("the backups are %q", all)
	}
}

// Of two backups at the same time, at least one is made, and one that is refused leaves nothing.
func TestLongABackupThatMeetsAnotherIsMadeOrLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	var both sync.WaitGroup
	results := make([]error, 2)
	for i := range results {
		both.Go(func() {
			_, results[i] = site.ctl(t.Context(), nil, "backup", "--dir", filepath.Join(dir, fmt.Sprint("other", i)))
		})
	}
	both.Wait()
	for i, err := range results {
		if err != nil && !strings.Contains(err.Error(), "another backup") {
			t.Errorf("of two backups at the same time: %v", err)
		}
		if made := backups(t, filepath.Join(dir, fmt.Sprint("other", i))); len(made) != 1 && err == nil || len(made) != 0 && err != nil {
			t.Errorf("a backup that ended with %v left %q", err, made)
		}
	}
	if results[0] != nil && results[1] != nil {
		t.Error("of two backups at the same time, neither was made")
	}
}

// A backup lists by name what it leaves out.
func TestABackupSaysWhatIsNotInIt(t *testing.T) {
	dir := t.TempDir()
	site.mustSQL(t, `SET NAMES utf8mb4; CREATE VIEW foobar.a_view AS SELECT 1; CREATE PROCEDURE foobar.a_procedure() SELECT 1;
CREATE SCHEMA another; CREATE USER somebody@'10.%';
CREATE LIBRARY foobar.a_library LANGUAGE JAVASCRIPT AS 'export function f(n) { return n }'; CREATE TABLE foobar.größe (i int PRIMARY KEY)`)
	defer site.mustSQL(t, "SET NAMES utf8mb4; DROP VIEW foobar.a_view; DROP PROCEDURE foobar.a_procedure; DROP SCHEMA another; DROP USER somebody@'10.%'; DROP LIBRARY foobar.a_library; DROP TABLE foobar.größe")
	said := site.mustCtl(t, "backup", "--dir", dir)
	for _, name := range []string{"not in the backup", "view foobar.a_view", "procedure foobar.a_procedure", "schema another", "account somebody@10.%", "library foobar.a_library"} {
		if !strings.Contains(said, name) {
			t.Errorf("it does not say %q", name)
		}
	}
}

// A table whose copy could not be trusted to be the same is named, and no backup is made.
func TestABackupRefusesATableThatItCannotCopy(t *testing.T) {
	for _, test := range []struct{ name, table, says string }{
		{"in an engine without transactions", "(i int PRIMARY KEY) ENGINE = MyISAM", "a_memory (MyISAM)"},
		{"with numbers that a dump rounds", "(i int PRIMARY KEY, f float)", "a_memory.f"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			site.mustSQL(t, "CREATE TABLE foobar.a_memory "+test.table)
			defer site.mustSQL(t, "DROP TABLE foobar.a_memory")
			site.refuses(t, test.says, "backup", "--dir", dir)
			if made := backups(t, dir); len(made) != 0 {
				t.Errorf("it was made nevertheless: %q", made)
			}
		})
	}
}

// flagged returns the copy with more flags for MySQL, as a changed compose.yaml would set them.
func (c *copyOfStack) flagged(t *testing.T, flags ...string) *copyOfStack {
	t.Helper()
	text, err := c.compose(t.Context(), "config", "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	var project struct {
		Services map[string]struct{ Command []string }
	}
	if err := json.Unmarshal([]byte(text), &project); err != nil {
		t.Fatal(err)
	}
	return c.overridden(t, object{"command": append(project.Services["db"].Command, flags...)})
}

// overridden returns the copy with some of db's settings overridden.
func (c *copyOfStack) overridden(t *testing.T, db object) *copyOfStack {
	t.Helper()
	text, err := json.Marshal(object{"services": object{"db": db}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "more.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return c.with("COMPOSE_FILE=" + filepath.Join(root, "compose.yaml") + string(os.PathListSeparator) + file)
}

// Settings that MySQL rejects are reported in MySQL's own words, before the running server is touched.
func TestAMySQLThatRefusesItsSettingsReplacesNothing(t *testing.T) {
	before := mainProcess(t, "db")
	for flag, says := range map[string]string{
		"--master-info-repository=TABLE": "unknown variable 'master-info-repository=TABLE'", // which MySQL 9 dropped
		"--innodb-buffer-pool-size=lots": "innodb-buffer-pool-size",
	} {
		changed := site.flagged(t, flag)
		changed.refuses(t, says, "restart-db")
	}
	site.flagged(t, "--master-info-repository=TABLE").refuses(t, "nothing was changed", "up")
	site.overridden(t, object{"mem_limit": "6m", "memswap_limit": "6m"}).refuses(t, "nothing was changed", "restart-db")
	if now := mainProcess(t, "db"); now != before {
		t.Errorf("MySQL is process %d and was %d: it was replaced", now, before)
	}
}

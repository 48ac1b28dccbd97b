package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machine is a copy to restore backups on; only its database runs.
var machine = newCopy("oneserver-test-restore", "18082", "11055", "172.28.4")

// empty replaces the copy with a new database that nothing has been written to.
func (c *copyOfStack) empty(t *testing.T) {
	t.Helper()
	if err := c.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.compose(t.Context(), "up", "--detach", "--wait", "db"); err != nil {
		t.Fatalf("%v\n%s", err, c.logs("db"))
	}
}

// state returns the CHECKSUM TABLE of each table of a schema, one per line; nothing if there are no tables. It leaves out
// the two tables that describe only the present and are empty after a restore.
func (c *copyOfStack) state(t *testing.T, schema string) string {
	t.Helper()
	tables := c.mustSQL(t, "SELECT GROUP_CONCAT('"+schema+".', table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema = '"+schema+"' AND table_name NOT IN ('sessions', 'throttle')")
	if tables == "NULL" {
		return ""
	}
	return strings.ReplaceAll(c.mustSQL(t, "CHECKSUM TABLE "+tables), schema+".", "")
}

// steady calls do while nobody writes, and returns the site's state, which is the same before and after. The application
// removes old rows now and then; if it did so in between, steady tries again.
func (c *copyOfStack) steady(t *testing.T, do func()) string {
	t.Helper()
	before := c.state(t, "foobar")
	for range 5 {
		do()
		after := c.state(t, "foobar")
		if after == before {
			return after
		}
		before = after
	}
	t.Fatalf("the site keeps changing; it is now\n%s", before)
	return ""
}

func (c *copyOfStack) mustSQL(t *testing.T, statement string) string {
	t.Helper()
	out, err := c.sql(t.Context(), "root", statement)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mustCtl runs the tool, which must succeed, and returns what it printed.
func (c *copyOfStack) mustCtl(t *testing.T, args ...string) string {
	t.Helper()
	begun := time.Now()
	out, err := c.ctl(t.Context(), nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s (%.1f s)\n%s", strings.Join(args, " "), time.Since(begun).Seconds(), out)
	return out
}

// refuses runs the tool, which must refuse with these words.
func (c *copyOfStack) refuses(t *testing.T, says string, args ...string) {
	t.Helper()
	if out, err := c.ctl(t.Context(), nil, args...); err == nil || !strings.Contains(out, says) {
		t.Errorf("%s: %v; want an error that says %q\n%s", strings.Join(args, " "), err, says, out)
	}
}

// backups returns the folders of the complete backups, oldest first.
func backups(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "2*Z"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// whileOthersWrite calls do while v writes post after post, each of which must be acknowledged.
func whileOthersWrite(t *testing.T, v *visitor, do func()) {
	t.Helper()
	writing, stop := context.WithCancel(t.Context())
	defer stop()
	written, wrote := 0, make(chan error, 1)
	go func() {
		for writing.Err() == nil {
			got, err := v.try(t.Context(), "POST", "/api/v1/posts", object{"title": "Under way", "body": strings.Repeat(v.word+" it's \\ äöü 👩‍💻\n", 50)}, "Idempotency-Key: "+rand.Text())
			if err == nil && got.status != http.StatusCreated {
				err = fmt.Errorf("%d %s", got.status, got.body)
			}
			if err != nil {
				wrote <- err
				return
			}
			written++
		}
		wrote <- nil
	}()
	do()
	stop()
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d posts were written meanwhile", written)
}

// leavesNoZombies checks that db holds no process that has ended and that nobody waits for: each takes the place of one that
// the container may have, until none is left.
func (c *copyOfStack) leavesNoZombies(t *testing.T) {
	t.Helper()
	newScenario(t, c).Then(5*time.Second, check{"no ended process is left in db", []string{"db"}, func(ctx context.Context, c *copyOfStack) error {
		out, err := c.compose(ctx, "exec", "--no-TTY", "db", "bash", "-c", `for p in /proc/[0-9]*; do
  while read -r name value rest; do [[ $name != State: || $value != Z ]] || echo "${p#/proc/} $rest"; done <$p/status
done 2>/dev/null; :`)
		if out = strings.TrimSpace(out); err == nil && out != "" {
			err = fmt.Errorf("there are:\n%s", out)
		}
		return err
	}})
}

// backupKey creates a key with which backups are encrypted.
func backupKey(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	site.mustCtl(t, "backup", "--new-key", file)
	return file
}

// onEmpty starts machine with an empty database, and removes it at the end of the test.
func onEmpty(t *testing.T) {
	t.Helper()
	machine.empty(t)
	t.Cleanup(func() {
		if err := machine.remove(); err != nil {
			t.Error(err)
		}
	})
}

// writer returns a member who may write any amount, and whose account is deleted at the end of the test.
func writer(t *testing.T) *visitor {
	t.Helper()
	newScenario(t, site).Then(10*time.Second, reaches()) // if this test runs first, web may not know app yet
	v := newMember(t, site)
	v.withoutQuotas()
	t.Cleanup(func() {
		if got, err := v.try(context.Background(), "POST", "/api/v1/account/deletion", object{"password": v.password}); err != nil || got.status != http.StatusNoContent {
			t.Errorf("deleting the writer's account: %+v, %v", got, err)
		}
	})
	return v
}

// An encrypted backup brings an empty server to the state that the site had. Without its key, with another key or with a
// damaged file, the restore is refused and changes nothing.
func TestABackupRestoresOnAnEmptyServer(t *testing.T) {
	dir, key, wrong := t.TempDir(), backupKey(t), backupKey(t)
	writer(t).write("Before the backup")
	now := site.steady(t, func() { site.mustCtl(t, "backup", "--dir", dir, "--key", key) })
	site.leavesNoZombies(t)
	all := backups(t, dir)
	encrypted := all[len(all)-1]

	onEmpty(t)
	damaged := filepath.Join(t.TempDir(), filepath.Base(encrypted))
	if err := os.CopyFS(damaged, os.DirFS(encrypted)); err != nil {
		t.Fatal(err)
	}
	dump := filepath.Join(damaged, "foobar.sql.zst.age")
	content := []byte(read(t, dump))
	content[len(content)/2] ^= 1
	if err := os.WriteFile(dump, content, 0o600); err != nil {
		t.Fatal(err)
	}
	machine.refuses(t, "KEY=", "restore", "--yes", encrypted)
	machine.refuses(t, "another key", "restore", "--yes", "--key", wrong, encrypted)
	machine.refuses(t, "damaged", "restore", "--yes", "--key", key, damaged)
	machine.refuses(t, "no terminal", "restore", "--key", key, encrypted)
	if got := machine.state(t, "foobar") + machine.state(t, "foobar_restore"); got != "" {
		t.Errorf("a refused restore has changed the data:\n%s", got)
	}

	machine.mustCtl(t, "restore", "--yes", "--key", key, encrypted)
	if got := machine.state(t, "foobar"); got != now {
		t.Errorf("the restored state is\n%s\nand the site's is\n%s", got, now)
	}
	if got := machine.mustSQL(t, "SELECT (SELECT COUNT(*) FROM foobar.sessions) + (SELECT COUNT(*) FROM foobar.throttle)"); got != "0" {
		t.Errorf("%s old sessions and limits are back", got)
	}
	if got := machine.mustSQL(t, "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = 'foobar' AND unique_constraint_schema = 'foobar'"); got != "5" {
		t.Errorf("%s foreign keys lead to the site's own tables, want 5", got)
	}
}

// A backup made while the site is being written to contains everything acknowledged before it. With the binary logs that
// follow it, it brings a server that never wrote them to a moment, even if an account was deleted meanwhile and the logs
// have been encrypted since there was a key.
func TestLongABackupAndBinaryLogsBringAnotherServerToAMoment(t *testing.T) {
	dir, key := t.TempDir(), backupKey(t)
	v, leaver := writer(t), newMember(t, site)
	var acknowledged post
	whileOthersWrite(t, v, func() {
		acknowledged = v.write("Before the backup")
		site.mustCtl(t, "backup", "--dir", dir)
		leaver.write("Of somebody who leaves") // which a foreign key removes with the account
		leaver.want(http.StatusNoContent, leaver.ask("POST", "/api/v1/account/deletion", object{"password": leaver.password}))
	})
	underWay := backups(t, dir)[0]
	var moment string
	then := site.steady(t, func() { moment = site.mustSQL(t, "SELECT UTC_TIMESTAMP(6)") })
	v.write("After the moment")
	site.mustCtl(t, "backup", "--dir", dir, "--key", key)
	if sealed, err := filepath.Glob(filepath.Join(underWay, "binlog.*.zst.age")); err != nil || len(sealed) == 0 {
		t.Errorf("no binary log is encrypted: %v", err)
	}

	onEmpty(t)
	machine.mustCtl(t, "restore", "--yes", underWay)
	if got := machine.mustSQL(t, fmt.Sprintf("SELECT title FROM foobar.posts WHERE id = %d", acknowledged.ID)); got != acknowledged.Title {
		t.Errorf("post %d is %q", acknowledged.ID, got)
	}
	machine.empty(t)
	machine.mustCtl(t, "restore", "--yes", "--dir", dir, "--key", key, "--unsigned", "--to", moment) // this backup was made before there was a key
	if got := machine.state(t, "foobar"); got != then {
		t.Errorf("the restored state is\n%s\nand at %s the site's was\n%s", got, moment, then)
	}
}

// A restore takes a server back to its own past. These tests run in order on one machine: each begins where the one before
// ends.
func TestLongARestoreGoesBackToItsOwnServersPast(t *testing.T) {
	dir := t.TempDir()
	from := t.TempDir()
	site.mustCtl(t, "backup", "--dir", from)
	onEmpty(t)
	machine.mustCtl(t, "restore", "--yes", "--dir", from)
	insert := func(t *testing.T, title string) {
		t.Helper()
		if err := insertPost(title)(t.Context(), machine); err != nil {
			t.Fatal(err)
		}
	}
	machine.mustCtl(t, "backup", "--dir", dir)
	original := machine.state(t, "foobar")
	insert(t, "In time")
	// The same log also holds changes to other schemas and to accounts, which a restore leaves alone.
	machine.mustSQL(t, `CREATE DATABASE aside; CREATE TABLE aside.notes (id int PRIMARY KEY); INSERT INTO aside.notes VALUES (1);
BEGIN; INSERT INTO aside.notes VALUES (2); UPDATE foobar.posts SET title = 'In time, and beside another' ORDER BY id DESC LIMIT 1; COMMIT;
CREATE USER 'visitor'@'localhost'; GRANT SELECT ON foobar.* TO 'visitor'@'localhost'; ALTER USER 'app'@'%' ACCOUNT LOCK;
SET SESSION sql_log_bin = 0; ALTER USER 'app'@'%' ACCOUNT UNLOCK`)
	const others = "SELECT (SELECT COUNT(*) FROM aside.notes), COUNT(*), SUM(account_locked = 'Y') FROM mysql.user"
	outside := machine.mustSQL(t, others)
	then := machine.state(t, "foobar")
	second := machine.mustSQL(t, "SELECT UTC_TIMESTAMP() + INTERVAL 1 SECOND")
	newScenario(t, machine).Then(5*time.Second, check{"the second has come", []string{"db"}, func(ctx context.Context, c *copyOfStack) error {
		out, err := c.sql(ctx, "root", "SELECT UTC_TIMESTAMP(6) >= '"+second+"'")
		if err == nil && out != "1" {
			err = fmt.Errorf("it is not %s yet", second)
		}
		return err
	}})
	insert(t, "Too late")
	late := machine.state(t, "foobar")

	t.Run("a moment that has not come yet is refused", func(t *testing.T) {
		machine.refuses(t, "not come yet", "restore", "--yes", "--dir", dir, "--to", "2999-01-01 00:00:00")
		if got := machine.state(t, "foobar"); got != late {
			t.Errorf("the refused restore has changed the data to\n%s\nand it was\n%s", got, late)
		}
	})
	t.Run("to a second of it, and what is not the site's stays as it is", func(t *testing.T) {
		machine.mustCtl(t, "restore", "--yes", "--dir", dir, "--to", second)
		if got := machine.state(t, "foobar"); got != then {
			t.Errorf("the restored state is\n%s\nand at %s it was\n%s", got, second, then)
		}
		if got := machine.state(t, "foobar_before"); got != late {
			t.Errorf("the state of the data moved away is\n%s\nand it was\n%s", got, late)
		}
		if got := machine.mustSQL(t, others); got != outside {
			t.Errorf("other schemas and accounts are now %q and were %q", got, outside)
		}
	})
	machine.mustSQL(t, "DROP DATABASE IF EXISTS aside; DROP USER IF EXISTS 'visitor'@'localhost'")
	t.Run("a moment after a restore is refused until there is another backup", func(t *testing.T) {
		insert(t, "In the restored one")
		machine.refuses(t, "was restored", "restore", "--yes", "--dir", dir, "--to", machine.mustSQL(t, "SELECT UTC_TIMESTAMP(6)"))
	})
	t.Run("to its newest backup, over existing data", func(t *testing.T) {
		machine.mustCtl(t, "restore", "--yes", "--dir", dir)
		if got := machine.state(t, "foobar"); got != original {
			t.Errorf("the restored state is\n%s\nand it was\n%s", got, original)
		}
	})
	t.Run("--forget drops what the restores replaced", func(t *testing.T) {
		machine.mustCtl(t, "restore", "--forget")
		if got := machine.state(t, "foobar_before") + machine.state(t, "foobar_restore"); got != "" {
			t.Errorf("the restores left behind\n%s", got)
		}
	})
	t.Run("a backup of a newer release is refused", func(t *testing.T) {
		newer := t.TempDir()
		machine.mustSQL(t, "INSERT INTO foobar.goose_db_version (version_id, is_applied) VALUES (99999, 1)")
		machine.mustCtl(t, "backup", "--dir", newer)
		machine.mustSQL(t, "DELETE FROM foobar.goose_db_version WHERE version_id = 99999")
		now := machine.state(t, "foobar")
		machine.refuses(t, "of version 99999", "restore", "--yes", "--dir", newer)
		if got, left := machine.state(t, "foobar"), machine.leftBehind(t); got != now || left != "" {
			t.Errorf("the refused restore left %q; the data is\n%s\nand was\n%s", left, got, now)
		}
	})
	t.Run("--keep leaves the newest backup, and nothing of an aborted run", func(t *testing.T) {
		old := backups(t, dir)
		aborted := filepath.Join(dir, "2026-01-01T00-00-00Z.partial")
		if err := os.Mkdir(aborted, 0o700); err != nil {
			t.Fatal(err)
		}
		machine.mustCtl(t, "backup", "--dir", dir, "--keep", "1")
		if kept := backups(t, dir); len(kept) != 1 || kept[0] == old[0] {
			t.Errorf("the backups are now %q and were %q", kept, old)
		}
		if _, err := os.Stat(aborted); !os.IsNotExist(err) {
			t.Errorf("the folder of an aborted run, %s, is still there: %v", aborted, err)
		}
	})
	t.Run("a moment before the oldest backup is refused", func(t *testing.T) {
		machine.refuses(t, "oldest backup", "restore", "--yes", "--dir", dir, "--to", second)
	})
}

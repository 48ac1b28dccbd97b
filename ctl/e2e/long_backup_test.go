package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// whole fails the test if a folder that counts as a backup does not match its checksums or lacks a log that it lists.
func whole(t *testing.T, dir string) {
	t.Helper()
	for _, folder := range backups(t, dir) {
		sums := strings.Split(strings.TrimSpace(read(t, filepath.Join(folder, "SHA256SUMS"))), "\n")
		if len(sums) != 2 {
			t.Errorf("%s has %d checksums", folder, len(sums))
		}
		var logs struct {
			Files []struct{ File, SHA256 string }
		}
		if text, err := os.ReadFile(filepath.Join(folder, "logs.json")); err == nil {
			if err := json.Unmarshal(text, &logs); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
		}
		for _, log := range logs.Files {
			sums = append(sums, log.SHA256+"  "+log.File)
		}
		for _, line := range sums {
			sum, name, _ := strings.Cut(line, "  ")
			if got := fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, filepath.Join(folder, name))))); got != sum {
				t.Errorf("%s in %s does not match its checksum", name, folder)
			}
		}
	}
}

// A backup that is killed at any point, or stopped with Ctrl-C, leaves earlier backups unchanged and no partial one that
// could be taken for a backup. Nothing in MySQL stays locked, and the next backup cleans up.
func TestLongABackupThatIsCutOffLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	site.mustCtl(t, "backup", "--dir", dir)
	first := backups(t, dir)[0]
	for _, test := range []struct {
		signal os.Signal
		at     string
	}{
		{syscall.SIGKILL, "dumping"},
		{syscall.SIGKILL, "reading it again"},
		{syscall.SIGKILL, "verified"},
		{syscall.SIGKILL, "keeping the binary log"},
		{os.Interrupt, "dumping"},
		{os.Interrupt, "keeping the binary log"},
	} {
		t.Logf("%s at %q", test.signal, test.at)
		site.cutOff(t, test.signal, test.at, "backup", "--dir", dir, "--keep", "3")
		whole(t, dir)
	}
	// and at moments that no printed line marks
	for i := range 12 {
		cmd := site.command(t.Context(), tool(), "backup", "--dir", dir, "--keep", "3")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(i)*500*time.Millisecond, func() { cmd.Process.Kill() })
		cmd.Wait()
		timer.Stop()
		whole(t, dir)
	}
	if _, err := os.Stat(first); err != nil && len(backups(t, dir)) < 3 {
		t.Errorf("the first backup is gone; there are %q", backups(t, dir))
	}

	// programs are killed inside db: mysqldump, and the client that holds the locks
	for _, program := range []string{"mysqldump", "mysql"} {
		cmd := site.command(t.Context(), tool(), "backup", "--dir", dir)
		killed := site.command(t.Context(), "docker", "compose", "exec", "--no-TTY", "db", "bash", "-c",
			`for ((i = 0; i < 2000; i++)); do
  for p in /proc/[0-9]*; do
    mapfile -d '' -t words 2>/dev/null <$p/cmdline
    if [[ ${words[0]:-} = "$0" && ${words[*]} == *"$1"* ]]; then kill -9 ${p#/proc/} && exit; fi
  done
  sleep 0.01
done; exit 1`,
			program, map[string]string{"mysqldump": "single-transaction", "mysql": "--unbuffered"}[program])
		if err := killed.Start(); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		if waited := killed.Wait(); waited != nil {
			t.Fatalf("%s was not killed: %v\n%s", program, waited, out)
		}
		if err == nil || !strings.Contains(string(out), "no backup was made") {
			t.Errorf("without %s: %v\n%s", program, err, out)
		}
	}

	site.mustCtl(t, "backup", "--dir", dir, "--keep", "2")
	whole(t, dir)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left behind are %q, %v", left, err)
	}
	if parts, err := filepath.Glob(filepath.Join(dir, "*", "*.partial")); err != nil || len(parts) != 0 {
		t.Errorf("partial files are left: %q, %v", parts, err)
	}
	if held := site.mustSQL(t, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'backup' OR info LIKE '%LOCK TABLES%' AND id <> CONNECTION_ID()"); held != "0" {
		t.Errorf("%s connections of killed backups are left", held)
	}
	site.leavesNoZombies(t)
}

// fill gives the site another table, a_filler, of 46 MB until the end of the test. Its text repeats itself only within a
// row, so even compressed it takes at least 900 times 32 bytes.
func (c *copyOfStack) fill(t *testing.T) {
	t.Helper()
	c.mustSQL(t, `CREATE TABLE foobar.a_filler (id int PRIMARY KEY AUTO_INCREMENT, text mediumtext);
INSERT INTO foobar.a_filler (text) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT REPEAT(SHA2(RAND(), 256), 800) FROM n`)
	t.Cleanup(func() {
		if _, err := c.sql(context.Background(), "root", "DROP TABLE foobar.a_filler"); err != nil {
			t.Error(err)
		}
	})
}

// If a migration changes tables during a backup, the backup fails and says why, and nothing is left behind.
func TestLongABackupIsRefusedIfTablesChangeMeanwhile(t *testing.T) {
	dir := t.TempDir()
	site.fill(t)
	site.mustSQL(t, "CREATE TABLE foobar.zzz (i int PRIMARY KEY, j int)")
	defer site.mustSQL(t, "DROP TABLE IF EXISTS foobar.zzz, foobar.zzzz")
	for _, ddl := range []string{
		"ALTER TABLE foobar.zzz ADD COLUMN k int, ALGORITHM = INSTANT", "ALTER TABLE foobar.zzz ADD INDEX (j)", "ALTER TABLE foobar.zzz DROP COLUMN k",
		"TRUNCATE TABLE foobar.zzz", "ALTER TABLE foobar.a_filler COMMENT 'x'", "RENAME TABLE foobar.zzz TO foobar.zzzz", "DROP TABLE foobar.zzzz",
	} {
		cmd := site.command(t.Context(), tool(), "backup", "--dir", dir)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			begun, _ := filepath.Glob(filepath.Join(dir, "*.partial", "foobar.sql.zst"))
			if len(begun) == 1 {
				if info, err := os.Stat(begun[0]); err == nil && info.Size() > 2_000 {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("the dump does not begin: %s", out.String())
			}
			time.Sleep(10 * time.Millisecond)
		}
		site.mustSQL(t, ddl)
		err := cmd.Wait()
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); err == nil || len(left) != 0 || !strings.Contains(out.String(), "no backup was made") {
			t.Errorf("%s: %v, left behind are %q\n%s", ddl, err, left, out.String())
			os.RemoveAll(dir)
		}
		t.Logf("%s: %s", ddl, out.String())
	}
}

// If the disk fills up, the backup is refused with the reason, and nothing is left behind.
func TestLongABackupIsRefusedIfTheDiskFillsUp(t *testing.T) {
	small := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small).CombinedOutput(); err != nil {
		t.Skipf("filling a disk needs root: %v %s", err, out)
	}
	defer exec.Command("umount", small).Run()
	site.fill(t)
	site.refuses(t, "no space left", "backup", "--dir", small)
	if left, _ := filepath.Glob(filepath.Join(small, "*")); len(left) != 0 {
		t.Errorf("on the full disk there are %q", left)
	}
}

// If MySQL accepts its settings but does not become healthy, the previous server takes its place again, even if the command
// is killed in between.
func TestLongAMySQLThatDoesNotStartMakesWay(t *testing.T) {
	// another command neither undoes a restart that is under way nor begins its own
	if err := site.reaches(t, "restarting MySQL", func(tool *os.Process) {
		if err := tool.Signal(syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
		site.refuses(t, "restart of MySQL is under way", "reload")
		if err := tool.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}, "restart-db"); err != nil {
		t.Errorf("a restart that another command came across: %v", err)
	}

	newScenario(t, site).When("a post is written", insertPost("Before the change"))
	broken := site.flagged(t, "--innodb-data-file-path=ibdata1:50M:autoextend") // not the size of the existing file, which MySQL notices when it starts
	back := func(how string) {
		t.Helper()
		newScenario(t, site).Then(30*time.Second, healthy("db"), showsPost("Before the change"))
		if note, err := site.output(t.Context(), "docker", "ps", "--all", "--quiet", "--filter", "name="+site.project+"-db-before"); err != nil || note != "" {
			t.Errorf("%s: the container that records the restart is left: %q, %v", how, note, err)
		}
	}
	broken.refuses(t, "MySQL runs as before", "restart-db")
	back("by itself")
	broken.refuses(t, "MySQL runs as before", "up")
	back("by up")
	site.overridden(t, object{"user": "12345:12345"}).refuses(t, "MySQL runs as before", "restart-db")
	back("with another user")

	broken.cutOff(t, syscall.SIGKILL, "restarting MySQL", "restart-db")
	broken.refuses(t, "MySQL runs as before", "restart-db")
	back("after a kill")
	broken.cutOff(t, syscall.SIGKILL, "restarting MySQL", "restart-db")
	site.mustCtl(t, "up") // the file is mended by now
	back("after a kill and a mended file")

	// a server that runs but is not healthy also comes back as it was
	site.mustSQL(t, "ALTER USER 'health'@'127.0.0.1' ACCOUNT LOCK")
	known := check{"the engine knows that db is unhealthy", []string{"db"}, func(ctx context.Context, c *copyOfStack) error {
		containers, err := c.containers(ctx)
		if health := containers["db"].State.Health; err == nil && (health == nil || health.Status != "unhealthy") {
			err = fmt.Errorf("its health is %+v", health)
		}
		return err
	}}
	newScenario(t, site).Then(30*time.Second, unhealthyBecause("db", "locked"), known)
	broken.refuses(t, "MySQL runs as before", "up")
	newScenario(t, site).Then(30*time.Second, unhealthyBecause("db", "locked"))
	site.mustSQL(t, "ALTER USER 'health'@'127.0.0.1' ACCOUNT UNLOCK")
	back("while it was not healthy")
}

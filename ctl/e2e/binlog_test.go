package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/binlog"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/throwaway"
)

// A MySQL apart from the site's takes seconds to start, so these tests share one.
func TestAThrowawayMySQL(t *testing.T) {
	t.Parallel()
	cli := stack.New(root, site.env...)
	project, err := cli.Project(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server, err := throwaway.Start(t.Context(), cli, "log", "--log-bin=binlog")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	}()
	t.Run("may do no more than it needs", func(t *testing.T) { throwawayIsConfined(t, project.Name) })
	log := writeLog(t, server)
	t.Run("writes binary logs that are read as they were written", func(t *testing.T) { logIsReadAsMySQLWroteIt(t, log) })
	t.Run("writes binary logs of which no damage goes unnoticed", func(t *testing.T) { damagedLogIsRefused(t, log.content) })
}

// It has no network, no secret and nothing of the site's, and no right that it does not use.
func throwawayIsConfined(t *testing.T, project string) {
	ids, err := site.output(t.Context(), "docker", "ps", "--quiet", "--filter", "label=oneserver.throwaway="+project, "--filter", "name=-log$")
	if err != nil {
		t.Fatal(err)
	}
	text, err := site.output(t.Context(), "docker", append([]string{"inspect"}, strings.Fields(ids)...)...)
	if err != nil {
		t.Fatal(err)
	}
	var list []container
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 {
		t.Fatalf("%d throwaway containers, %v", len(list), err)
	}
	host := list[0].HostConfig
	if list[0].Config.User != "999:999" || !host.ReadonlyRootfs || host.Privileged || !slices.Equal(host.CapDrop, []string{"ALL"}) || len(host.CapAdd) > 0 ||
		!slices.Contains(host.SecurityOpt, "no-new-privileges") || host.Memory == 0 || host.MemorySwap != host.Memory || host.PidsLimit == nil || *host.PidsLimit == 0 || len(host.PortBindings) > 0 {
		t.Errorf("it may do more than it needs: %s, %+v", list[0].Config.User, host)
	}
	if networks := list[0].NetworkSettings.Networks; len(networks) != 1 || networks["none"].IPAddress != "" {
		t.Errorf("it has networks: %v", networks)
	}
	for _, mount := range list[0].Mounts {
		if mount.Destination != "/var/lib/mysql" && mount.Destination != "/tmp" {
			t.Errorf("it sees %s", mount.Destination)
		}
	}
}

// logSteps are the transactions of the log that the tests read, with what each means for the site.
var logSteps = []struct {
	sql    string
	effect binlog.Effect
}{
	{"INSERT INTO foobar.posts (title) VALUES ('plain')", binlog.Changes},
	{"INSERT INTO other.notes VALUES (1, 'not ours')", binlog.None},
	{"BEGIN; INSERT INTO other.notes VALUES (2, 'both'); INSERT INTO foobar.posts (title) VALUES ('both'); COMMIT", binlog.Changes},
	{"USE other; ALTER TABLE foobar.posts ADD COLUMN body text", binlog.Changes},
	{"USE foobar; /* by hand */ ALTER TABLE posts DROP COLUMN body", binlog.Changes},
	{"USE foobar; ALTER TABLE other.notes ADD COLUMN body text", binlog.None},
	{"USE foobar; CREATE USER 'somebody'@'localhost' IDENTIFIED BY 'long enough'", binlog.None},
	{"USE foobar; GRANT SELECT ON foobar.posts TO 'somebody'@'localhost'", binlog.None},
	{"USE foobar; /*!80000 ALTER USER 'somebody'@'localhost' ACCOUNT LOCK */", binlog.None},
	{"USE foobar; SET PASSWORD FOR 'somebody'@'localhost' = 'longer still'", binlog.None},
	{"USE foobar; RENAME USER 'somebody'@'localhost' TO 'else'@'localhost'", binlog.None},
	{"DROP USER 'else'@'localhost'", binlog.None},
	{"CREATE TABLE foobar.moved (id int PRIMARY KEY)", binlog.Changes},
	{"RENAME TABLE foobar.moved TO other.moved", binlog.Moves},
	{"CREATE TABLE foobar.copied AS SELECT * FROM other.notes", binlog.Changes},
	{"DROP TABLE foobar.copied, other.moved", binlog.Unclear},
	{"ANALYZE TABLE foobar.posts", binlog.None},
	{"SET binlog_transaction_compression = ON; INSERT INTO foobar.posts (title) VALUES (REPEAT('compressed ', 1000))", binlog.Changes},
	{"SET binlog_transaction_compression = ON; INSERT INTO other.notes (id, title) VALUES (3, REPEAT('compressed ', 1000))", binlog.None},
	{"SET SESSION binlog_format = STATEMENT; USE foobar; INSERT INTO posts (title) VALUES ('as a statement')", binlog.Changes},
	{"SET SESSION binlog_format = STATEMENT; USE foobar; INSERT INTO other.notes (id, title) VALUES (4, 'as a statement')", binlog.None},
	{"SET GTID_NEXT = 'AUTOMATIC:tagged'; INSERT INTO foobar.posts (title) VALUES ('tagged')", binlog.Changes},
	{"SET GTID_NEXT = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee:7'; BEGIN; COMMIT", binlog.None},
	{"USE foobar; TRUNCATE posts", binlog.Changes},
	{"CREATE TRIGGER foobar.tells BEFORE INSERT ON foobar.posts FOR EACH ROW SET NEW.title = 'told'", binlog.Changes},
	{"USE foobar; DROP DATABASE other", binlog.None},
	{"XA START 'x'; INSERT INTO foobar.posts (title) VALUES ('prepared'); XA END 'x'; XA PREPARE 'x'", binlog.Changes},
	{"XA COMMIT 'x'", binlog.Changes},
	{"DROP DATABASE foobar", binlog.Changes},
}

// writtenLog is a binary log as MySQL wrote it, with what MySQL says about it.
type writtenLog struct {
	began     time.Time
	content   []byte
	events    [][]string
	earlier   string // the GTIDs of the logs before it
	later     string // those and its own
	following []byte // the log after it, which is still in use
}

// writeLog makes MySQL write a log with a transaction for each step.
func writeLog(t *testing.T, server *throwaway.Server) (log writtenLog) {
	t.Helper()
	ask := func(statements string) [][]string {
		t.Helper()
		rows, err := server.SQL(t.Context(), statements)
		if err != nil {
			t.Fatalf("%s: %v", statements, err)
		}
		return rows
	}
	content := func(name string) []byte {
		t.Helper()
		all, err := server.Bash(t.Context(), `exec cat "/var/lib/mysql/$0"`, name).Output()
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		return all
	}
	ask(`CREATE DATABASE foobar; CREATE DATABASE other; CREATE TABLE foobar.posts (id int PRIMARY KEY AUTO_INCREMENT, title text);
CREATE TABLE other.notes (id int PRIMARY KEY, title text); CREATE VIEW foobar.seen AS SELECT id FROM foobar.posts; FLUSH BINARY LOGS`)
	log.earlier = ask("SELECT @@GLOBAL.gtid_executed")[0][0]
	log.began = time.Now()
	for _, step := range logSteps {
		ask(step.sql)
	}
	name := ask("SHOW BINARY LOG STATUS")[0][0]
	log.events = ask("FLUSH BINARY LOGS; SHOW BINLOG EVENTS IN '" + name + "'")
	log.later = strings.ReplaceAll(ask("SELECT @@GLOBAL.gtid_executed")[0][0], `\n`, "")
	log.content = content(name)
	log.following = content(ask("SHOW BINARY LOG STATUS")[0][0])
	return log
}

// readLog returns what the tool makes of a log, and its transactions.
func readLog(content []byte) (log binlog.Log, found []binlog.Transaction, err error) {
	log, err = binlog.Read(bytes.NewReader(content), "foobar", func(one binlog.Transaction) error {
		found = append(found, one)
		return nil
	})
	return log, found, err
}

// Each transaction is found with its position, its GTID and its effect on the site; the next log continues from there.
func logIsReadAsMySQLWroteIt(t *testing.T, log writtenLog) {
	var at []string // where transactions begin, according to MySQL
	for _, event := range log.events {
		if strings.HasPrefix(event[2], "Gtid") {
			at = append(at, event[1])
		}
	}
	all, err := binlog.ParseSet(log.earlier)
	if err != nil {
		t.Fatal(err)
	}
	end, found, err := readLog(log.content)
	if err != nil {
		t.Fatal(err)
	}
	if !end.Previous.Equal(all) || end.Size != int64(len(log.content)) || end.Closed.IsZero() || end.Began.IsZero() {
		t.Errorf("%+v; want it to continue from %s", end, log.earlier)
	}
	if len(found) != len(at) || len(found) != len(logSteps) {
		t.Fatalf("%d transactions, and MySQL shows %d of %d statements: %+v\n%q", len(found), len(at), len(logSteps), found, log.events)
	}
	for i, one := range found {
		step := logSteps[i]
		all.Add(one.GTID)
		if one.Effect != step.effect || fmt.Sprint(one.At) != at[i] {
			t.Errorf("%s: %d at %d (%s); want %d at %s", step.sql, one.Effect, one.At, one.Why, step.effect, at[i])
		}
		if one.Committed.Before(log.began.Add(-time.Second)) || one.Committed.After(time.Now()) || i > 0 && one.Committed.Before(found[i-1].Committed) {
			t.Errorf("%s: committed at %s", step.sql, one.Committed)
		}
	}
	if got, err := binlog.ParseSet(log.later); err != nil || !got.Equal(all) {
		t.Errorf("%v, %v; MySQL has executed %v", all, err, got)
	}
	if next, _, err := readLog(log.following); err != nil || !next.Previous.Equal(all) || !next.Closed.IsZero() {
		t.Errorf("the log after it: %+v, %v", next, err)
	}
}

// A flipped bit anywhere is detected, and so is an end anywhere but between two events.
func damagedLogIsRefused(t *testing.T, content []byte) {
	for i := 0; i < len(content); i += 7 {
		damaged := bytes.Clone(content)
		damaged[i] ^= 1 << (i % 8)
		if _, _, err := readLog(damaged); err == nil && i != 4+17 { // no checksum covers the flag for a log in use
			t.Fatalf("with a flipped bit in byte %d, it is read without an error", i)
		}
	}
	for i := 5; i < len(content); i += 11 {
		if end, _, err := readLog(content[:i]); err == nil && !end.Closed.IsZero() {
			t.Fatalf("the first %d of %d bytes are taken for the whole", i, len(content))
		}
	}
}

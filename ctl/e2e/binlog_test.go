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

// A binary log that MySQL itself has written is read correctly: each transaction with its position, its GTID and its effect
// on the site.
func TestABinaryLogIsReadAsMySQLWritesIt(t *testing.T) {
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
	ids, err := site.output(t.Context(), "docker", "ps", "--quiet", "--filter", "label=oneserver.throwaway="+project.Name, "--filter", "name=-log$")
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

	ask := func(statements string) [][]string {
		t.Helper()
		rows, err := server.SQL(t.Context(), statements)
		if err != nil {
			t.Fatalf("%s: %v", statements, err)
		}
		return rows
	}
	ask(`CREATE DATABASE foobar; CREATE DATABASE other; CREATE TABLE foobar.posts (id int PRIMARY KEY AUTO_INCREMENT, title text);
CREATE TABLE other.notes (id int PRIMARY KEY, title text); CREATE VIEW foobar.seen AS SELECT id FROM foobar.posts; FLUSH BINARY LOGS`)
	earlier := ask("SELECT @@GLOBAL.gtid_executed")[0][0]
	started := time.Now()
	steps := []struct {
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
	for _, step := range steps {
		ask(step.sql)
	}
	log := ask("SHOW BINARY LOG STATUS")[0][0]
	events := ask("FLUSH BINARY LOGS; SHOW BINLOG EVENTS IN '" + log + "'")
	var at []string // where transactions begin, according to MySQL
	for _, event := range events {
		if strings.HasPrefix(event[2], "Gtid") {
			at = append(at, event[1])
		}
	}
	cmd := server.Bash(t.Context(), `exec cat "/var/lib/mysql/$0"`, log)
	content, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}

	var found []binlog.Transaction
	all, err := binlog.ParseSet(earlier)
	if err != nil {
		t.Fatal(err)
	}
	read := func(content []byte) (binlog.Log, error) {
		found = nil
		return binlog.Read(bytes.NewReader(content), "foobar", func(one binlog.Transaction) error {
			found = append(found, one)
			return nil
		})
	}
	end, err := read(content)
	if err != nil {
		t.Fatal(err)
	}
	if !end.Previous.Equal(all) || end.Size != int64(len(content)) || end.Closed.IsZero() || end.Began.IsZero() {
		t.Errorf("%+v; want it to continue from %s", end, earlier)
	}
	if len(found) != len(at) || len(found) != len(steps) {
		t.Fatalf("%d transactions, and MySQL shows %d of %d statements: %+v\n%q", len(found), len(at), len(steps), found, events)
	}
	for i, one := range found {
		all.Add(one.GTID)
		if one.Effect != steps[i].effect || fmt.Sprint(one.At) != at[i] {
			t.Errorf("%s: %d at %d (%s); want %d at %s", steps[i].sql, one.Effect, one.At, one.Why, steps[i].effect, at[i])
		}
		if one.Committed.Before(started.Add(-time.Second)) || one.Committed.After(time.Now()) || i > 0 && one.Committed.Before(found[i-1].Committed) {
			t.Errorf("%s: committed at %s", steps[i].sql, one.Committed)
		}
	}
	if got, err := binlog.ParseSet(strings.ReplaceAll(ask("SELECT @@GLOBAL.gtid_executed")[0][0], `\n`, "")); err != nil || !got.Equal(all) {
		t.Errorf("%v, %v; MySQL has executed %v", all, err, got)
	}
	next := ask("SHOW BINARY LOG STATUS")[0][0]
	cmd = server.Bash(t.Context(), `exec cat "/var/lib/mysql/$0"`, next)
	if following, err := cmd.Output(); err != nil {
		t.Error(err)
	} else if next, err := read(following); err != nil || !next.Previous.Equal(all) || !next.Closed.IsZero() {
		t.Errorf("the log after it: %+v, %v", next, err)
	}

	// a flipped bit anywhere is detected, and so is an end anywhere but between two events
	for i := 0; i < len(content); i += 7 {
		damaged := bytes.Clone(content)
		damaged[i] ^= 1 << (i % 8)
		if _, err := read(damaged); err == nil && i != 4+17 { // no checksum covers the flag for a log in use
			t.Fatalf("with a flipped bit in byte %d, it is read without an error", i)
		}
	}
	for i := 5; i < len(content); i += 11 {
		if end, err := read(content[:i]); err == nil && !end.Closed.IsZero() {
			t.Fatalf("the first %d of %d bytes are taken for the whole", i, len(content))
		}
	}
}

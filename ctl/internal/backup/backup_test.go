package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stored makes a complete backup with some content in a folder, taken at a given time.
func stored(t *testing.T, dir string, taken time.Time, recipients ...string) Backup {
	t.Helper()
	b := Backup{Dir: filepath.Join(dir, taken.Format(nameLayout)), Manifest: Manifest{Schema: schema, Taken: taken, Log: Position{"binlog.000007", 157},
		ServerUUID: "one", Recipients: recipients, Dump: schema + ".sql" + suffix(recipients)}}
	if err := os.Mkdir(b.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	sealed, err := seal(filepath.Join(b.Dir, b.Dump), recipients)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(sealed, strings.Repeat("the content\n", 10_000))
	sum, err := sealed.finish()
	if err != nil {
		t.Fatal(err)
	}
	b.Size = sealed.size
	if err := b.writeManifest(sum); err != nil {
		t.Fatal(err)
	}
	return b
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestABackupIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := NewKey(io.Discard, key); err != nil {
		t.Fatal(err)
	}
	if err := NewKey(io.Discard, key); err == nil {
		t.Error("a key that is there was written over")
	}
	secret, err := readKey(key)
	if err != nil || len(secret.recipients) != 1 || len(secret.identities) != 1 {
		t.Fatalf("%q, %v", secret.recipients, err)
	}
	public := filepath.Join(dir, "public")
	if err := os.WriteFile(public, []byte("# mine\n"+secret.recipients[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := readKey(public); err != nil || !slices.Equal(again.recipients, secret.recipients) || again.identities != nil {
		t.Errorf("the public key is read as %q, which opens %q: %v", again.recipients, again.identities, err)
	}

	for i, to := range [][]string{nil, secret.recipients} {
		b := stored(t, dir, noon.Add(time.Duration(i)*time.Hour), to...)
		read, err := open(b.Dir)
		if err != nil || !slices.Equal(read.Recipients, to) || read.Log != b.Log || !read.Taken.Equal(b.Taken) {
			t.Fatalf("%+v, %v", read, err)
		}
		if err := read.verify(t.Context()); err != nil {
			t.Error(err)
		}
		var done int64
		in, err := unseal(t.Context(), filepath.Join(b.Dir, b.Dump), secret.identities, func(read int64) { done = read })
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil || string(content) != strings.Repeat("the content\n", 10_000) || done != read.Size {
			t.Errorf("%d bytes, %v", len(content), err)
		}
		in.Close()
		for name, mode := range map[string]os.FileMode{b.Dir: 0o700, filepath.Join(b.Dir, b.Dump): 0o600, filepath.Join(b.Dir, manifestFile): 0o600} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		if sealed, err := os.ReadFile(filepath.Join(b.Dir, b.Dump)); err != nil || to != nil && bytes.Contains(sealed, []byte("content")) {
			t.Errorf("the encrypted file can be read: %v", err)
		}
	}
}

func TestAWrongKeyAndNoKeyAreSaidToBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"right", "wrong"} {
		if err := NewKey(io.Discard, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	right, err := readKey(filepath.Join(dir, "right"))
	wrong, failed := readKey(filepath.Join(dir, "wrong"))
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	b := stored(t, dir, noon, right.recipients...)
	if _, err := unseal(t.Context(), filepath.Join(b.Dir, b.Dump), wrong.identities, nil); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("with another key: %v", err)
	}
	if _, err := unseal(t.Context(), filepath.Join(b.Dir, b.Dump), nil, nil); err == nil || !strings.Contains(err.Error(), "KEY=") {
		t.Errorf("without a key: %v", err)
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("a password of somebody's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readKey(secret); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("of a file that is no key: %v", err)
	}
	if _, err := readKey(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--new-key") {
		t.Errorf("of a file that is not there: %v", err)
	}
}

func TestTheCommandThatDoesNotAskRestoresTheSame(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options RestoreOptions
		want    string
	}{
		{RestoreOptions{Dir: "/site/backups"}, "bin/oneserver restore --yes"},
		{RestoreOptions{Dir: "/site/backups", Key: "/b.key", File: "/site/backups/old"}, "bin/oneserver restore --yes --key='/b.key' '/site/backups/old'"},
		{RestoreOptions{Dir: "/else where", To: "2026-11-23 10:00", Unsigned: true}, "bin/oneserver restore --yes --dir='/else where' --to='2026-11-23 10:00' --unsigned"},
		{RestoreOptions{Dir: "/site/backups", File: "/it's"}, `bin/oneserver restore --yes '/it'\''s'`},
	} {
		if got := test.options.unasked("/site"); got != test.want {
			t.Errorf("%+v: %s, want %s", test.options, got, test.want)
		}
	}
}

func TestADamagedBackupIsNamed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{schema + ".sql.zst", manifestFile} {
		b := stored(t, t.TempDir(), noon)
		file := filepath.Join(b.Dir, name)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 1
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.verify(t.Context()); err == nil || !strings.Contains(err.Error(), name+" is damaged") {
			t.Errorf("%s with another bit: %v", name, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := b.verify(t.Context()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestAWholeBackupOfTheDayIsFreshBehindADamagedOne(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now().UTC()
	for _, taken := range []time.Time{now.Add(-25 * time.Hour), now.Add(time.Hour)} {
		stored(t, dir, taken)
	}
	if err := Fresh(t.Context(), dir, "one"); err == nil || !strings.Contains(err.Error(), "no backup of the last day") {
		t.Errorf("with one of yesterday and one of the future: %v", err)
	}
	newest := stored(t, dir, now.Add(-time.Hour))
	dump := filepath.Join(newest.Dir, newest.Dump)
	content, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(dump, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Fresh(t.Context(), dir, "one"); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("with a damaged one: %v", err)
	}
	stored(t, dir, now.Add(-2*time.Hour))
	if err := Fresh(t.Context(), dir, "one"); err != nil {
		t.Errorf("with a whole one behind it: %v", err)
	}
}

func TestAMomentIsReadInUTC(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-11-23 10:00:00":       time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		"2026-11-23 10:00:00 UTC":   time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		"2026-11-23 10:00":          time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		"2026-11-23T10:00:00":       time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		"2026-11-23 10:00:00.25":    time.Date(2026, 11, 23, 10, 0, 0, 250_000_000, time.UTC),
		"2026-11-23T10:00:00Z":      time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		"2026-11-23T10:00:00+02:00": time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
	} {
		if got, err := ParseTo(text); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "10:00:00", "2026-11-31 10:00:00", "23.11.2026 10:00:00"} {
		if got, err := ParseTo(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if got := stamp(noon.Add(1500 * time.Microsecond)); got != "2026-11-23 12:00:00.0015 UTC" {
		t.Error(got)
	}
}

const aDump = `-- MySQL dump 10.13  Distrib 9.7.1, for Linux (x86_64)
--
-- Host: localhost    Database: foobar
-- ------------------------------------------------------
-- Server version	9.7.1
/*!40101 SET NAMES utf8mb4 */;
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;

--
-- GTID state at the beginning of the backup
--

/* SET @@GLOBAL.GTID_PURGED='+3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,
4e11fa47-71ca-11e1-9e33-c80aa9429562:1-7';*/

--
-- Position to start replication or point-in-time recovery from
--

-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='binlog.000002', SOURCE_LOG_POS=4711;

--
-- Table structure for table ` + "`posts`" + `
--

DROP TABLE IF EXISTS ` + "`posts`" + `;
CREATE TABLE ` + "`posts`" + ` (
  ` + "`id`" + ` bigint
) ENGINE=InnoDB;

--
-- Dumping data for table ` + "`posts`" + `
--

LOCK TABLES ` + "`posts`" + ` WRITE;
INSERT INTO ` + "`posts`" + ` VALUES (1,'a (b), it\'s \\'),(2,NULL),(3,'),(\n-- Dump completed');
INSERT INTO ` + "`posts`" + ` (` + "`id`, `text`" + `) VALUES (4,_binary '\\\'('),(5,0x28);
UNLOCK TABLES;

--
-- Table structure for table ` + "`empty`" + `
--

DROP TABLE IF EXISTS ` + "`empty`" + `;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
`

// A table's counter advances while its rows are read in an older view. A comparison in which that can happen ignores the
// counter.
func TestATableIsTheSameWhateverItsCounter(t *testing.T) {
	t.Parallel()
	const dump = "-- Table structure for table `posts`\nCREATE TABLE `posts` (\n) ENGINE=InnoDB AUTO_INCREMENT=%d DEFAULT CHARSET=%s;\n-- Dump completed\n"
	sum := func(counter int, charset string, part func([]byte) []byte) string {
		s, err := inspect(strings.NewReader(fmt.Sprintf(dump, counter, charset)), part)
		if err != nil {
			t.Fatal(err)
		}
		return s.tables[0].SHA256
	}
	if sum(4, "utf8mb4", withoutCounter) != sum(5, "utf8mb4", withoutCounter) || sum(4, "utf8mb4", wholeLine) == sum(5, "utf8mb4", wholeLine) {
		t.Error("another counter makes a difference where it should not, or none where it should")
	}
	if sum(4, "utf8mb4", withoutCounter) == sum(4, "latin1", withoutCounter) {
		t.Error("another character set makes no difference")
	}
}

func TestADumpIsCountedAndSummed(t *testing.T) {
	t.Parallel()
	const end = "\n-- Dump completed on 2026-11-23 12:00:00\n"
	s, err := inspect(strings.NewReader(aDump+end), wholeLine)
	if err != nil {
		t.Fatal(err)
	}
	if s.log != (Position{"binlog.000002", 4711}) || s.gtids != "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,4e11fa47-71ca-11e1-9e33-c80aa9429562:1-7" {
		t.Errorf("%+v, %q", s.log, s.gtids)
	}
	if len(s.tables) != 2 || s.tables[0].Name != "posts" || s.tables[0].Rows != 5 || s.tables[1].Name != "empty" || s.tables[1].Rows != 0 {
		t.Fatalf("%+v", s.tables)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("DROP TABLE IF EXISTS `empty`;\n"))); s.tables[1].SHA256 != want {
		t.Errorf("the last table is summed with what follows it")
	}
	if _, err := inspect(strings.NewReader(aDump), wholeLine); !errors.Is(err, errCutOff) {
		t.Errorf("without its end: %v", err)
	}
	// rows in a line that is longer than one read
	var long strings.Builder
	long.WriteString("-- Table structure for table `long`\nINSERT INTO `long` VALUES ")
	for i := range 100_000 {
		fmt.Fprintf(&long, "(%d,'it\\'s (%d)'),", i, i)
	}
	long.WriteString("(0,'');\n")
	if s, err := inspect(strings.NewReader(long.String()+end), wholeLine); err != nil || s.tables[0].Rows != 100_001 {
		t.Errorf("%+v, %v", s.tables, err)
	}
	changed, err := inspect(strings.NewReader(strings.Replace(aDump, "(2,NULL)", "(2,'')", 1)+end), wholeLine)
	if err != nil || changed.tables[0].SHA256 == s.tables[0].SHA256 || changed.tables[1] != s.tables[1] {
		t.Errorf("with another value: %+v, %v", changed.tables, err)
	}
}

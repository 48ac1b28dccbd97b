package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/terminal"
)

const uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"

// A logWriter writes binary logs in MySQL's format, but only the parts that this package reads. The e2e tests check that
// MySQL's own logs are read correctly.
type logWriter struct {
	bytes.Buffer
	at []int // where each transaction begins
}

func (w *logWriter) event(kind byte, when time.Time, body []byte) {
	var event bytes.Buffer
	binary.Write(&event, binary.LittleEndian, uint32(when.Unix()))
	event.WriteByte(kind)
	binary.Write(&event, binary.LittleEndian, uint32(1)) // the server's id
	binary.Write(&event, binary.LittleEndian, uint32(19+len(body)+4))
	binary.Write(&event, binary.LittleEndian, uint32(w.Len()+19+len(body)+4))
	event.Write([]byte{0, 0})
	event.Write(body)
	binary.Write(&event, binary.LittleEndian, crc32.ChecksumIEEE(event.Bytes()))
	w.Write(event.Bytes())
}

func rawUUID() []byte {
	raw, _ := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	return raw
}

// newLog begins a log that follows the transactions 1 to previous.
func newLog(began time.Time, previous int64) *logWriter {
	w := &logWriter{}
	w.WriteString("\xfebin")
	w.event(15, began, append(make([]byte, 98), 1))
	if previous == 0 {
		w.event(35, began, make([]byte, 8))
		return w
	}
	body := binary.LittleEndian.AppendUint64(nil, 1)
	body = append(body, rawUUID()...)
	for _, n := range []uint64{1, 1, uint64(previous + 1)} {
		body = binary.LittleEndian.AppendUint64(body, n)
	}
	w.event(35, began, body)
	return w
}

func (w *logWriter) gtid(number int64, committed time.Time) {
	w.at = append(w.at, w.Len())
	body := append([]byte{0}, rawUUID()...)
	body = binary.LittleEndian.AppendUint64(body, uint64(number))
	body = append(body, make([]byte, 17)...)
	body = append(body, binary.LittleEndian.AppendUint64(nil, uint64(committed.UnixMicro()))[:7]...)
	w.event(33, committed, body)
}

// rows writes a transaction that changes rows of a schema.
func (w *logWriter) rows(number int64, committed time.Time, name string) *logWriter {
	w.gtid(number, committed)
	body := append(make([]byte, 8), byte(len(name)))
	w.event(19, committed, append(body, name+"\x00\x01t\x00"...))
	w.event(16, committed, make([]byte, 8))
	return w
}

// statement writes a transaction that consists of one statement, which changes the given schemas.
func (w *logWriter) statement(number int64, committed time.Time, text string, schemas ...string) *logWriter {
	w.gtid(number, committed)
	status := []byte{}
	if len(schemas) > 0 {
		status = append([]byte{12, byte(len(schemas))}, strings.Join(schemas, "\x00")+"\x00"...)
	}
	body := append(make([]byte, 8), 0, 0, 0, byte(len(status)), 0)
	w.event(2, committed, append(append(body, status...), "\x00"+text...))
	return w
}

func (w *logWriter) rotate(when time.Time) *logWriter {
	w.event(4, when, append(make([]byte, 8), "next"...))
	return w
}

// keep stores logs with a backup, numbered from the log in which the backup was made.
func keep(t *testing.T, b Backup, until time.Time, logs ...*logWriter) {
	t.Helper()
	kept := Logs{Until: until}
	for i, log := range logs {
		name := fmt.Sprintf("binlog.%06d", number(b.Log.File)+i)
		sealed, err := seal(filepath.Join(b.Dir, name+".zst"), nil)
		if err != nil {
			t.Fatal(err)
		}
		sealed.Write(log.Bytes())
		sum, err := sealed.finish()
		if err != nil {
			t.Fatal(err)
		}
		kept.Files = append(kept.Files, Log{Name: name, File: name + ".zst", Size: int64(log.Len()), SHA256: sum})
	}
	if err := b.writeLogs(kept); err != nil {
		t.Fatal(err)
	}
}

func planned(t *testing.T, b Backup, all []Backup, to time.Time) (plan, error) {
	t.Helper()
	out, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	return prepare(t.Context(), terminal.NewTeller(out), b, all, to, nil)
}

// afterTwo makes a backup that contains transactions 1 and 2; the second is in log, the log in use when the backup is made.
func afterTwo(t *testing.T, log *logWriter) Backup {
	t.Helper()
	return made(t, t.TempDir(), noon, func(m *Manifest) {
		m.GTIDs, m.Log = uuid+":1-2", Position{"binlog.000007", uint64(log.Len())}
	})
}

func begunLog() *logWriter {
	return newLog(noon.Add(-time.Hour), 1).rows(2, noon.Add(-time.Minute), schema)
}

func TestTheMomentIsFoundToTheMicrosecond(t *testing.T) {
	t.Parallel()
	first := begunLog()
	b := afterTwo(t, first)
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	first.rows(3, minute(1), schema).rows(4, minute(2), "other").rotate(minute(3))
	second := newLog(minute(3), 4).statement(5, minute(4), "GRANT ALL ON foobar.* TO somebody", schema).rows(6, minute(5), schema).rotate(minute(9))
	keep(t, b, minute(9), first, second)
	for to, want := range map[time.Time]struct {
		stop, expected, skipped string
		changes, logs           int
	}{
		noon:                              {uuid + ":3", uuid + ":1-2", "", 0, 1},
		minute(1):                         {uuid + ":3", uuid + ":1-2", "", 0, 1},
		minute(1).Add(time.Microsecond):   {uuid + ":4", uuid + ":1-3", "", 1, 1},
		minute(5):                         {uuid + ":6", uuid + ":1-5", uuid + ":4-5", 1, 2},
		minute(5).Add(time.Microsecond):   {"", uuid + ":1-6", uuid + ":4-5", 2, 2},
		minute(9):                         {"", uuid + ":1-6", uuid + ":4-5", 2, 2},
		minute(9).Add(2 * time.Second):    {"ends at", "", "", 0, 0},
		minute(-1).Add(time.Microsecond):  {uuid + ":3", uuid + ":1-2", "", 0, 1},
		minute(-1).Add(-time.Microsecond): {"clocks contradict", "", "", 0, 0},
	} {
		p, err := planned(t, b, []Backup{b}, to)
		if err != nil {
			if want.expected != "" || !strings.Contains(err.Error(), want.stop) {
				t.Errorf("%v: %v", to, err)
			}
			continue
		}
		stop := ""
		if p.stop != nil {
			stop = p.stop.String()
		}
		if stop != want.stop || p.expected.String() != want.expected || p.skipped.String() != want.skipped || p.changes != want.changes || len(p.logs) != want.logs {
			t.Errorf("%v: stops before %q, expects %s without %s, %d changes, %d logs; want %+v", to, stop, p.expected, p.skipped, p.changes, len(p.logs), want)
		}
	}
}

func TestWhatIsNotSureIsRefused(t *testing.T) {
	t.Parallel()
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	to := minute(30)
	for name, test := range map[string]struct {
		logs func(*logWriter) []*logWriter // given the first log, as it is when the backup is made
		says string
	}{
		"all is well": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.rows(3, minute(1), schema).rotate(minute(2)), newLog(minute(2), 3).rotate(minute(40))}
		}, ""},
		"a log is missing": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.rows(3, minute(1), schema).rotate(minute(2)), newLog(minute(3), 4).rotate(minute(40))}
		}, "does not go on"},
		"the clock was set back": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.rows(3, minute(60), schema).rows(4, minute(2), schema).rotate(minute(40))}
		}, "came twice"},
		"the clock was set back, elsewhere in the log": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.rows(3, minute(60), schema).rows(4, minute(50), schema).rotate(minute(40))}
		}, ""},
		"the site was restored": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.statement(3, minute(1), "RENAME TABLE `foobar`.`posts` TO `foobar_before`.`posts`, `foobar_restore`.`posts` TO `foobar`.`posts`", schema, before, beside).rotate(minute(40))}
		}, "was restored"},
		"the site was restored after the moment": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.statement(3, minute(31), "RENAME TABLE `foobar`.`posts` TO `foobar_before`.`posts`", schema, before).rotate(minute(40))}
		}, ""},
		"a statement changes two schemas": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.statement(3, minute(1), "DROP TABLE foobar.posts, other.notes", schema, "other").rotate(minute(40))}
		}, "DROP TABLE foobar.posts"},
		"a statement does not say what it changes": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.statement(3, minute(1), "FROBNICATE").rotate(minute(40))}
		}, "FROBNICATE"},
		"the end is missing": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.rows(3, minute(1), schema)}
		}, "cut off"},
		"half an event is missing": {func(w *logWriter) []*logWriter {
			w.rows(3, minute(1), schema).rotate(minute(40)).Truncate(w.Len() - 10)
			return []*logWriter{w}
		}, "cut off"},
		"it is of another server": {func(*logWriter) []*logWriter {
			return []*logWriter{newLog(noon, 900).rows(901, minute(1), schema).rotate(minute(40))}
		}, "contradicts the log"},
		"it is shorter than the backup's place in it": {func(*logWriter) []*logWriter {
			return []*logWriter{newLog(noon.Add(-time.Hour), 1)}
		}, "another server"},
		"the backup has what comes after it": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.rows(2, minute(1), schema).rotate(minute(40))}
		}, "contradicts the log"},
		"it ends before the moment": {func(w *logWriter) []*logWriter {
			return []*logWriter{w.rows(3, minute(1), schema).rotate(minute(20))}
		}, "ends at"},
	} {
		first := begunLog()
		b := afterTwo(t, first)
		keep(t, b, minute(40), test.logs(first)...)
		_, err := planned(t, b, []Backup{b}, to)
		if (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %q", name, err, test.says)
		}
	}
}

// A later backup continues the logs of an earlier one, whatever its clock said.
func TestTheLogsOfLaterBackupsAreUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := begunLog()
	early := made(t, dir, noon, func(m *Manifest) { m.GTIDs, m.Log = uuid+":1-2", Position{"binlog.000007", uint64(first.Len())} })
	first.rows(3, noon.Add(time.Minute), schema).rotate(noon.Add(2 * time.Minute))
	late := made(t, dir, noon.Add(time.Hour), func(m *Manifest) { m.GTIDs, m.Log = uuid+":1-3", Position{"binlog.000008", 4} })
	keep(t, early, noon.Add(2*time.Minute), first)
	keep(t, late, noon.Add(2*time.Hour), newLog(noon.Add(2*time.Minute), 3).rows(4, noon.Add(3*time.Minute), schema).rows(5, noon.Add(30*time.Minute), schema).rotate(noon.Add(2*time.Hour)))
	p, err := planned(t, early, mustList(t, dir), noon.Add(20*time.Minute))
	if err != nil || p.stop == nil || p.stop.Number != 5 || p.changes != 2 || len(p.logs) != 2 || p.logs[1].of.Dir != late.Dir {
		t.Errorf("%+v, %v", p, err)
	}
	// even if the backup's path is written differently
	chosen, err := choose(RestoreOptions{File: early.Dir + string(filepath.Separator)}, "", noon.Add(20*time.Minute))
	if err != nil || filepath.Dir(chosen.Dir) != dir {
		t.Errorf("%q, %v", chosen.Dir, err)
	}
	link := filepath.Join(t.TempDir(), "backups")
	if err := os.Symlink(dir, link); err == nil { // Windows does not let every user do this
		chosen.Dir = filepath.Join(link, early.name())
	}
	if p, err := planned(t, chosen, mustList(t, dir), noon.Add(20*time.Minute)); err != nil || len(p.logs) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	// without the later backup's logs, the moment cannot be reached
	if err := os.Remove(filepath.Join(late.Dir, logsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := planned(t, early, mustList(t, dir), noon.Add(20*time.Minute)); err == nil || !strings.Contains(err.Error(), "ends at") {
		t.Errorf("without the later logs: %v", err)
	}
}

// What happened between two backups is unknown if the log between them was not kept.
func TestWhatNoLogTellsIsNotTakenForNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	early := made(t, dir, noon, func(m *Manifest) { m.GTIDs, m.Log = uuid+":1-2", Position{"binlog.000007", 400} })
	late := made(t, dir, noon.Add(time.Hour), func(m *Manifest) { m.GTIDs, m.Log = uuid+":1-9", Position{"binlog.000007", 900} })
	if _, err := planned(t, early, mustList(t, dir), noon.Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "ends at") {
		t.Errorf("from %s, with %s: %v", early.name(), late.name(), err)
	}
	if p, err := planned(t, late, mustList(t, dir), late.Taken); err != nil || p.changes != 0 {
		t.Errorf("at its own moment: %+v, %v", p, err)
	}
}

func TestALogThatWasChangedIsNamed(t *testing.T) {
	t.Parallel()
	first := begunLog()
	b := afterTwo(t, first)
	keep(t, b, noon.Add(time.Hour), first.rows(3, noon.Add(time.Minute), schema).rotate(noon.Add(time.Hour)))
	name := filepath.Join(b.Dir, "binlog.000007.zst")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := planned(t, b, []Backup{b}, noon.Add(time.Minute)); err == nil || !strings.Contains(err.Error(), name+" is damaged") {
		t.Errorf("with %x in place of what it was: %v", sha256.Sum256(content), err)
	}
}

package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// made stores the same backup as stored, after change has altered its manifest.
func made(t *testing.T, dir string, taken time.Time, change func(*Manifest)) Backup {
	t.Helper()
	b := stored(t, dir, taken)
	change(&b.Manifest)
	if err := b.writeManifest(""); err != nil {
		t.Fatal(err)
	}
	return b
}

// upTo returns a change that sets a backup's place in the binary log and its transactions.
func upTo(file string, position uint64, gtids string) func(*Manifest) {
	return func(m *Manifest) { m.Log, m.GTIDs = Position{file, position}, gtids }
}

const source = "3e11fa47-71ca-11e1-9e33-c80aa9429562:"

func names(all []Backup) (list []string) {
	for _, b := range all {
		list = append(list, b.name())
	}
	return list
}

func mustList(t *testing.T, dir string) []Backup {
	t.Helper()
	all, unreadable, err := list(dir)
	if err != nil || len(unreadable) > 0 {
		t.Fatal(unreadable, err)
	}
	return all
}

func TestBackupsAreInTheOrderOfTheBinaryLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ahead := made(t, dir, noon.Add(time.Hour), upTo("binlog.000009", 4000, source+"1-10"))
	after := made(t, dir, noon, upTo("binlog.000010", 200, source+"1-12"))
	anew := made(t, dir, noon.Add(-time.Hour), func(m *Manifest) { upTo("binlog.000001", 158, source+"1")(m); m.Epoch = 1 })
	all := mustList(t, dir)
	if got, want := names(all), []string{ahead.name(), after.name(), anew.name()}; !slices.Equal(got, want) {
		t.Errorf("the order is %q, want %q", got, want)
	}
	if err := contradiction(all); err != nil {
		t.Error(err)
	}
	if _, err := newest(all[:2], "one", time.Time{}); err == nil || !strings.Contains(err.Error(), ahead.name()) || !strings.Contains(err.Error(), after.name()) {
		t.Errorf("a clock that was set back: %v; want both named", err)
	}
	// numbers of different lengths, beyond six digits
	if (Position{"binlog.999999", 9}).compare(Position{"binlog.1000000", 4}) >= 0 {
		t.Error("binlog.999999 comes after binlog.1000000")
	}
}

func TestBackupsThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	second := noon.Add(time.Hour)
	tests := map[string]struct {
		first, second func(*Manifest)
		says          string
	}{
		"one goes on where the other ended":                {upTo("binlog.000002", 157, source+"1-5"), upTo("binlog.000003", 157, source+"1-5:7"), ""},
		"the second lacks transactions":                    {upTo("binlog.000002", 157, source+"1-5"), upTo("binlog.000003", 157, source+"1-4"), "lacks transactions"},
		"the second has another server's":                  {upTo("binlog.000002", 157, source+"1-5"), upTo("binlog.000003", 157, "4e11fa47-71ca-11e1-9e33-c80aa9429562:1-9"), "lacks transactions"},
		"the second is of another log":                     {func(m *Manifest) { m.LogBegan = noon }, func(m *Manifest) { m.Log.At = 900; m.LogBegan = second }, "is of another binlog.000007"},
		"one is from before the log's beginning was noted": {func(m *Manifest) {}, func(m *Manifest) { m.Log.At = 900; m.LogBegan = second }, ""},
		"the log was begun anew and that was noted":        {upTo("binlog.000009", 157, source+"1-5"), func(m *Manifest) { upTo("binlog.000002", 157, source+"1-2")(m); m.Epoch = 1 }, ""},
		"a set that cannot be read":                        {upTo("binlog.000002", 157, source+"1-5"), upTo("binlog.000003", 157, source+"1-x"), "damaged"},
	}
	for name, test := range tests {
		dir := t.TempDir()
		first, last := made(t, dir, noon, test.first), made(t, dir, second, test.second)
		all := mustList(t, dir)
		err := contradiction(all)
		if (err != nil) != (test.says != "") || err != nil && (!strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), first.name()) || !strings.Contains(err.Error(), last.name())) {
			t.Errorf("%s: %v; want %q", name, err, test.says)
		}
		got, chosen := newest(all, "one", time.Time{})
		if (chosen == nil) != (err == nil) || chosen == nil && got.name() != last.name() {
			t.Errorf("%s: a restore starts from %q, %v", name, got.Dir, chosen)
		}
		removed, rotated := rotate(dir, 1, last)
		if (rotated == nil) != (err == nil) || err != nil && len(removed) != 0 || err == nil && !slices.Equal(removed, []string{first.name()}) {
			t.Errorf("%s: removed %q, %v", name, removed, rotated)
		}
	}
}

func TestASetOfTransactionsIsInAnother(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		small, large string
		want         bool
	}{
		{"", "", true},
		{"", source + "1", true},
		{source + "1", "", false},
		{source + "1-5", source + "1-5", true},
		{source + "2:4-5", source + "1-2:4-9", true},
		{source + "1-5", source + "1-2:4-9", false},
		{source + "1-5,\n4e11fa47-71ca-11e1-9e33-c80aa9429562:3", "4e11fa47-71ca-11e1-9e33-c80aa9429562:1-4," + source + "1-6", true},
		{source + "1-5:tag:1-3", source + "1-5:tag:1-3:tug:1", true},
		{source + "1-5:tag:1-3", source + "1-9", false},
	} {
		if got, err := subset(test.small, test.large); err != nil || got != test.want {
			t.Errorf("%q in %q: %v, %v", test.small, test.large, got, err)
		}
	}
	for _, bad := range []string{source, source + "1-", source + "a-2", source + "1-2x"} {
		if _, err := subset(bad, ""); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestTheNewestBackupsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all []Backup
	for i := range 5 {
		all = append(all, made(t, dir, noon.Add(time.Duration(i)*time.Hour), upTo("binlog.000007", uint64(100+i), "")))
	}
	other := made(t, dir, noon.Add(-time.Hour), func(m *Manifest) { m.ServerUUID = "another" })
	for _, name := range []string{"2026-11-23T18-00-00Z" + partial, "notes", "photos" + partial, "2026-11-23T17-00-00Z"} { // the last one is empty
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	half := filepath.Join(all[4].Dir, "binlog.000007.zst"+partial)
	if err := os.WriteFile(half, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sweep(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a binary log is left: %v", err)
	}
	removed, err := rotate(dir, 2, all[4])
	if err != nil || !slices.Equal(removed, names(all[:3])) {
		t.Errorf("removed %q, %v; want %q", removed, err, names(all[:3]))
	}
	// a backup made after the clock was set back is still the newest
	late := made(t, dir, noon, upTo("binlog.000008", 4, ""))
	if removed, err = rotate(dir, 1, late); err != nil || !slices.Equal(removed, names(all[3:])) {
		t.Errorf("removed %q, %v; want %q", removed, err, names(all[3:]))
	}
	if _, err := os.Stat(other.Dir); err != nil {
		t.Errorf("another server's is gone: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 5 || !slices.Contains(left, filepath.Join(dir, "photos"+partial)) {
		t.Errorf("left are %q, %v", left, err)
	}
}

func TestARestoreStartsFromTheNewestBackupBeforeTheMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 3 {
		made(t, dir, noon.Add(time.Duration(i)*time.Hour), upTo("binlog.000007", uint64(100+i), ""))
	}
	for to, want := range map[string]string{"": "2026-11-23T14-00-00Z", "2026-11-23 13:59:59.999999": "2026-11-23T13-00-00Z", "2026-11-23 14:00:00": "2026-11-23T14-00-00Z", "2026-11-23 11:59": ""} {
		var moment time.Time
		if to != "" {
			var err error
			if moment, err = ParseTo(to); err != nil {
				t.Fatal(err)
			}
		}
		got, err := choose(RestoreOptions{Dir: dir}, "one", moment)
		if (err == nil) != (want != "") || err == nil && got.name() != want {
			t.Errorf("to %q it starts from %q, %v; want %q", to, got.Dir, err, want)
		}
	}
	if _, err := choose(RestoreOptions{File: filepath.Join(dir, "2026-11-23T14-00-00Z", manifestFile)}, "one", noon.Add(time.Hour)); err == nil {
		t.Error("a backup that is too new is taken")
	}
	if _, err := choose(RestoreOptions{File: filepath.Join(dir, "nope")}, "one", time.Time{}); err == nil || !strings.Contains(err.Error(), "FILE names the folder of a backup") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := choose(RestoreOptions{Dir: t.TempDir()}, "one", time.Time{}); err == nil || !strings.Contains(err.Error(), "make backup") {
		t.Errorf("without a backup: %v", err)
	}
}

func TestOfSeveralServersTheRunningOneCountsWhereItIsTheNewest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := made(t, dir, noon, func(m *Manifest) { m.ServerUUID = "a" })
	late := made(t, dir, noon.Add(time.Hour), func(m *Manifest) { m.ServerUUID = "b" })
	all := mustList(t, dir)
	if got, err := newest(all, "b", time.Time{}); err != nil || got.name() != late.name() {
		t.Errorf("on b: %q, %v", got.Dir, err)
	}
	if got, err := newest(all, "b", noon); err != nil || got.name() != old.name() {
		t.Errorf("to a moment at which only the other had one: %q, %v", got.Dir, err)
	}
	for _, here := range []string{"a", "c"} {
		if _, err := newest(all, here, time.Time{}); err == nil || !strings.Contains(err.Error(), old.name()) || !strings.Contains(err.Error(), late.name()) {
			t.Errorf("on %s: %v; want both named", here, err)
		}
	}
	if _, err := newest(nil, "a", time.Time{}); !errors.Is(err, errNone) {
		t.Error(err)
	}
}

func TestAnUnreadableBackupIsNotPassedOver(t *testing.T) {
	t.Parallel()
	damage := map[string]func(b Backup) error{
		"no manifest":     func(b Backup) error { return os.Remove(filepath.Join(b.Dir, manifestFile)) },
		"half a manifest": func(b Backup) error { return os.Truncate(filepath.Join(b.Dir, manifestFile), 40) },
		"no dump":         func(b Backup) error { return os.Remove(filepath.Join(b.Dir, b.Dump)) },
		"half a dump":     func(b Backup) error { return os.Truncate(filepath.Join(b.Dir, b.Dump), b.Size/2) },
		"a link to nowhere": func(b Backup) error {
			return errors.Join(os.RemoveAll(b.Dir), os.Symlink(b.Dir+" elsewhere", b.Dir))
		},
		"a file": func(b Backup) error {
			return errors.Join(os.RemoveAll(b.Dir), os.WriteFile(b.Dir, nil, 0o600))
		},
		"another's manifest": func(b Backup) error { return os.WriteFile(filepath.Join(b.Dir, manifestFile), []byte("{}"), 0o600) },
	}
	for name, do := range damage {
		dir := t.TempDir()
		good := made(t, dir, noon, upTo("binlog.000007", 100, ""))
		bad := made(t, dir, noon.Add(time.Hour), upTo("binlog.000007", 200, ""))
		if err := do(bad); err != nil {
			t.Fatal(err)
		}
		if _, err := choose(RestoreOptions{Dir: dir}, "one", time.Time{}); err == nil || !strings.Contains(err.Error(), bad.name()) {
			t.Errorf("%s: %v; want %s named", name, err, bad.name())
		}
		if got, err := choose(RestoreOptions{Dir: dir, File: good.Dir}, "one", time.Time{}); err != nil || got.name() != good.name() {
			t.Errorf("%s, with another one named: %v", name, err)
		}
	}
}

func TestABackupThatWasMovedAndLinkedToIsSeen(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	made(t, dir, noon, upTo("binlog.000007", 100, ""))
	moved := made(t, elsewhere, noon.Add(time.Hour), upTo("binlog.000007", 200, ""))
	if err := os.Symlink(moved.Dir, filepath.Join(dir, moved.name())); err != nil {
		t.Skip(err) // Windows does not let every user do this
	}
	if got, err := choose(RestoreOptions{Dir: dir}, "one", time.Time{}); err != nil || got.name() != moved.name() {
		t.Errorf("%q, %v; want %q", got.name(), err, moved.name())
	}
}

func TestANameThatLeadsOutOfABackupIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../../etc/x.000007", "/etc/x.000007", "binlog.7", "binlog.-00001", "binlog.000007\n", "a b.000007", "..000007", "binlog.9999999999"} {
		b := made(t, t.TempDir(), noon, upTo(name, 100, ""))
		if _, err := open(b.Dir); err == nil || !strings.Contains(err.Error(), "no log is called") {
			t.Errorf("the backup is of the log %q: %v", name, err)
		}
		b = made(t, t.TempDir(), noon, upTo("binlog.000007", 100, ""))
		for _, log := range []Log{{Name: name, File: "binlog.000007.zst"}, {Name: "binlog.000007", File: "../" + name}} {
			if err := b.writeLogs(Logs{Files: []Log{log}}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.logs(); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("its list has the log %v: %v", log, err)
			}
		}
	}
	for _, name := range []string{"binlog.000007", "mysql-bin.1000000", "host.example-bin.000001"} {
		b := made(t, t.TempDir(), noon, upTo(name, 100, ""))
		if _, err := open(b.Dir); err != nil {
			t.Error(err)
		}
	}
}

func TestASecondThatComesTwiceGetsAnotherName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stored(t, dir, noon)
	got, err := freeName(dir, noon)
	if err != nil || filepath.Base(got) != noon.Add(time.Second).Format(nameLayout) {
		t.Errorf("%q, %v", got, err)
	}
}

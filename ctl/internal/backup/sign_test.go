package backup

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newKey makes a key and returns its file.
func newKey(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := NewKey(io.Discard, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func mustKey(t *testing.T, file string) key {
	t.Helper()
	k, err := readKey(file)
	if err != nil || len(k.signers) != 1 || len(k.recipients) != 1 {
		t.Fatalf("%s has %d signing keys and is for %q, %v", file, len(k.signers), k.recipients, err)
	}
	return k
}

func mustSigners(t *testing.T, file string) []ed25519.PrivateKey {
	t.Helper()
	return mustKey(t, file).signers
}

// signedBackup makes a backup with two binary logs, using the server's part of a key.
func signedBackup(t *testing.T, dir, key string, taken time.Time) Backup {
	t.Helper()
	k := mustKey(t, key+serverSuffix)
	b := stored(t, dir, taken, k.recipients...)
	b.signers = k.signers
	sums := map[string]string{}
	for _, name := range []string{b.Dump, "binlog.000007", "binlog.000008"} {
		content, err := os.ReadFile(filepath.Join(b.Dir, name))
		if errors.Is(err, os.ErrNotExist) {
			content = []byte("of " + name + " of " + b.name())
			err = os.WriteFile(filepath.Join(b.Dir, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	if err := b.writeManifest(sums[b.Dump]); err != nil {
		t.Fatal(err)
	}
	logs := Logs{Until: taken.Add(time.Minute)}
	for _, name := range []string{"binlog.000007", "binlog.000008"} {
		logs.Files = append(logs.Files, Log{Name: name, File: name, SHA256: sums[name]})
		if err := b.writeLogs(logs); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// whole makes the checks that a restore makes before it uses a backup.
func whole(t *testing.T, dir string, keys []ed25519.PrivateKey) error {
	b, err := open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(b.verify(t.Context()), b.authenticate(keys)); err != nil {
		return err
	}
	b.signers = keys
	logs, err := b.logs()
	for _, log := range logs.Files {
		err = errors.Join(err, b.compare(t.Context(), log.File, log.SHA256))
	}
	return err
}

func TestABackupThatAnybodyChangedIsNotTheKeyHoldersAnyMore(t *testing.T) {
	t.Parallel()
	key, stranger := newKey(t), newKey(t)
	keys := mustSigners(t, key)
	copyFile := func(name string) func(t *testing.T, b, other Backup) {
		return func(t *testing.T, b, other Backup) {
			content, err := os.ReadFile(filepath.Join(other.Dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(b.Dir, name), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	edit := func(name, from, to string) func(t *testing.T, b, _ Backup) {
		return func(t *testing.T, b, _ Backup) {
			content, err := os.ReadFile(filepath.Join(b.Dir, name))
			if err != nil || !strings.Contains(string(content), from) {
				t.Fatalf("%s has no %q, %v", name, from, err)
			}
			if err := os.WriteFile(filepath.Join(b.Dir, name), []byte(strings.ReplaceAll(string(content), from, to)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// sums recalculates the checksums, as anyone who can change a file can
	sums := func(t *testing.T, b Backup) {
		changed, err := open(b.Dir)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(b.Dir, changed.Dump))
		if err != nil {
			t.Fatal(err)
		}
		if err := changed.writeManifest(fmt.Sprintf("%x", sha256.Sum256(content))); err != nil {
			t.Fatal(err)
		}
	}
	all := func(steps ...func(t *testing.T, b, other Backup)) func(t *testing.T, b, other Backup) {
		return func(t *testing.T, b, other Backup) {
			for _, step := range steps {
				step(t, b, other)
			}
		}
	}
	resum := func(t *testing.T, b, _ Backup) { sums(t, b) }
	tests := map[string]func(t *testing.T, b, other Backup){
		"nothing":                         nil,
		"another dump, with its checksum": all(copyFile(schema+".sql.zst.age"), resum),
		"another dump, with all checksums of another": all(copyFile(schema+".sql.zst.age"), copyFile(sumsFile), copyFile(signatureFile)),
		"the manifest, with its checksum":             all(edit(manifestFile, "binlog.000007", "binlog.000006"), resum),
		"the manifest of another":                     all(copyFile(manifestFile), copyFile(sumsFile), copyFile(signatureFile)),
		"a binary log":                                copyFile("binlog.000008"),
		"the list of binary logs of another":          copyFile(logsFile),
		"the end of the list":                         edit(logsFile, `"binlog.000008"`, `"binlog.000007"`),
		"until when the list goes":                    edit(logsFile, noon.Add(time.Minute).Format(time.RFC3339), noon.Add(time.Hour).Format(time.RFC3339)),
		"no signature of the list":                    edit(logsFile, `"Signature"`, `"Unknown"`),
		"no signature":                                func(t *testing.T, b, _ Backup) { os.Remove(filepath.Join(b.Dir, signatureFile)) },
		"half a signature":                            func(t *testing.T, b, _ Backup) { os.Truncate(filepath.Join(b.Dir, signatureFile), 40) },
		"all of it, signed by a stranger": func(t *testing.T, b, _ Backup) {
			if err := os.RemoveAll(b.Dir); err != nil {
				t.Fatal(err)
			}
			signedBackup(t, filepath.Dir(b.Dir), stranger, noon)
		},
	}
	for name, change := range tests {
		dir := t.TempDir()
		b, other := signedBackup(t, dir, key, noon), signedBackup(t, dir, key, noon.Add(time.Hour))
		if change != nil {
			change(t, b, other)
		}
		if err := whole(t, b.Dir, keys); (err != nil) != (change != nil) {
			t.Errorf("changed is %s: %v", name, err)
		}
		if err := whole(t, other.Dir, keys); err != nil {
			t.Errorf("the other one: %v", err)
		}
	}
	// if the list itself is missing, the backup covers nothing after its own moment, so a later one is refused
	b := signedBackup(t, t.TempDir(), key, noon)
	if err := os.Remove(filepath.Join(b.Dir, logsFile)); err != nil {
		t.Fatal(err)
	}
	if logs, err := b.logs(); err != nil || !logs.Until.Equal(b.Taken) {
		t.Errorf("without its list a backup goes until %v, %v", logs.Until, err)
	}
}

func TestOnlyASignedBackupIsRestoredWithAKey(t *testing.T) {
	t.Parallel()
	file, dir := newKey(t), t.TempDir()
	mine, signed, unsigned := mustKey(t, file), signedBackup(t, dir, file, noon), stored(t, dir, noon.Add(time.Hour))
	var warned []string
	warn := func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }
	if err := mine.trusts(signed, false, warn); err != nil {
		t.Error(err)
	}
	if err := (key{}).trusts(unsigned, false, warn); err != nil {
		t.Errorf("without a key: %v", err)
	}
	if err := mine.trusts(unsigned, false, warn); err == nil || !strings.Contains(err.Error(), "UNSIGNED=1") {
		t.Errorf("one that nobody has signed: %v", err)
	}
	if len(warned) != 0 {
		t.Errorf("warned of %q", warned)
	}
	if err := mine.trusts(unsigned, true, warn); err != nil || len(warned) != 1 {
		t.Errorf("one that is taken all the same: %v, %q", err, warned)
	}
	if err := mustKey(t, newKey(t)).trusts(signed, true, warn); err == nil {
		t.Error("one that another key has signed is taken as one that nobody has")
	}
	// nor do the logs of an unsigned backup continue a signed one
	all := []Backup{signed, unsigned}
	warned = nil
	if some := mine.trusted(all, false, warn); len(some) != 1 || some[0].name() != signed.name() || len(warned) != 1 {
		t.Errorf("logs are taken from %q, %q", names(some), warned)
	}
	if some := mine.trusted(all, true, warn); len(some) != 2 {
		t.Errorf("with those that nobody has signed: %q", names(some))
	}
	if err := os.WriteFile(filepath.Join(signed.Dir, manifestFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if some := mine.trusted(all, false, warn); len(some) != 0 {
		t.Errorf("with another manifest: %q", names(some))
	}
	// adding to an unsigned backup does not make it signed
	unsigned.signers = mine.signers
	if err := unsigned.writeLogs(Logs{Until: noon}); err != nil {
		t.Fatal(err)
	}
	if logs, err := unsigned.logs(); err != nil || logs.Signature != "" {
		t.Errorf("%+v, %v", logs, err)
	}
}

func TestAServersKeyMakesBackupsAndOpensNone(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	if mustKey(t, key+serverSuffix).identities != nil {
		t.Error("it opens backups")
	}
	if a, b := mustSigners(t, key)[0], mustSigners(t, key+serverSuffix)[0]; !a.Equal(b) {
		t.Error("the server signs with another key than the one that is checked with")
	}
	text, err := os.ReadFile(key + serverSuffix)
	if err != nil || strings.Contains(string(text), "AGE-SECRET-KEY") {
		t.Errorf("%s, %v", text, err)
	}
	for _, name := range []string{key, key + serverSuffix} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if err := os.WriteFile(key+serverSuffix, []byte(strings.Replace(string(text), signingPrefix, signingPrefix+"x", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readKey(key + serverSuffix); err == nil || strings.Contains(err.Error(), signingPrefix) {
		t.Errorf("of a damaged signing key: %v", err)
	}
}

func TestWithoutItsKeyASignedBackupStaysAsItIs(t *testing.T) {
	t.Parallel()
	key, stranger := newKey(t), newKey(t)
	keys := mustSigners(t, key)
	b := signedBackup(t, t.TempDir(), key, noon)
	for name, signers := range map[string][]ed25519.PrivateKey{"no key": nil, "another key": mustSigners(t, stranger)} {
		b.signers = signers
		if err := (database{}).archiveFor(t.Context(), nil, server{}, b, 0, noon.Add(time.Hour), nil); err == nil || !strings.Contains(err.Error(), "key") {
			t.Errorf("with %s: %v", name, err)
		}
		if err := whole(t, b.Dir, keys); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	b.signers = keys
	if err := (database{}).archiveFor(t.Context(), nil, server{}, b, 0, noon.Add(time.Hour), nil); err != nil {
		t.Error(err)
	}
	if err := whole(t, b.Dir, keys); err != nil {
		t.Error(err)
	}
}

func TestANewKeyIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, there := range []string{"", serverSuffix} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file+there, []byte("an older one"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := NewKey(io.Discard, file); err == nil {
			t.Errorf("it writes over %q", file+there)
		}
		entries, err := os.ReadDir(filepath.Dir(file))
		if err != nil || len(entries) != 1 {
			t.Errorf("beside %q there is %v, %v", file+there, entries, err)
		}
	}
}

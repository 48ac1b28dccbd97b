package secrets

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// ours are files that the user running the test may own.
var ours = []File{
	{"one", os.Getuid(), os.Getgid(), 0o400},
	{"two", os.Getuid(), os.Getgid(), 0o440},
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestMakeMakesWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made, err := Make(dir, ours)
	if err != nil || !slices.Equal(made, []string{"one", "two"}) {
		t.Fatalf("made %v, %v", made, err)
	}
	for _, f := range ours {
		info, err := os.Stat(filepath.Join(dir, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != f.Mode {
			t.Errorf("%s has mode %o, want %o", f.Name, info.Mode(), f.Mode)
		}
		if text := read(t, filepath.Join(dir, f.Name)); !regexp.MustCompile(`^[0-9A-Za-z]{32}$`).MatchString(text) {
			t.Errorf("%s holds %q, want 32 letters and digits", f.Name, text)
		}
	}
	if read(t, filepath.Join(dir, "one")) == read(t, filepath.Join(dir, "two")) {
		t.Error("both are the same")
	}
}

func TestMakeNeverChangesWhatExists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one := filepath.Join(dir, "one")
	if err := os.WriteFile(one, []byte("mine"), 0o640); err != nil {
		t.Fatal(err)
	}
	made, err := Make(dir, ours)
	if err != nil || !slices.Equal(made, []string{"two"}) {
		t.Fatalf("made %v, %v; want two", made, err)
	}
	if info, err := os.Stat(one); err != nil || info.Mode() != 0o640 || read(t, one) != "mine" {
		t.Errorf("the file that existed has changed: %v, %v", info, err)
	}
	if made, err := Make(dir, ours); err != nil || made != nil {
		t.Errorf("a second run made %v, %v; want nothing", made, err)
	}
}

func TestMakeCleansUpAfterARunThatWasCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, f := range ours {
		if err := os.WriteFile(filepath.Join(dir, "."+f.Name+".new"), []byte("ha"), 0o000); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "two"), []byte("whole"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(dir, ours); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"one", "two"}) || len(read(t, filepath.Join(dir, "one"))) != 32 || read(t, filepath.Join(dir, "two")) != "whole" {
		t.Errorf("left %v", names)
	}
}

func TestMakeSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	if made, err := Make(filepath.Join(t.TempDir(), "missing"), ours); err == nil {
		t.Errorf("made %v in a directory that does not exist", made)
	}
}

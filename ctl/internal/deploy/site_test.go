package deploy

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"oneserver/ctl/internal/stack"
)

// The docker command prints a warning about its own configuration to its standard error.
func TestAWarningOfDockersBecomesNoPartOfWhatIsRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for docker is a shell script")
	}
	dir := t.TempDir()
	script := "#!/bin/sh\necho 'WARNING: Error loading config file: invalid character' >&2\ncase \"$*\" in *fails*) echo 'nginx: unknown directive'; exit 1 ;; esac\ncat\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	s := &site{Stack: stack.New("")}
	if got, err := s.inWeb(t.Context(), byName, "cat"); err != nil || got != byName {
		t.Errorf("it reads %q, %v", got, err)
	}
	got, err := s.inWeb(t.Context(), "", "fails")
	if err == nil || got != "nginx: unknown directive\n" || !strings.Contains(err.Error(), "WARNING") {
		t.Errorf("of a command that fails it reads %q, %v", got, err)
	}
}

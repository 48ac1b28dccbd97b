package deploy

import (
	"strings"
	"testing"

	"oneserver/ctl/internal/stack"
)

// The docker command prints a warning about its own configuration to its standard error.
func TestAWarningOfDockersBecomesNoPartOfWhatIsRead(t *testing.T) {
	standIn(t, "echo 'WARNING: Error loading config file: invalid character' >&2\ncase \"$*\" in *fails*) echo 'nginx: unknown directive'; exit 1 ;; esac\ncat\n")
	s := &site{Stack: stack.New("")}
	if got, err := s.inWeb(t.Context(), byName, "cat"); err != nil || got != byName {
		t.Errorf("it reads %q, %v", got, err)
	}
	got, err := s.inWeb(t.Context(), "", "fails")
	if err == nil || got != "nginx: unknown directive\n" || !strings.Contains(err.Error(), "WARNING") {
		t.Errorf("of a command that fails it reads %q, %v", got, err)
	}
}

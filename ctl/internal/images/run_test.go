package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/terminal"
)

// plain returns a reporter without a terminal, and what it prints.
func plain(t *testing.T) (*Runner, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	r := NewRunner(terminal.NewTeller(&out))
	r.logPath = filepath.Join(t.TempDir(), "images.log")
	return r, &out
}

func TestFailedCommandShowsItsLastLinesAndItsLog(t *testing.T) {
	t.Parallel()
	r, _ := plain(t)
	r.Begin("counting")
	err := r.Fail(r.run(t.Context(), silence, func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "sh", "-c", "seq 100; exit 3")
	}))
	for _, part := range []string{"counting: exit status 3", "\n  | 81\n", "\n  | 100\n", r.logPath} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if strings.Contains(fmt.Sprint(err), "| 80\n") {
		t.Errorf("more than %d lines in: %v", tailLines, err)
	}
}

func TestSilentCommandIsGivenUp(t *testing.T) {
	t.Parallel()
	r, _ := plain(t)
	r.Begin("waiting")
	begun := time.Now()
	err := r.Fail(r.run(t.Context(), patience{first: 50 * time.Millisecond}, func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "sleep", "60")
	}))
	if took := time.Since(begun); !errors.Is(err, errSilent) || took > 30*time.Second {
		t.Errorf("after %s: %v; want %v", took, err, errSilent)
	}
}

// Without a terminal a pull names its layers and then prints nothing until one of them is complete.
func TestAPullThatHasBegunMayBeSilent(t *testing.T) {
	t.Parallel()
	r, _ := plain(t)
	r.Begin("pulling")
	err := r.run(t.Context(), patience{first: 2 * time.Second}, func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "sh", "-c", "echo 9.7: Pulling from library/mysql; sleep 3")
	})
	r.End()
	if err != nil {
		t.Error(err)
	}
}

func TestInterruptionIsNotReportedAsTheCommandsFault(t *testing.T) {
	t.Parallel()
	r, _ := plain(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.Begin("waiting")
	err := r.Fail(r.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		cancel()
		return exec.CommandContext(ctx, "sleep", "60")
	}))
	var failed *commandError
	if !errors.Is(err, context.Canceled) || errors.As(err, &failed) {
		t.Errorf("%v; want %v alone", err, context.Canceled)
	}
}

func TestRefusedPullIsToldFromOneThatBrokeOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script string
		began  bool
	}{
		{"echo 'Error response from daemon: no such host' >&2; exit 1", false},
		{"echo '9.7: Pulling from library/mysql'; echo 'unexpected EOF' >&2; exit 1", true},
	} {
		r, _ := plain(t)
		r.Begin("pulling")
		err := r.run(t.Context(), silence, func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, "sh", "-c", c.script)
		})
		r.End()
		var failed *commandError
		if !errors.As(err, &failed) || failed.stdout != c.began {
			t.Errorf("%s: %+v; want stdout %t", c.script, failed, c.began)
		}
		if !c.began && failed.reason() != "no such host" {
			t.Errorf("the reason is %q", failed.reason())
		}
	}
}

func TestStepWithoutATerminalPrintsPlainLines(t *testing.T) {
	t.Parallel()
	r, out := plain(t)
	r.Begin("looking")
	r.End()
	r.Begin("building")
	r.Done("built %s", "it")
	if got := out.String(); !strings.HasPrefix(got, "✓ built it (") || strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("printed %q", got)
	}
}

package docker

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/server"
)

// fake puts a shell script in docker's place. These tests examine how a docker command is run and ended.
func fake(t *testing.T, script string) CLI {
	t.Helper()
	dockertest.Replace(t, script)
	return CLI{Server: server.Local{}}
}

func TestAnErrorCarriesWhatDockerSaid(t *testing.T) {
	cli := fake(t, `echo "[]"; echo "Error: no such image" >&2; exit 1`)
	out, err := cli.Output(t.Context(), "image", "inspect", "none")
	if out != "[]\n" || err == nil || err.Error() != "docker image inspect none: Error: no such image" {
		t.Errorf("Output = %q, %v", out, err)
	}
}

func TestAMissingCommandIsTold(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := (CLI{Server: server.Local{}}).Output(t.Context(), "ps"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("without docker: %v", err)
	}
}

// If Compose is killed, it leaves half a stack behind; if it is interrupted, it stops cleanly.
func TestAnEndedContextInterruptsAndDoesNotKill(t *testing.T) {
	cli := fake(t, `trap 'echo cleaned up; exit 0' INT; echo ready; while :; do sleep 0.05; done`)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := cli.Command(ctx, "compose", "up")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if said = append(said, lines.Text()); lines.Text() == "ready" {
			cancel()
		}
	}
	cancel()
	if err := cmd.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v, want that its context was cancelled", err)
	}
	if got := strings.Join(said, ", "); got != "ready, cleaned up" {
		t.Errorf("it said %q", got)
	}
}

// noting is a server that notes the context of a command and runs another in its place.
type noting struct{ ctx *context.Context }

func (n noting) Command(ctx context.Context, _ []string, _ string, _ ...string) *exec.Cmd {
	*n.ctx = ctx
	return exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
}

// An engine that hangs accepts the question and never answers, and docker waits.
func TestACommandHasATimeLimitWhateverItsCaller(t *testing.T) {
	t.Parallel()
	var used context.Context
	cli := CLI{Server: noting{&used}}
	if _, err := cli.Output(t.Context(), "ps"); err != nil {
		t.Fatal(err)
	}
	if until, limited := used.Deadline(); !limited || time.Until(until) > 10*time.Minute {
		t.Errorf("without a limit of its own it may run until %v", until)
	}
	own, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := cli.Output(own, "wait"); err != nil {
		t.Fatal(err)
	}
	if until, _ := used.Deadline(); time.Until(until) < 59*time.Minute {
		t.Errorf("its caller allows an hour, and it may run until %v", until)
	}
}

func TestACommandThatIsCutOffSaysWhy(t *testing.T) {
	cli := fake(t, `echo "Error: No such container: a" >&2; exec sleep 60`)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errNoAnswer)
	defer cancel()
	_, err := cli.Output(ctx, "rm", "a", "b")
	if !errors.Is(err, errNoAnswer) || !strings.Contains(err.Error(), "cut off after ") || !strings.Contains(err.Error(), "make doctor says what to do") || !strings.Contains(err.Error(), "No such container: a") {
		t.Errorf("it ends with %v", err)
	}
	if Gone(err) {
		t.Error("what became of b is not known, and both count as gone")
	}
}

func TestTheTimeIsTheEngines(t *testing.T) {
	cli := fake(t, `echo 2031-05-06T07:08:09.5Z`)
	if now, err := cli.Now(t.Context()); err != nil || !now.Equal(time.Date(2031, 5, 6, 7, 8, 9, 5e8, time.UTC)) {
		t.Errorf("it is %v, %v", now, err)
	}
}

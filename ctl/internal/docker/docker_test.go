package docker

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"oneserver/ctl/internal/server"
)

// fake puts a shell script in docker's place. These tests examine how a docker command is run and ended.
func fake(t *testing.T, script string) CLI {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for docker is a shell script")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
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

// Package docker runs the docker command line. The tool drives Docker and Compose through it rather than linking
// them, so that it does what a person at the same prompt would do, with the same settings, contexts and plugins.
package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// CLI is the docker command as run in one folder with one environment.
type CLI struct {
	Dir string   // where it runs; compose.yaml and .env are looked for here
	Env []string // as in os/exec: nil means this process's own
}

// Command prepares a docker command. When ctx ends it is interrupted as Ctrl-C would, so that it can clean up behind
// itself, and killed 10 s later.
func (c CLI) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.WaitDelay = 10 * time.Second
	if runtime.GOOS != "windows" { // where a process can only be killed
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	}
	return cmd
}

// Output runs a docker command and returns what it printed, also when it failed: an inspect of several things prints
// those that it found. The error carries what docker said on its standard error.
func (c CLI) Output(ctx context.Context, args ...string) (string, error) {
	return c.OutputOf(c.Command(ctx, args...))
}

// OutputOf is Output for a command that was prepared by Command and changed since, to give it an input for example.
func (c CLI) OutputOf(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			err = errors.New(said)
		}
		return stdout.String(), fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return stdout.String(), nil
}

// Getenv returns a variable as docker sees it.
func (c CLI) Getenv(name string) string {
	if c.Env == nil {
		return os.Getenv(name)
	}
	var value string
	for _, entry := range c.Env { // the last one counts, as in os/exec
		if key, v, _ := strings.Cut(entry, "="); key == name {
			value = v
		}
	}
	return value
}

// Package docker runs the docker command line. The tool drives Docker and Compose through it rather than linking
// them, so that it does what a person at the same prompt would do, with the same settings, contexts and plugins.
package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"oneserver/ctl/internal/server"
)

// CLI is the docker command on one server.
type CLI struct {
	Server server.Server
	Env    []string // as in os/exec: nil means the server's own
	// OwnGroup shields the commands from what a terminal sends to all programs on it: see server.OwnGroup.
	OwnGroup bool
}

// Command prepares a docker command.
func (c CLI) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := c.Server.Command(ctx, c.Env, "docker", args...)
	if c.OwnGroup {
		server.OwnGroup(cmd)
	}
	return cmd
}

// Output runs a docker command and returns its output, even if it failed: an inspect of several things prints
// those that it found. The error carries what docker printed on its standard error.
func (c CLI) Output(ctx context.Context, args ...string) (string, error) {
	return Output(c.Command(ctx, args...))
}

// OutputFrom is like Output, for a command that reads input.
func (c CLI) OutputFrom(ctx context.Context, in io.Reader, args ...string) (string, error) {
	cmd := c.Command(ctx, args...)
	cmd.Stdin = in
	return Output(cmd)
}

// Output does what CLI.Output does, for a prepared command.
func Output(cmd *exec.Cmd) (string, error) {
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

// With returns the same CLI with further environment variables.
func (c CLI) With(variables ...string) CLI {
	if c.Env == nil {
		c.Env = os.Environ()
	}
	c.Env = append(slices.Clone(c.Env), variables...)
	return c
}

// Getenv returns the value of an environment variable as docker sees it.
func (c CLI) Getenv(name string) string {
	if c.Env == nil {
		return os.Getenv(name)
	}
	for _, entry := range slices.Backward(c.Env) { // the last one counts, as in os/exec
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}

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
	"time"

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

// answersWithin limits a command whose context has no time limit of its own. Such a command takes a second, or some ten on a
// busy machine with a slow disk.
const answersWithin = 2 * time.Minute

// errNoAnswer says what to do about an engine that hangs: docker itself would wait for it for ever.
var errNoAnswer = errors.New("the Docker Engine does not answer in time: make doctor says what to do if it hangs")

// Confined are options of docker's run and create for an image that is here, whose container gets no privileges and cannot
// write to its own files. What it needs besides, each caller adds: its network first of all.
var Confined = []string{"--pull", "never", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"}

// Limit returns a context for a command. If ctx has no time limit, the command has answersWithin.
func Limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, limited := ctx.Deadline(); limited {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, answersWithin, errNoAnswer)
}

// Output runs a docker command and returns its output, even if it failed: an inspect of several things prints
// those that it found. The error carries what docker printed on its standard error, and why the context has ended if it has.
// Limit bounds the command.
func (c CLI) Output(ctx context.Context, args ...string) (string, error) {
	return c.OutputFrom(ctx, nil, args...)
}

// OutputFrom is like Output, for a command that reads input.
func (c CLI) OutputFrom(ctx context.Context, in io.Reader, args ...string) (string, error) {
	ctx, cancel := Limit(ctx)
	defer cancel()
	cmd := c.Command(ctx, args...)
	cmd.Stdin = in
	return Output(ctx, cmd)
}

// Output does what CLI.Output does, for a command that was prepared with ctx. It sets no time limit.
func Output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	said := strings.TrimSpace(stderr.String())
	switch cause := context.Cause(ctx); {
	case cause != nil: // err is only how docker took that
		err = cutOffError{cause, time.Since(began), said}
	case said != "":
		err = errors.New(said)
	}
	return stdout.String(), fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
}

// CutOff reports whether err itself is that of a command which was cut off. What it wraps is only the reason.
func CutOff(err error) bool {
	_, is := err.(cutOffError)
	return is
}

// cutOffError is the error of a command that the end of its context has ended.
type cutOffError struct {
	cause error
	after time.Duration
	said  string // what docker printed until then
}

func (e cutOffError) Unwrap() error { return e.cause }

func (e cutOffError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("cut off after %.1f s: %v: %s", e.after.Seconds(), e.cause, e.said), ": ")
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

// Package server knows where the stack runs. Whatever this tool starts there, it starts through a Server.
package server

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// A Server is a machine that the stack runs on.
type Server interface {
	// Command prepares a program in the stack's folder there, with this environment; nil is the server's own. When ctx ends,
	// the program is interrupted as by Ctrl-C, so that it can clean up after itself, and killed 10 s later.
	Command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd
}

// Local is this machine.
type Local struct {
	Dir string // where programs run; empty for this program's folder
}

// Command implements Server.
func (l Local) Command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = l.Dir, env, 10*time.Second
	if runtime.GOOS != "windows" { // where a process can only be killed
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	}
	return cmd
}

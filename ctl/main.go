// Command oneserver drives the stack of compose.yaml: it checks what could keep it from starting, starts it, follows a
// request through it, deploys to it, backs up and restores its data, removes it, and gets and moves its images. The Makefile
// calls it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"oneserver/ctl/cmd"
	"oneserver/ctl/internal/drill"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP) // the terminal is gone
	}
	signal.Ignore(syscall.SIGPIPE) // nobody reads our output any more, but that is no reason to leave a site half changed
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends this program immediately
	err := cmd.Root().ExecuteContext(ctx)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, final(ctx, err))
	os.Exit(1)
}

// final returns the error to print. After Ctrl-C it still has what the command says: how far it has come, and what it could
// not put back. No advice is added, since the same command, given again, would not always go on from there.
func final(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, context.Cause(ctx)) || errors.Is(err, drill.ErrInterrupted) { // the error says so itself
		return err
	}
	return fmt.Errorf("interrupted: %w", err)
}

// Command oneserver drives the stack of compose.yaml: it checks what could keep it from starting, starts it, follows a request
// through it, deploys to it, backs its data up and restores it, takes it away, and gets and moves its images. The Makefile is
// its user.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"oneserver/ctl/cmd"
	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/drill"
	"oneserver/ctl/internal/lifecycle"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP) // the terminal is gone
	}
	signal.Ignore(syscall.SIGPIPE) // nobody reads what we say any more: no reason to leave a site half changed
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends this program at once
	err := cmd.Root().ExecuteContext(ctx)
	if err == nil {
		return
	}
	if ctx.Err() != nil && !errors.Is(err, lifecycle.ErrDeclined) && !errors.Is(err, drill.ErrInterrupted) && !errors.Is(err, backup.ErrUnchanged) {
		err = errors.New("interrupted; the same command goes on from here")
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

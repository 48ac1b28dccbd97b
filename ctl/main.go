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
	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/drill"
	"oneserver/ctl/internal/lifecycle"
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
	if ctx.Err() != nil && !errors.Is(err, lifecycle.ErrDeclined) && !errors.Is(err, drill.ErrInterrupted) && !errors.Is(err, backup.ErrUnchanged) {
		err = errors.New("interrupted; the same command goes on from here")
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

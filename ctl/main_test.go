package main

import (
	"context"
	"errors"
	"testing"

	"oneserver/ctl/internal/drill"
)

func TestAfterCtrlCTheErrorIsStillPrinted(t *testing.T) {
	t.Parallel()
	pressed := errors.New("interrupt signal received")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := errors.New("the copy could not be removed")
	if got := final(ctx, failed); got != failed {
		t.Errorf("without Ctrl-C it says %v", got)
	}
	cancel(pressed)
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.Join(pressed, failed), "interrupt signal received\nthe copy could not be removed"},
		{errors.Join(errors.New("docker compose up: signal: interrupt"), failed), "interrupted: docker compose up: signal: interrupt\nthe copy could not be removed"},
		{errors.New("the data is restored, but not migrated"), "interrupted: the data is restored, but not migrated"},
		{drill.ErrInterrupted, "interrupted"},
	} {
		if got := final(ctx, test.err); got.Error() != test.want {
			t.Errorf("it says %q, want %q", got, test.want)
		}
	}
}

package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oneserver/ctl/internal/terminal"
)

// undoWithin limits how long putting the stack back as it was found may take; the slowest step makes a new container for
// each service.
const undoWithin = 2 * time.Minute

// undo holds the steps that leave the stack as it was found. Each can run whatever state the stack is in, so there is one
// way out of an action, whether it succeeded, failed or was interrupted.
type undo struct {
	tell  *terminal.Teller
	steps []undoStep
}

type undoStep struct {
	title string
	do    func(context.Context) error
}

// later registers a step. A step must be registered before the change that it undoes begins.
func (u *undo) later(title string, do func(context.Context) error) {
	u.steps = append(u.steps, undoStep{title, do})
}

// now runs all steps, the last first, even if ctx has ended (after Ctrl-C) or one of them fails.
func (u *undo) now(ctx context.Context) error {
	interrupted := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	var errs []error
	for len(u.steps) > 0 {
		last := u.steps[len(u.steps)-1]
		u.steps = u.steps[:len(u.steps)-1]
		if interrupted {
			u.tell.Say("interrupted: %s", last.title)
		}
		if err := last.do(ctx); err != nil {
			errs = append(errs, undoError{fmt.Errorf("%s: %w", last.title, err)})
		}
	}
	return errors.Join(errs...)
}

// undoError means that the stack is not as it was.
type undoError struct{ error }

func (e undoError) Unwrap() error { return e.error }

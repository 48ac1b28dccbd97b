package drill

import (
	"context"
	"time"

	"oneserver/ctl/internal/docker"
)

// An action is a fault, or a piece of maintenance, that the stack is put through while visitors come.
type action struct {
	name     string        // as it is asked for
	title    string        // in the report
	note     string        // what a reader must know
	duration time.Duration // about, until the stack is as before; for the progress that is shown
	// setUp makes what must be there before the load begins; nil where nothing must. What it notes in the undo is undone
	// when the load has ended.
	setUp func(context.Context, *drill, *undo) error
	// prepare does all that must not count as part of the action. What it notes in the undo is undone after the action,
	// while the load goes on, so that the next action finds the stack as it was.
	prepare func(context.Context, *drill, *undo) (prepared, error)
}

// A prepared action is ready to be taken.
type prepared struct {
	run       func(context.Context) error
	recovered func([]docker.Container) error // whether the containers show the recovery; nil where their health does
}

// expected is how long actions take together.
func expected(actions []action) time.Duration {
	var sum time.Duration
	for _, a := range actions {
		sum += steadyTime + a.duration + steadyTime
	}
	return sum
}

package drill

import (
	"context"

	"oneserver/ctl/internal/docker"
)

// An action is a fault, or a piece of maintenance, that a drill puts the stack through under load.
type action struct {
	name  string // as the user names it
	title string // in the report
	note  string // what a reader of the report must know
	// setUp creates what must exist before the load begins; nil if nothing must. What it registers with the undo is undone
	// when the load has ended.
	setUp func(context.Context, *drill, *undo) error
	// prepare does everything that must not count as part of the action. What it registers with the undo is undone after the
	// action, while the load continues, so that the next action finds the stack as it was.
	prepare func(context.Context, *drill, *undo) (prepared, error)
}

// A prepared action is ready to run.
type prepared struct {
	run       func(context.Context) error
	recovered func([]docker.Container) error // an error until the containers show the recovery; nil if their health does
}

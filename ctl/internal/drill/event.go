package drill

import (
	"context"
	"time"
)

// An event is something that happens to the stack while visitors come.
type event struct {
	name  string        // as it is asked for
	says  string        // in the report
	note  string        // what a reader must know
	takes time.Duration // about, until the stack is as before; for the progress that is shown
	// ready makes what must be there before the load begins; nil where nothing must. What it notes in the undo is
	// undone when the load is over.
	ready func(context.Context, *drill, *undo) error
	// prepare does all that must not count as part of the event. What it notes in the undo is undone when the event
	// is over, while the load goes on, so that the next event finds the stack as it was.
	prepare func(context.Context, *drill, *undo) (deed, error)
}

// A deed is an event that is about to happen.
type deed struct {
	do   func(context.Context) error // lets it happen
	over func([]container) error     // whether the containers show that it has; nil where health says it all
}

// expected is how long events take together.
func expected(events []event) time.Duration {
	var sum time.Duration
	for _, e := range events {
		sum += calmTime + e.takes + calmTime
	}
	return sum
}

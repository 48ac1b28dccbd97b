// Package wait waits: until a condition holds, or for a time.
package wait

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Often is how often the engine is asked: each query costs it some 40 ms of processor time.
const Often = 200 * time.Millisecond

// Until calls holds at intervals of every until it returns no error, for at most the time within. The error is the last one
// that holds returned, or why ctx has ended. A Final error ends the waiting immediately.
func Until(ctx context.Context, within, every time.Duration, holds func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var wrong error
	for {
		err := holds(limited)
		if err == nil {
			return nil
		}
		if limited.Err() == nil || wrong == nil { // one that the limit has cut off says less than the one before
			wrong = err
		}
		if final, ok := errors.AsType[final](err); ok {
			return final.error
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limited.Done():
			if ctx.Err() != nil { // ctx has ended too, and ended the limited one
				return context.Cause(ctx)
			}
			return fmt.Errorf("after %s: %w", within, wrong)
		case <-tick.C:
		}
	}
}

// For waits for a time, or returns why ctx has ended before.
func For(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// final is an error that waiting cannot mend.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// Final marks an error as one that waiting cannot mend.
func Final(err error) error { return final{err} }

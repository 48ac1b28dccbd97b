// Package wait waits for what must come true.
package wait

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Often is how often the engine is asked: each look costs it some 40 ms of processor time.
const Often = 200 * time.Millisecond

// Until asks every so often until holds has nothing to object, for as long as within. The error is the last objection, or why
// ctx has ended. One of Final is not asked about again.
func Until(ctx context.Context, within, every time.Duration, holds func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	wrong := errors.New("nothing was asked yet")
	for {
		err := holds(limited)
		if err == nil {
			return nil
		}
		if limited.Err() == nil {
			wrong = err
		}
		if final, ok := errors.AsType[final](err); ok {
			return final.error
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limited.Done():
			if ctx.Err() != nil { // which ends both
				return context.Cause(ctx)
			}
			return fmt.Errorf("after %s: %w", within, wrong)
		case <-tick.C:
		}
	}
}

// final is an error that waiting does not mend.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// Final makes of an objection one that waiting does not mend.
func Final(err error) error { return final{err} }

package e2e

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A scenario runs steps against a copy of the stack and says, when one fails, which it was, what was seen and what
// the services at fault had logged.
type scenario struct {
	*testing.T
	stack *copyOfStack
}

func newScenario(t *testing.T, stack *copyOfStack) *scenario {
	t.Helper()
	leaveEvidence(t, stack)
	return &scenario{T: t, stack: stack}
}

// When does something to the stack; it must work.
func (s *scenario) When(step string, do action) *scenario {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	begun := time.Now()
	if err := do(ctx, s.stack); err != nil {
		s.Fatalf("when %s: %v\n%s", step, err, s.stack.logs())
	}
	s.Logf("when %s (%.1f s)", step, time.Since(begun).Seconds())
	return s
}

// Then wants every check to hold within the time, counted from now for all of them together.
func (s *scenario) Then(within time.Duration, checks ...check) *scenario {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), within)
	defer cancel()
	begun := time.Now()
	for _, c := range checks {
		if err := comesTrue(ctx, s.stack, c); err != nil {
			s.Fatalf("then %s within %s: %v\n%s", c.says, within, err, s.stack.logs(c.services...))
		}
		s.Logf("then %s (after %.2f s)", c.says, time.Since(begun).Seconds())
	}
	return s
}

// comesTrue asks again until the check holds or the time is over, and returns what was wrong last.
func comesTrue(ctx context.Context, stack *copyOfStack, c check) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var wrong error
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := c.holds(try, stack)
		cancel()
		if err == nil {
			return nil
		}
		if wrong == nil || ctx.Err() == nil { // that the time was over while it asked says nothing
			wrong = err
		}
		select {
		case <-ctx.Done():
			return wrong
		case <-running.Done():
			return errors.Join(wrong, running.Err())
		case <-tick.C:
		}
	}
}

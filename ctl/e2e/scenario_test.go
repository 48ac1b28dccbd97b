package e2e

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A scenario runs steps against a copy of the stack. When one fails, it reports which one, what was wrong, and what the
// services at fault had logged.
type scenario struct {
	*testing.T
	stack *copyOfStack
}

func newScenario(t *testing.T, stack *copyOfStack) *scenario {
	t.Helper()
	leaveEvidence(t, stack)
	return &scenario{T: t, stack: stack}
}

// When runs an action against the stack; the action must succeed.
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

// Then requires every check to come true within one time limit, which all of them share.
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

// comesTrue repeats a check until it holds or the time is up, and returns the last failure.
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
		if wrong == nil || ctx.Err() == nil { // an error because the time was up explains nothing
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

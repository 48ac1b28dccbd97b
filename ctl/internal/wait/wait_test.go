package wait

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWaitingEndsWithTheConditionOrSaysWhatWasWrongLast(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancelCause(t.Context())
	end(errors.New("somebody has pressed Ctrl-C"))
	for _, test := range []struct {
		name   string
		ctx    context.Context
		says   func(asked int) error
		asked  int // how often holds must be called at least
		within time.Duration
		want   string // the error's text; empty for no error
	}{
		{"it holds at once", t.Context(), func(int) error { return nil }, 1, time.Minute, ""},
		{"it comes true", t.Context(), func(asked int) error {
			if asked < 3 {
				return errors.New("not yet")
			}
			return nil
		}, 3, time.Minute, ""},
		{"it does not", t.Context(), func(int) error { return errors.New("not yet") }, 2, 50 * time.Millisecond, "after 50ms: not yet"},
		{"the first question takes too long", t.Context(), func(int) error { time.Sleep(100 * time.Millisecond); return errors.New("it is slow") }, 1, 50 * time.Millisecond, "after 50ms: it is slow"},
		{"it never will", t.Context(), func(int) error { return Final(errors.New("it has ended")) }, 1, time.Minute, "it has ended"},
		{"nobody waits any more", ended, func(int) error { return errors.New("not yet") }, 1, time.Minute, "somebody has pressed Ctrl-C"},
	} {
		asked := 0
		err := Until(test.ctx, test.within, time.Millisecond, func(context.Context) error { asked++; return test.says(asked) })
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || asked < test.asked {
			t.Errorf("%s: asked %d times, %v; want %q", test.name, asked, err, test.want)
		}
	}
}

func TestATimeIsWaitedForUnlessNobodyWaitsAnyMore(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	if err := For(t.Context(), 20*time.Millisecond); err != nil || time.Since(begun) < 20*time.Millisecond {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
	ended, end := context.WithCancelCause(t.Context())
	pressed := errors.New("somebody has pressed Ctrl-C")
	end(pressed)
	if err := For(ended, time.Hour); !errors.Is(err, pressed) {
		t.Errorf("it ends with %v", err)
	}
}

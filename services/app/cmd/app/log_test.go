package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writes records the text of each call to Write.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func (w *writes) lines() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n []int
	for _, text := range w.all {
		n = append(n, strings.Count(text, "\n"))
	}
	return n
}

func TestTheLogHoldsNothingBackForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out writes
		log, flush := newLog(&out)
		wrote := func(when string, want ...int) {
			t.Helper()
			synctest.Wait()
			if got := out.lines(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: lines in each write are %v, want %v", when, got, want)
			}
		}
		log.Info("one")
		log.Info("two")
		wrote("at once")
		time.Sleep(logDelay)
		wrote("after the delay", 2)
		log.Info("three")
		log.With("a", 1).WithGroup("g").Warn("four", "b", 2)
		wrote("a warning", 2, 2)
		log.Info("five", "long", strings.Repeat("x", logBytes))
		wrote("much", 2, 2, 1)
		log.Info("six")
		flush()
		wrote("at the end", 2, 2, 1, 1)
		time.Sleep(2 * logDelay)
		wrote("later", 2, 2, 1, 1)
	})
}

func TestLinesOfManyGoroutinesStayWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, flush := newLog(&out)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { log.Info("line", "text", strings.Repeat("x", 300)) })
	}
	all.Wait()
	flush()
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, `{"time":`) || !strings.HasSuffix(line, "\"}\n") {
			t.Fatalf("not a whole line: %q", line)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 50 {
		t.Errorf("%d lines, want 50", n)
	}
}

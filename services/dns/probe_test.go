package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The engine learns of a change immediately: a failure, and the first success after a start or a failure.
func TestAProbeDelaysOnlyWhatSaysNothingNew(t *testing.T) {
	t.Parallel()
	told := filepath.Join(t.TempDir(), "told")
	ill := errors.New("it does not answer")
	const held = 300 * time.Millisecond
	for _, step := range []struct {
		name   string
		looks  []error // one after the other; the last is repeated
		atOnce bool
		want   error
	}{
		{"the first success", []error{nil}, true, nil},
		{"that all is still well", []error{nil}, false, nil},
		{"a failure", []error{ill}, true, ill},
		{"that it goes on", []error{ill}, true, ill},
		{"the success after it", []error{nil}, true, nil},
		{"a failure meanwhile", []error{nil, nil, ill}, true, ill},
	} {
		asked := 0
		begun := time.Now()
		got := probe(t.Context(), told, 10*time.Millisecond, held, func(context.Context) error {
			asked++
			return step.looks[min(asked, len(step.looks))-1]
		})
		if took := time.Since(begun); !errors.Is(got, step.want) || (took < held) != step.atOnce {
			t.Errorf("%s is answered after %s with %v", step.name, took, got)
		}
		if !step.atOnce && asked < 3 {
			t.Errorf("%s: it looked %d times", step.name, asked)
		}
	}
}

func TestAProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	told := filepath.Join(t.TempDir(), "told")
	if err := os.WriteFile(told, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := probe(ctx, told, time.Minute, time.Hour, func(context.Context) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
	if err := probe(t.Context(), told, time.Minute, time.Hour, func(context.Context) error { return nil }); err != nil { // immediately
		t.Errorf("after a probe that did not answer: %v", err)
	}
}

// A program that runs elsewhere, without the folder, answers immediately every time.
func TestAProbeNeedsNoFolder(t *testing.T) {
	t.Parallel()
	told := filepath.Join(t.TempDir(), "nowhere", "told")
	for range 2 {
		if err := probe(t.Context(), told, time.Minute, time.Hour, func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
	}
}

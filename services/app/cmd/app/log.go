package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// How long, and how many bytes, the log may buffer. Writing each line separately would cost a request more than
// encoding the line.
const (
	logDelay = 100 * time.Millisecond
	logBytes = 4096
)

// newLog returns a log of JSON lines, and a function that flushes it at the end. Lines below the level of a warning may
// be written a little later, several at a time. A warning or an error is written immediately, with everything before
// it.
func newLog(out io.Writer) (log *slog.Logger, flush func()) {
	lines := &lineBuffer{out: out}
	return slog.New(promptly{slog.NewJSONHandler(lines, nil), lines}), lines.flush
}

// lineBuffer collects whole lines.
type lineBuffer struct {
	mu      sync.Mutex
	out     io.Writer
	pending []byte
}

func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		time.AfterFunc(logDelay, b.flush)
	}
	b.pending = append(b.pending, line...)
	if len(b.pending) >= logBytes {
		b.write()
	}
	return len(line), nil
}

func (b *lineBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write()
}

func (b *lineBuffer) write() {
	if len(b.pending) > 0 {
		b.out.Write(b.pending) // if it fails, there is nowhere to report it
		b.pending = b.pending[:0]
	}
}

// promptly is a handler that writes warnings and errors immediately.
type promptly struct {
	slog.Handler
	lines *lineBuffer
}

func (p promptly) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		p.lines.flush()
	}
	return err
}

func (p promptly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return promptly{p.Handler.WithAttrs(attrs), p.lines}
}

func (p promptly) WithGroup(name string) slog.Handler {
	return promptly{p.Handler.WithGroup(name), p.lines}
}

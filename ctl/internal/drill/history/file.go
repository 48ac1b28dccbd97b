package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A line is one object with one member, which says what the line is.
type line struct {
	Run     *Run     `json:"run,omitempty"`
	Request *Request `json:"request,omitempty"`
	Event   *Event   `json:"event,omitempty"`
}

// Bounds of what Parse takes.
const (
	maxLine  = 64 << 10 // bytes
	maxLines = 5_000_000
)

// Writer writes a history as it comes about: one JSON object a line, with one member that says what the line is: "run"
// (the first line), "request" or "event". It may be used by several goroutines.
type Writer struct {
	mu     sync.Mutex
	buffer *bufio.Writer
	lines  *json.Encoder
	err    error // the first; nothing is written after it
}

// NewWriter begins a history on w with the line of its run.
func NewWriter(w io.Writer, run Run) (*Writer, error) {
	buffer := bufio.NewWriterSize(w, maxLine)
	out := &Writer{buffer: buffer, lines: json.NewEncoder(buffer)}
	out.write(line{Run: &run})
	return out, out.Flush()
}

// Request adds a request. An error of w is kept and returned by Flush.
func (w *Writer) Request(r Request) { w.write(line{Request: &r}) }

// Event adds an event, once it is over. An error of w is kept and returned by Flush.
func (w *Writer) Event(e Event) { w.write(line{Event: &e}) }

func (w *Writer) write(l line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.lines.Encode(l)
	}
}

// Flush writes out what is buffered, and returns the first error that writing met.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.buffer.Flush()
	}
	if w.err != nil {
		return fmt.Errorf("writing the history: %w", w.err)
	}
	return nil
}

// Parse reads a whole history and puts it in order. A line that was cut off is an error, which says which.
func Parse(r io.Reader) (History, error) {
	var h History
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if n > maxLines {
			return History{}, fmt.Errorf("reading the history: more than %d lines", maxLines)
		}
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return History{}, fmt.Errorf("reading the history, line %d: %w", n, err)
		}
		switch {
		case l.Run != nil && n == 1:
			h.Run = *l.Run
		case n == 1:
			return History{}, errors.New("reading the history: the first line is not that of its run")
		case l.Request != nil:
			h.Requests = append(h.Requests, *l.Request)
		case l.Event != nil:
			h.Events = append(h.Events, *l.Event)
		default:
			return History{}, fmt.Errorf("reading the history, line %d: neither a request nor an event", n)
		}
	}
	if err := lines.Err(); err != nil {
		return History{}, fmt.Errorf("reading the history after line %d: %w", n, err)
	}
	if n == 0 {
		return History{}, errors.New("reading the history: it is empty")
	}
	h.Sort()
	return h, nil
}

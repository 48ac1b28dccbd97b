package terminal

import (
	"fmt"
	"os"
	"time"
)

// A Teller says what is being done: on a terminal in one line that is written over, elsewhere a line each.
type Teller struct {
	out  *os.File
	live bool
	last time.Time
}

// NewTeller returns one that tells out.
func NewTeller(out *os.File) *Teller { return &Teller{out: out, live: Is(out)} }

// Now says what is being done.
func (t *Teller) Now(format string, args ...any) {
	if t.live {
		fmt.Fprintf(t.out, "\r\x1b[K"+format, args...)
	} else {
		fmt.Fprintf(t.out, format+"\n", args...)
	}
}

// Progress says how far it is, where that can be written over.
func (t *Teller) Progress(format string, args ...any) {
	if t.live && time.Since(t.last) > 200*time.Millisecond {
		t.last = time.Now()
		t.Now(format, args...)
	}
}

// Say says what stays.
func (t *Teller) Say(format string, args ...any) {
	t.End()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// End clears the line.
func (t *Teller) End() {
	if t.live {
		fmt.Fprint(t.out, "\r\x1b[K")
	}
}

package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// quick is how long a task may take before it is announced on an output without a live line.
const quick = 3 * time.Second

// A Teller shows a user what is being done. On a terminal there is one live line for the current task, with the time that it
// has taken and its progress; elsewhere there are plain lines. One goroutine begins and ends the tasks; any goroutine may call
// Say and Show meanwhile.
type Teller struct {
	out    io.Writer
	width  func() int // of the terminal in columns; nil if nothing can be overwritten
	colour bool

	mu     sync.Mutex
	since  time.Time // permanent lines begin with the seconds since then; zero for lines without seconds
	title  string    // of the current task; empty if there is none
	status string    // the progress of the current task
	begun  time.Time
	stop   chan struct{} // closed when it ends
	ended  sync.WaitGroup
}

// NewTeller returns a Teller that prints to out.
func NewTeller(out io.Writer) *Teller {
	t := &Teller{out: out}
	if file, is := out.(*os.File); is && Is(file) {
		t.colour = Colour(file)
		t.width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		}
	}
	return t
}

// Since puts the time elapsed since begun, in seconds, at the start of each permanent line.
func (t *Teller) Since(begun time.Time) *Teller {
	t.since = begun
	return t
}

// Live reports whether there is a live line.
func (t *Teller) Live() bool { return t.width != nil }

// Say prints a permanent line.
func (t *Teller) Say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.title != "" && t.Live() {
		fmt.Fprint(t.out, "\r\x1b[K")
	}
	if !t.since.IsZero() {
		line = fmt.Sprintf("%6.1f s  %s", time.Since(t.since).Seconds(), line)
	}
	fmt.Fprintln(t.out, line)
}

// Now announces the current task, until the next one or End.
func (t *Teller) Now(format string, args ...any) { t.begin(fmt.Sprintf(format, args...), 0) }

// Begin is like Now, for a task that is announced only if it takes a while.
func (t *Teller) Begin(format string, args ...any) { t.begin(fmt.Sprintf(format, args...), quick) }

func (t *Teller) begin(title string, silent time.Duration) {
	t.End()
	t.title, t.status, t.begun, t.stop = title, "", time.Now(), make(chan struct{})
	if t.Live() {
		t.ended.Go(t.draw)
		return
	}
	if silent == 0 {
		t.Say("%s", title)
		return
	}
	t.ended.Go(func() {
		select {
		case <-t.stop:
		case <-time.After(silent):
			t.Say("%s ...", title)
		}
	})
}

// draw keeps the live line up to date, in one row of the terminal.
func (t *Teller) draw() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for frame := 0; ; frame++ {
		t.mu.Lock()
		head := fmt.Sprintf("%c %s  %s", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[frame%10], t.title, elapsed(t.begun))
		room := t.width() - 1
		head = cut(head, room)
		status := cut(t.status, room-utf8.RuneCountInString(head)-2)
		if status != "" {
			status = "  " + t.paint("2", status)
		}
		fmt.Fprintf(t.out, "\r\x1b[K%s%s", head, status)
		t.mu.Unlock()
		select {
		case <-t.stop:
			fmt.Fprint(t.out, "\r\x1b[K")
			return
		case <-tick.C:
		}
	}
}

// Show puts the current task's progress on the live line.
func (t *Teller) Show(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status = fmt.Sprintf(format, args...)
}

// End ends the current task without a message.
func (t *Teller) End() {
	if t.stop != nil {
		close(t.stop)
		t.ended.Wait()
		t.stop, t.title = nil, ""
	}
}

// Done ends the current task with a line about its result and how long it took.
func (t *Teller) Done(format string, args ...any) {
	begun := t.begun
	t.End()
	t.Say("%s %s (%s)", t.paint("32", "✓"), fmt.Sprintf(format, args...), elapsed(begun))
}

// Fail ends the current task and returns err with the task's title.
func (t *Teller) Fail(err error) error {
	title := t.title
	t.End()
	return fmt.Errorf("%s: %w", title, err)
}

// paint puts an SGR code (ECMA-48, 8.3.117) around text if colour is wanted.
func (t *Teller) paint(code, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// cut shortens text to at most n characters.
func cut(text string, n int) string {
	if n <= 0 {
		return ""
	}
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}

func elapsed(since time.Time) string { return time.Since(since).Round(100 * time.Millisecond).String() }

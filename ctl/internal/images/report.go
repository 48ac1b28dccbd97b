package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"oneserver/ctl/internal/terminal"
)

const (
	// quick is how long a step may take without being announced where there is no live line.
	quick = 3 * time.Second
	// tailLines is how much of a failed command's output is shown; the log has all of it.
	tailLines = 20
)

// patience is how long a command may say nothing: until its first word, and then between two. No limit is zero.
type patience struct{ first, later time.Duration }

// silence is enough for a slow machine that compiles and for a slow line that downloads.
var silence = patience{10 * time.Minute, 10 * time.Minute}

var errSilent = errors.New("gave up waiting for it")

// Reporter tells a person what is done: on a terminal one live line for the step at hand, with the time it has taken
// and the last line of output of the command behind it; elsewhere plain lines. The whole output goes to a log file.
type Reporter struct {
	out     io.Writer
	width   func() int // of the terminal in columns; nil where there is none
	colour  bool
	logPath string
	log     *os.File // opened by the first command
}

// NewReporter reports on out.
func NewReporter(out *os.File) *Reporter {
	r := &Reporter{out: out, colour: terminal.Colour(out), logPath: filepath.Join(cacheDir(), "images.log")}
	if terminal.Is(out) {
		r.width = func() int {
			width, _, err := term.GetSize(int(out.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		}
	}
	return r
}

// cacheDir is where logs and half-made files are kept.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil { // no home directory
		dir = os.TempDir()
	}
	return filepath.Join(dir, "oneserver")
}

// say prints one line.
func (r *Reporter) say(format string, args ...any) {
	fmt.Fprintf(r.out, format+"\n", args...)
}

// A step is one thing that takes time.
type step struct {
	r     *Reporter
	title string
	begun time.Time
	stop  chan struct{}
	ended sync.WaitGroup

	mu     sync.Mutex
	status string // what the command behind it said last
	alive  func() // puts off giving up on the command
}

// begin shows that title is being done, until done, drop or fail is called.
func (r *Reporter) begin(title string) *step {
	s := &step{r: r, title: title, begun: time.Now(), stop: make(chan struct{})}
	s.ended.Add(1)
	go func() {
		defer s.ended.Done()
		if r.width == nil {
			select {
			case <-s.stop:
			case <-time.After(quick):
				r.say("%s ...", title)
			}
			return
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for frame := 0; ; frame++ {
			s.draw(frame)
			select {
			case <-s.stop:
				fmt.Fprint(r.out, "\r\x1b[K")
				return
			case <-tick.C:
			}
		}
	}()
	return s
}

// draw puts the live line in place of the one before, cut to one row of the terminal.
func (s *step) draw(frame int) {
	s.mu.Lock()
	status := s.status
	s.mu.Unlock()
	head := fmt.Sprintf("%c %s  %s", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[frame%10], s.title, elapsed(s.begun))
	room := s.r.width() - 1
	head = cut(head, room)
	status = cut(status, room-utf8.RuneCountInString(head)-2)
	if status != "" {
		status = "  " + s.r.paint("2", status)
	}
	fmt.Fprintf(s.r.out, "\r\x1b[K%s%s", head, status)
}

// paint puts an SGR code (ECMA-48, 8.3.117) around text where colour is wanted.
func (r *Reporter) paint(code, text string) string {
	if !r.colour {
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

func elapsed(since time.Time) string {
	return time.Since(since).Round(100 * time.Millisecond).String()
}

// buildStamp is what BuildKit's plain output has before each line: the step's number and seconds.
var buildStamp = regexp.MustCompile(`^#\d+ (\d+\.\d+ )?`)

// show changes what the live line says behind the title, and is a sign of life from the command behind the step.
func (s *step) show(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = buildStamp.ReplaceAllString(status, "")
	if s.alive != nil {
		s.alive()
	}
}

// drop ends a step of which nothing need be said.
func (s *step) drop() {
	close(s.stop)
	s.ended.Wait()
}

// done ends the step with a line that says what there is now, and how long it took.
func (s *step) done(format string, args ...any) {
	s.drop()
	s.r.say("%s %s (%s)", s.r.paint("32", "✓"), fmt.Sprintf(format, args...), elapsed(s.begun))
}

// fail ends the step and returns err with the step's title.
func (s *step) fail(err error) error {
	s.drop()
	return fmt.Errorf("%s: %w", s.title, err)
}

// run runs a command as part of the step: its output goes to the log, its last line to the live line. It is given up
// when it says nothing for longer than the patience. The error has the last lines of output and says
// where the rest is.
func (s *step) run(ctx context.Context, patience patience, prepare func(context.Context) *exec.Cmd) error {
	log, err := s.r.openLog()
	if err != nil {
		return err
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(patience.first, func() { cancel(errSilent) })
	defer timer.Stop()
	s.mu.Lock()
	s.alive = func() {
		if patience.later == 0 {
			timer.Stop()
		} else {
			timer.Reset(patience.later)
		}
	}
	s.mu.Unlock()

	cmd := prepare(running)
	fmt.Fprintf(log, "\n%s $ %s\n", time.Now().Format(time.RFC3339), strings.Join(cmd.Args, " "))
	out := &tail{log: log, each: s.show}
	var said counter
	cmd.Stderr = out
	if cmd.Stdout == nil {
		cmd.Stdout = io.MultiWriter(out, &said)
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil { // a person's wish, not the command's fault
			return context.Cause(ctx)
		}
		if cause := context.Cause(running); cause != nil {
			err = cause
		}
		return &commandError{err: err, tail: out.last(), stdout: said > 0, log: s.r.logPath}
	}
	return nil
}

// openLog starts the log anew for this process.
func (r *Reporter) openLog() (*os.File, error) {
	if r.log != nil {
		return r.log, nil
	}
	if err := os.MkdirAll(filepath.Dir(r.logPath), 0o755); err != nil {
		return nil, err
	}
	var err error
	r.log, err = os.Create(r.logPath)
	return r.log, err
}

// A commandError is a command that failed, with what it said.
type commandError struct {
	err    error
	tail   []string
	stdout bool // whether it printed anything on its standard output
	log    string
}

func (e *commandError) Unwrap() error { return e.err }

func (e *commandError) Error() string {
	text := e.err.Error()
	for _, line := range e.tail {
		text += "\n  | " + line
	}
	return text + "\n  all of its output: " + e.log
}

// reason is the last thing that the command said.
func (e *commandError) reason() string {
	if len(e.tail) == 0 {
		return e.err.Error()
	}
	return strings.TrimPrefix(e.tail[len(e.tail)-1], "Error response from daemon: ")
}

// A tail copies what is written to it into a log and remembers the last lines. A carriage return ends a line too: what
// programs overwrite on a terminal is shown as it comes.
type tail struct {
	log  io.Writer
	each func(line string)

	mu    sync.Mutex // stdout and stderr are copied by a goroutine each
	line  []byte
	lines []string
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range p {
		if b != '\n' && b != '\r' {
			t.line = append(t.line, b)
			continue
		}
		t.endLine()
	}
	return t.log.Write(p)
}

func (t *tail) endLine() {
	line := strings.TrimSpace(strings.ToValidUTF8(string(t.line), ""))
	t.line = t.line[:0]
	if line == "" {
		return
	}
	t.each(line)
	if t.lines = append(t.lines, line); len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLine()
	return t.lines
}

// A counter counts the bytes written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

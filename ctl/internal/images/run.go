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

	"oneserver/ctl/internal/terminal"
)

// tailLines is how much of a failed command's output is shown; the log has the rest.
const tailLines = 20

// patience is how long a command may print nothing, before its first output and between later ones. Zero means no limit.
type patience struct{ first, later time.Duration }

// silence is long enough for compiling on a slow machine and for downloading over a slow line.
var silence = patience{10 * time.Minute, 10 * time.Minute}

var errSilent = errors.New("gave up waiting for it")

// A Runner runs commands and reports their progress. The last line of a command's output is shown as the live line, and all
// output goes to a log file.
type Runner struct {
	*terminal.Teller
	logPath string
	log     *os.File // opened by the first command
	alive   func()   // postpones giving up on the running command
}

// NewRunner returns a Runner that reports to tell.
func NewRunner(tell *terminal.Teller) *Runner {
	return &Runner{Teller: tell, logPath: filepath.Join(cacheDir(), "images.log"), alive: func() {}}
}

// cacheDir is where logs and unfinished files are kept.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil { // no home directory
		dir = os.TempDir()
	}
	return filepath.Join(dir, "oneserver")
}

// buildStamp is the prefix of each line in BuildKit's plain output: the step's number and seconds.
var buildStamp = regexp.MustCompile(`^#\d+ (\d+\.\d+ )?`)

// said shows a line that the running command has printed, which also shows that the command is still alive.
func (r *Runner) said(line string) {
	r.Show("%s", buildStamp.ReplaceAllString(line, ""))
	r.alive()
}

// run runs a command as part of the current step. It gives up if the command prints nothing for longer than the patience. The
// error has the last lines of output and says where the rest is.
func (r *Runner) run(ctx context.Context, patience patience, prepare func(context.Context) *exec.Cmd) error {
	log, err := r.openLog()
	if err != nil {
		return err
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(patience.first, func() { cancel(errSilent) })
	defer timer.Stop()
	r.alive = func() {
		if patience.later == 0 {
			timer.Stop()
		} else {
			timer.Reset(patience.later)
		}
	}

	cmd := prepare(running)
	fmt.Fprintf(log, "\n%s $ %s\n", time.Now().Format(time.RFC3339), strings.Join(cmd.Args, " "))
	out := &tail{log: log, each: r.said}
	var said counter
	cmd.Stderr = out
	if cmd.Stdout == nil {
		cmd.Stdout = io.MultiWriter(out, &said)
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil { // the user stopped it; the command did not fail
			return context.Cause(ctx)
		}
		if cause := context.Cause(running); cause != nil {
			err = cause
		}
		return &commandError{err: err, tail: out.last(), stdout: said > 0, log: r.logPath}
	}
	return nil
}

// openLog starts a new log for this process.
func (r *Runner) openLog() (*os.File, error) {
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

// A commandError is the error of a command that failed, with the command's output.
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

// reason returns the last line of the command's output.
func (e *commandError) reason() string {
	if len(e.tail) == 0 {
		return e.err.Error()
	}
	return strings.TrimPrefix(e.tail[len(e.tail)-1], "Error response from daemon: ")
}

// A tail copies its input into a log and remembers the last lines. A carriage return ends a line too: lines that
// programs overwrite on a terminal are shown as they come.
type tail struct {
	log  io.Writer
	each func(line string)

	mu    sync.Mutex // stdout and stderr are each copied by a goroutine
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

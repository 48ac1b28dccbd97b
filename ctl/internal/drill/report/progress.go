package report

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/terminal"
)

// pause between two lines of progress where no line can be written over.
const pause = 10 * time.Second

// Progress shows how far a run is: a bar on a terminal, a line every 10 s elsewhere. It may be used by several
// goroutines.
type Progress struct {
	mu     sync.Mutex
	out    io.Writer
	title  string
	total  int
	bar    *progressbar.ProgressBar // nil where there is no terminal
	now    func() time.Time
	last   time.Time // of a line
	done   int
	failed int
}

// NewProgress begins to show a run of that many requests.
func NewProgress(out *os.File, title string, requests int) *Progress {
	p := newProgress(out, title, requests, time.Now)
	if terminal.Is(out) {
		p.bar = progressbar.NewOptions(requests,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription(title),
			progressbar.OptionThrottle(200*time.Millisecond),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(30),
		)
	} else {
		p.line()
	}
	return p
}

func newProgress(out io.Writer, title string, requests int, now func() time.Time) *Progress {
	return &Progress{out: out, title: title, total: requests, now: now, last: now()}
}

// Request counts a request that is done.
func (p *Progress) Request(r history.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if !r.OK() {
		p.failed++
	}
	switch {
	case p.bar != nil:
		if !r.OK() {
			p.bar.Describe(fmt.Sprintf("%s, %d failed", p.title, p.failed))
		}
		p.bar.Add(1)
	case p.now().Sub(p.last) >= pause:
		p.line()
	}
}

func (p *Progress) line() {
	p.last = p.now()
	fmt.Fprintf(p.out, "%s: %d of %d requests, %d failed\n", p.title, p.done, p.total, p.failed)
}

// Say shows a line that stays, such as what the drill does now.
func (p *Progress) Say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
	}
	fmt.Fprintln(p.out, line)
	if p.bar != nil {
		p.bar.RenderBlank()
	}
}

// Close ends the showing.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Finish()
		return
	}
	p.line()
}

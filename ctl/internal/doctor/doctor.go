// Package doctor finds out, before anything is started, what would keep the stack from starting, and what to do about it. It
// changes nothing. Each check is a small function that examines the facts it needs. All checks run at the same time; a check
// that cannot get its facts says so instead of guessing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/stack"
)

// Level says how bad a finding is.
type Level int

const (
	OK      Level = iota
	Note          // worth knowing: something was not checked, or will be repaired automatically
	Warning       // the stack starts, but perhaps not as intended
	Error         // the stack would not start
)

func (l Level) String() string { return [...]string{"ok", "note", "warning", "error"}[l] }

// A Finding is one thing that a check found.
type Finding struct {
	Level Level
	About string // the part or the setting, such as Compose or HTTP_PORT
	Says  string // what was seen
	Do    string // what to do about it; empty for OK
}

// errUnknown means that a check could not be made, and that another check reports the reason.
var errUnknown = errors.New("not checked")

// checks lists all checks in the order of the report.
var checks = []struct {
	about string
	run   func(context.Context, *facts) ([]Finding, error)
}{
	{"Docker", checkEngine},
	{"Compose", checkCompose},
	{"buildx", checkBuildx},
	{"folder", checkClone},
	{"files", checkFiles},
	{"settings", checkSettings},
	{".env", checkNames},
	{"compose.yaml", checkProject},
	{"ports", checkPorts},
	{"privileges", checkPrivileged},
	{"network", checkNetwork},
	{"visitors", checkVisitors},
	{"HTTPS", checkHTTPS},
	{"memory", checkMemory},
	{"disk", checkDisk},
	{"room", checkRoom},
	{"images", checkImages},
	{"data", checkData},
}

// limit is how long a check may take. A busy machine needs a few seconds to start a container, so a check that exceeds the
// limit is stuck.
const limit = 20 * time.Second

// Examine runs all checks and returns what they found, in the order of the report.
func Examine(ctx context.Context, s *stack.Stack) []Finding {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the result of a late check is no longer needed
	facts := gather(ctx, s)
	found := make([][]Finding, len(checks))
	var running sync.WaitGroup
	for i, check := range checks {
		running.Go(func() {
			found[i] = limited(ctx, limit, check.about, func(ctx context.Context) ([]Finding, error) {
				return check.run(ctx, facts)
			})
		})
	}
	running.Wait()
	var all []Finding
	for _, findings := range found {
		all = append(all, findings...)
	}
	return all
}

// limited runs a check within a time limit, and keeps what it found before it failed. It abandons a check that is late, so
// that it cannot hold up the report.
func limited(ctx context.Context, limit time.Duration, about string, run func(context.Context) ([]Finding, error)) []Finding {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		findings []Finding
		err      error
	}
	done := make(chan result, 1)
	go func() {
		findings, err := run(ctx)
		done <- result{findings, err}
	}()
	select {
	case r := <-done:
		switch {
		case r.err == nil:
			return r.findings
		case errors.Is(r.err, errUnknown):
			return append(r.findings, Finding{Note, about, r.err.Error(), ""})
		}
		return append(r.findings, Finding{Warning, about, "not checked: " + oneLine(r.err.Error()), ""})
	case <-ctx.Done():
		return []Finding{{Warning, about, fmt.Sprintf("not checked: it took more than %s", limit), ""}}
	}
}

// Print writes the findings of at least the given level, one line each, with the remedy below.
func Print(out io.Writer, findings []Finding, from Level, colour bool) {
	width := 0
	for _, f := range findings {
		if f.Level >= from {
			width = max(width, len(f.About))
		}
	}
	for _, f := range findings {
		if f.Level < from {
			continue
		}
		level := fmt.Sprintf("%-7s", f.Level)
		if colour {
			level = [...]string{"\x1b[32m", "\x1b[36m", "\x1b[33m", "\x1b[31m"}[f.Level] + level + "\x1b[0m"
		}
		fmt.Fprintf(out, "%s  %-*s  %s\n", level, width, f.About, f.Says)
		if f.Do != "" {
			fmt.Fprintf(out, "%*s  -> %s\n", len("warning")+2+width, "", f.Do)
		}
	}
}

// oneLine joins the lines of a program's output into one.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Verdict returns an error if anything would keep the stack from starting.
func Verdict(findings []Finding) error {
	errs := 0
	for _, f := range findings {
		if f.Level == Error {
			errs++
		}
	}
	switch errs {
	case 0:
		return nil
	case 1:
		return errors.New("the stack would not start: put right the error above")
	}
	return fmt.Errorf("the stack would not start: put right the %d errors above", errs)
}

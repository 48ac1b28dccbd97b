// Package abuse plays what hostile visitors do, each beside a visitor who uses the site, on a copy of the stack that nobody else
// uses. What it costs the visitor is held against a control: others who take as much of the processor by what is allowed.
package abuse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/abuse/attack"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/terminal"
)

// Options say what to play.
type Options struct {
	Each time.Duration // how long each abuse, and each control
	Only []string      // names; all of them if empty
}

// Names lists the abuses with what they do.
func Names() string {
	var text strings.Builder
	for _, one := range attack.All {
		fmt.Fprintf(&text, "  %-12s %s\n", one.Name, one.Says)
	}
	return text.String()
}

// Outcome is what came of one abuse.
type Outcome struct {
	Name, Says string
	Attack     attack.Result
	Visitor    attack.Result // meanwhile
	Control    attack.Result // the visitor beside the control
	CPU        float64       // processors that stack and attacker took
	ControlCPU float64
	Rate       float64  // allowed requests a second in the control
	Disk       int64    // bytes by which the database grew
	Killed     []string // containers that were killed or started anew, or in which the kernel killed for memory
}

// Wrong says which bound was broken; empty if none was.
func (o Outcome) Wrong() string {
	var wrong []string
	if o.Visitor.Failed > 0 {
		wrong = append(wrong, fmt.Sprintf("%d of the visitor's requests failed, first: %s", o.Visitor.Failed, o.Visitor.First))
	}
	if o.Visitor.Median > 2*o.Control.Median {
		wrong = append(wrong, "more than twice the control's median")
	}
	if len(o.Killed) > 0 {
		wrong = append(wrong, "killed: "+strings.Join(o.Killed, ", "))
	}
	if o.Disk > mostDisk {
		wrong = append(wrong, fmt.Sprintf("the database grew by %d MB, more than %d", o.Disk>>20, mostDisk>>20))
	}
	return strings.Join(wrong, "; ")
}

// mostDisk is by how much the database may grow: what the quotas let one account and one network write, twice for the
// binary log, and the steps in which files grow.
const mostDisk = 64 << 20

// ErrBroken means that an abuse broke a bound; the report says which.
var ErrBroken = errors.New("an abuse broke a bound")

// Run starts the copy, plays every abuse and its control, and removes the copy, whatever happens. What it does is told on progress.
func Run(ctx context.Context, cli docker.CLI, progress *os.File, options Options) (outcomes []Outcome, err error) {
	chosen, err := choose(options.Only)
	if err != nil {
		return nil, err
	}
	if options.Each < 5*time.Second || options.Each > time.Hour {
		return nil, errors.New("each abuse takes between 5s and 1h")
	}
	s := describe(cli)
	say := terminal.NewTeller(progress)
	defer say.End()
	if err := s.remove(); err != nil { // of a run that was killed
		return nil, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	if err := images.Ensure(ctx, s.cli, images.NewReporter(progress)); err != nil {
		return nil, err
	}
	say.Now("starting a copy of the stack")
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	say.Now("measuring what a request that is allowed costs")
	calm, perRequest, err := s.calibrate(ctx)
	if err != nil {
		return nil, err
	}
	for i, one := range chosen {
		say.Now("%d of %d, %s: %s", i+1, len(chosen), one.Name, one.Says)
		outcome, err := s.hold(ctx, one, i, options.Each, calm, perRequest)
		if err != nil {
			return outcomes, fmt.Errorf("%s: %w", one.Name, err)
		}
		outcomes = append(outcomes, outcome)
		if wrong := outcome.Wrong(); wrong != "" {
			say.Say("%s: %s", one.Name, wrong)
		}
	}
	return outcomes, nil
}

func choose(names []string) ([]attack.Abuse, error) {
	if len(names) == 0 {
		return attack.All, nil
	}
	var chosen []attack.Abuse
	for _, name := range names {
		found := false
		for _, one := range attack.All {
			if one.Name == name {
				chosen, found = append(chosen, one), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no abuse %q; there are:\n%s", name, Names())
		}
	}
	return chosen, nil
}

// visitorAddress is the visitor's in the abuse number i (RFC 5737), and in its control; neither has a past.
func visitorAddress(i int, control bool) string {
	if control {
		return fmt.Sprintf("203.0.113.%d", 1+i)
	}
	return fmt.Sprintf("192.0.2.%d", 1+i)
}

// beside holds a visitor and somebody else for a time, and returns what came of both and how many processors the stack and the
// other one took.
func (s *site) beside(ctx context.Context, visitor, who, from string, length time.Duration, rate float64) (of, other attack.Result, processors float64, err error) {
	before, err := s.cpu()
	if err != nil {
		return of, other, 0, err
	}
	begun := time.Now()
	var wait sync.WaitGroup
	var failed, otherFailed error
	wait.Go(func() { of, failed = s.play(ctx, "visitor", visitor, "", length, 0) })
	if who != "" {
		wait.Go(func() { other, otherFailed = s.play(ctx, who, from, visitor, length, rate) })
	}
	wait.Wait()
	if err := errors.Join(failed, otherFailed); err != nil {
		return of, other, 0, err
	}
	after, err := s.cpu()
	return of, other, (after - before + other.CPU).Seconds() / time.Since(begun).Seconds(), err
}

// calibrate measures how many processors the stack takes for the visitor alone, and how much processor time an allowed request
// of somebody else costs, his own included.
func (s *site) calibrate(ctx context.Context) (calm float64, perRequest float64, err error) {
	const length, rate = 8 * time.Second, 60
	if _, _, calm, err = s.beside(ctx, "100.64.0.1", "", "", length, 0); err != nil {
		return 0, 0, err
	}
	_, allowed, busy, err := s.beside(ctx, "100.64.0.2", "allowed", "100.64.0.3", length, rate)
	if err != nil {
		return 0, 0, err
	}
	answered := float64(allowed.Answers["200"]) / length.Seconds()
	if answered < rate/2 {
		return 0, 0, fmt.Errorf("of %d allowed requests a second %.0f are answered: %v", rate, answered, allowed.Answers)
	}
	return calm, max(busy-calm, 0.001*answered) / answered, nil
}

// hold plays one abuse and its control.
func (s *site) hold(ctx context.Context, one attack.Abuse, i int, each time.Duration, calm, perRequest float64) (Outcome, error) {
	o := Outcome{Name: one.Name, Says: one.Says}
	before, err := s.containers(ctx)
	if err != nil {
		return o, err
	}
	diskBefore, err := s.disk(ctx)
	if err != nil {
		return o, err
	}
	begun := time.Now()
	o.Visitor, o.Attack, o.CPU, err = s.beside(ctx, visitorAddress(i, false), one.Name, fmt.Sprintf("198.51.100.%d", 1+i), each, 0)
	if err != nil {
		return o, err
	}
	if o.Killed, err = s.killed(ctx, before, begun); err != nil {
		return o, err
	}
	diskAfter, err := s.disk(ctx)
	if err != nil {
		return o, err
	}
	o.Disk = diskAfter - diskBefore
	if len(o.Killed) > 0 { // the control is for a stack that is whole, and the meters are of containers that are there
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if err := s.up(limited); err != nil {
			return o, err
		}
	}
	o.Rate = max(0, o.CPU-calm) / perRequest
	o.Control, _, o.ControlCPU, err = s.beside(ctx, visitorAddress(i, true), "allowed", "", each, o.Rate)
	return o, err
}

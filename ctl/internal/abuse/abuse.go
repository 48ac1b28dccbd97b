// Package abuse starts a private copy of the stack and attacks it, one kind of abuse at a time, while an ordinary visitor
// uses it. Each attack is compared with a control run, in which other visitors use as much processor time with allowed
// requests only.
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
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// Options say which abuses to run, and for how long.
type Options struct {
	Each time.Duration // the length of each abuse, and of each control
	Only []string      // names of the abuses; all of them if empty
}

// Names returns one line for each abuse, with its name and a description.
func Names() string {
	var text strings.Builder
	for _, one := range attack.All {
		fmt.Fprintf(&text, "  %-12s %s\n", one.Name, one.Says)
	}
	return text.String()
}

// Outcome is the outcome of one abuse.
type Outcome struct {
	Name, Says string
	Attack     attack.Result
	Visitor    attack.Result // during the attack
	CPU        float64       // processors used by the stack and the attacker
	Control    Control
	Disk       int64    // bytes by which the database grew
	Killed     []string // containers that were killed or restarted, or in which the kernel killed a process for lack of memory
	Before     *Outcome // the first run, if only its median broke a bound; this Outcome is then that of the second run
}

// Control is the outcome of a control run: the visitor uses the site while others stay within their limits.
type Control struct {
	Visitor attack.Result
	CPU     float64 // processors used by the stack and the others
	Rate    float64 // the others' requests per second
}

// Wrong describes the bounds that were broken. It is empty if all bounds hold.
func (o Outcome) Wrong() string {
	var wrong []string
	if o.Visitor.Failed > 0 {
		wrong = append(wrong, fmt.Sprintf("%d of the visitor's requests failed, first: %s", o.Visitor.Failed, o.Visitor.First))
	}
	if len(o.Killed) > 0 {
		wrong = append(wrong, "killed: "+strings.Join(o.Killed, ", "))
	}
	if o.Disk > mostDisk {
		wrong = append(wrong, fmt.Sprintf("the database grew by %d MB, more than %d", o.Disk>>20, mostDisk>>20))
	}
	if o.slow() {
		wrong = append(wrong, tooSlow)
	}
	return strings.Join(wrong, "; ")
}

const tooSlow = "more than twice the control's median"

func (o Outcome) slow() bool { return o.Visitor.Median > 2*o.Control.Visitor.Median }

// mostDisk is how many bytes the database may grow. One account may write a hundredth of TEXT_A_DAY in a day; the limit is
// 25 times that (.env.example says why), plus 10 MB for the visitor's own writes and for ten tables that grow in steps of 1
// MB.
const mostDisk = (25*textADay/100 + 10) << 20

// ErrBroken means that an abuse broke a bound; the report says which.
var ErrBroken = errors.New("an abuse broke a bound")

// Run starts the copy, runs each abuse with its control, and always removes the copy again. It reports its progress.
func Run(ctx context.Context, of *stack.Stack, progress *os.File, options Options) (outcomes []Outcome, err error) {
	chosen, err := choose(options.Only)
	if err != nil {
		return nil, err
	}
	if options.Each < 5*time.Second || options.Each > time.Hour {
		return nil, errors.New("each abuse takes between 5s and 1h")
	}
	s, err := describe(of)
	if err != nil {
		return nil, err
	}
	say := terminal.NewTeller(progress)
	defer say.End()
	if err := s.remove(); err != nil { // left by a run that was killed
		return nil, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	if err := images.Ensure(ctx, s.Stack, images.NewRunner(say)); err != nil {
		return nil, err
	}
	say.Now("starting a copy of the stack")
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	say.Now("measuring what a request that is allowed costs")
	if err := s.calibrate(ctx); err != nil {
		return nil, err
	}
	for i, one := range chosen {
		say.Now("%d of %d, %s: %s", i+1, len(chosen), one.Name, one.Says)
		outcome, err := s.hold(ctx, one, options.Each, true)
		if err == nil && outcome.Wrong() == tooSlow {
			say.Say("%s: %s, once more", one.Name, tooSlow)
			first := outcome
			outcome, err = s.hold(ctx, one, options.Each, false)
			outcome.Before = &first
		}
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

// beside runs a visitor and another program at the same time. It returns both results, and how many processors the stack and
// the other program used. Each run gives the visitor and the attacker new addresses (RFC 5737).
func (s *site) beside(ctx context.Context, who string, length time.Duration, rate float64) (of, other attack.Result, processors float64, err error) {
	s.held++
	visitor, from := fmt.Sprintf("192.0.2.%d", s.held), fmt.Sprintf("198.51.100.%d", s.held)
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

// calibrate measures how many processors the stack uses for the visitor alone, and how much processor time each allowed
// request by another visitor costs, including the client's share.
func (s *site) calibrate(ctx context.Context) (err error) {
	const length, rate = 8 * time.Second, 60
	if _, _, s.calm, err = s.beside(ctx, "", length, 0); err != nil {
		return err
	}
	_, allowed, busy, err := s.beside(ctx, "allowed", length, rate)
	if err != nil {
		return err
	}
	answered := float64(allowed.Answers["200"]) / length.Seconds()
	if answered < rate/2 {
		return fmt.Errorf("of %d allowed requests a second %.0f are answered: %v", rate, answered, allowed.Answers)
	}
	s.perRequest = max(busy-s.calm, 0.001*answered) / answered
	return nil
}

// hold runs one abuse and its control. If share is set, an earlier control that used about as much processor time is reused.
func (s *site) hold(ctx context.Context, one attack.Abuse, each time.Duration, share bool) (Outcome, error) {
	o := Outcome{Name: one.Name, Says: one.Says}
	before, err := s.containers(ctx)
	if err != nil {
		return o, err
	}
	diskBefore, err := s.disk(ctx)
	if err != nil {
		return o, err
	}
	begun, err := s.Now(ctx)
	if err != nil {
		return o, err
	}
	if o.Visitor, o.Attack, o.CPU, err = s.beside(ctx, one.Name, each, 0); err != nil {
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
	if len(o.Killed) > 0 { // a control needs a working stack, and meters need running containers
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if err := s.up(limited); err != nil {
			return o, err
		}
	}
	for _, control := range s.controls {
		if share && control.CPU <= o.CPU && control.CPU >= 0.75*o.CPU {
			o.Control = control
			return o, nil
		}
	}
	o.Control.Rate = max(0, o.CPU-s.calm) / s.perRequest
	if o.Control.Visitor, _, o.Control.CPU, err = s.beside(ctx, "allowed", each, o.Control.Rate); err != nil {
		return o, err
	}
	s.controls = append(s.controls, o.Control)
	return o, nil
}

// Package drill shows the limits of a design and the effect of a remedy: it puts a load on the running stack, takes an
// action at a set moment, and shows what visitors met meanwhile and what became of their writes. It runs beside the stack
// and needs only the published ports and Docker.
package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/load"
	"oneserver/ctl/internal/drill/report"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// Options are the options of a drill. The zero value of each means its default.
type Options struct {
	Project string  // the Compose project that it may touch; default this checkout's
	Action  string  // the one action to take; default all of the drill's
	Rate    float64 // requests a second; default 100. A drill of scale begins with it
	Out     string  // the folder of the report; default a new one in drills/
}

const defaultRate = 100

// ErrInterrupted means that a drill was stopped before its end; it writes no report.
var ErrInterrupted = errors.New("interrupted")

// ErrWrites means that a drill ran to its end and found that the site did not keep its word about a write.
var ErrWrites = errors.New("writes are not as they were acknowledged")

// A plan is one kind of drill.
type plan struct {
	name    string
	title   string
	actions []action // the drill's actions, if any, in order
	run     func(context.Context, *drill) (report.Section, error)
}

var plans = []plan{
	{name: "spof", title: "Each part killed and frozen, then all of them killed at once", actions: spof, run: hold},
	{name: "maintenance", title: "What maintenance needs, done with plain docker compose", actions: maintenance, run: hold},
	{name: "upkeep", title: "The same maintenance, done so that nobody notices", actions: upkeep, run: hold},
	{name: "scale", title: "A rate that goes up until the site no longer keeps up", run: scale},
}

// Names returns the names of the drills.
func Names() []string {
	var names []string
	for _, p := range plans {
		names = append(names, p.name)
	}
	return names
}

// Actions returns the names of a drill's actions, in their order; empty for a drill without actions.
func Actions(name string) []string {
	var names []string
	for _, p := range plans {
		for _, a := range p.actions {
			if p.name == name {
				names = append(names, a.name)
			}
		}
	}
	return names
}

// Title says what the named drill does.
func Title(name string) string {
	for _, p := range plans {
		if p.name == name {
			return p.title
		}
	}
	return ""
}

// drill is one kind of drill on one stack.
type drill struct {
	plan
	stack *Stack
	tell  *terminal.Teller
	dir   string
	rate  float64
	seed  uint64

	filled bool // whether the table that migrations change has its million rows yet
}

// Run runs the named drills, one after the other, shows the progress of each, and writes one report. It leaves the stack as
// it found it, even if ctx ends; it then returns ErrInterrupted.
func Run(ctx context.Context, of *stack.Stack, out *os.File, names []string, o Options) error {
	chosen, err := choose(names, o.Action)
	if err != nil {
		return err
	}
	if o.Rate = cmp.Or(o.Rate, defaultRate); !(o.Rate >= 1 && o.Rate <= maxRate) { // not a number is neither
		return fmt.Errorf("a rate of %g a second: a drill sends between 1 and %.0f", o.Rate, maxRate)
	}
	s, err := Find(ctx, of, o.Project)
	if err != nil {
		return err
	}
	title := strings.Join(names, "-")
	if len(names) == len(plans) {
		title = "all"
	}
	dir := of.Path(cmp.Or(o.Out, filepath.Join("drills", time.Now().Format("2006-01-02-150405-")+title)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tell := terminal.NewTeller(out)
	tell.Say("This drill works on the project %s, https://%s and dns at %s. It breaks it on purpose.", s.project.Name, s.https, s.dns)

	var sections []report.Section
	var bad error
	for _, p := range chosen {
		d := &drill{plan: p, stack: s, tell: tell, dir: dir, rate: o.Rate, seed: rand.Uint64()}
		section, err := d.run(ctx, d)
		if ctx.Err() != nil {
			if failed := (undoError{}); errors.As(err, &failed) {
				return fmt.Errorf("%w, and the stack is not as it was: %w", ErrInterrupted, failed)
			}
			return fmt.Errorf("%w; the stack is as the drill found it", ErrInterrupted)
		}
		if len(section.History.Requests) > 0 { // even an unfinished drill is shown
			sections = append(sections, section)
			fmt.Fprintln(out)
			err = errors.Join(err, report.Table(out, section))
		}
		if w := section.Result.Writes; !w.OK() {
			bad = errors.Join(bad, fmt.Errorf("%s: %w: of %d, %d are lost, %d there more than once, %d were not shown",
				p.name, ErrWrites, w.Acknowledged, len(w.Lost), len(w.Duplicated), len(w.StaleReads)))
		}
		if err != nil { // the stack may not be as it was
			bad = errors.Join(bad, err)
			break
		}
	}
	if len(sections) == 0 {
		return bad
	}
	if err := report.Write(dir, sections...); err != nil {
		return errors.Join(bad, err)
	}
	fmt.Fprintf(out, "\nThe report: %s\n", filepath.Join(dir, "report.html"))
	return bad
}

// choose returns the named plans, with all their actions or with one.
func choose(names []string, only string) ([]plan, error) {
	var chosen []plan
	for _, p := range plans {
		if !slices.Contains(names, p.name) {
			continue
		}
		if only != "" {
			i := slices.IndexFunc(p.actions, func(a action) bool { return a.name == only })
			if i < 0 {
				return nil, fmt.Errorf("%s has no action %q: it has %s", p.name, only, strings.Join(Actions(p.name), ", "))
			}
			p.actions = p.actions[i : i+1]
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// Compare prints the results of two drills side by side, read from the folders of their reports.
func Compare(of *stack.Stack, out io.Writer, a, b string) error {
	sectionsA, err := report.ReadSummary(of.Path(a))
	if err != nil {
		return fmt.Errorf("%s: %w", a, err)
	}
	sectionsB, err := report.ReadSummary(of.Path(b))
	if err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	return report.Compare(out, a, sectionsA, b, sectionsB)
}

// These are the time limits of one action.
const (
	steadyTime  = 2 * time.Second  // without a failed request, before the state counts as steady
	healthyTime = 90 * time.Second // after which the stack counts as unable to recover by itself
)

// hold keeps up a load while it takes the plan's actions, one after the other.
func hold(ctx context.Context, d *drill) (section report.Section, err error) {
	all := &undo{tell: d.tell}
	defer func() { err = errors.Join(err, all.now(ctx)) }()
	for _, a := range d.actions {
		if a.setUp != nil {
			if err := a.setUp(ctx, d, all); err != nil {
				return report.Section{}, fmt.Errorf("%s: %w", a.title, err)
			}
		}
	}
	author, err := d.stack.signUp(ctx)
	if err != nil {
		return report.Section{}, err
	}
	all.later("remove the drill's account", author.remove)

	longest := time.Duration(len(d.actions)) * 2 * (steadyTime + healthyTime) // including the undoing
	t, err := d.begin(ctx, author, load.Config{
		Steps:      []history.Step{{Rate: d.rate, For: longest}},
		Reads:      everybody(author),
		DNSAddress: d.stack.dns.String(),
		DNSNames:   []string{d.stack.host()},
	})
	if err != nil {
		return report.Section{}, err
	}
	var actions []history.Action
	for i, a := range d.actions {
		entry, failed := d.perform(ctx, t, i)
		if entry != nil {
			actions = append(actions, *entry)
		}
		if failed != nil {
			err = fmt.Errorf("%s: %w", a.title, failed)
			break
		}
	}
	h := t.end()
	h.Actions = actions
	if ctx.Err() != nil {
		return report.Section{}, errors.Join(err, ctx.Err())
	}
	section, failed := d.judge(ctx, h, t.attack.TokenPrefix())
	return section, errors.Join(err, failed)
}

// perform takes the action of that index under the load, and returns when the stack has recovered and is as it was before.
func (d *drill) perform(ctx context.Context, t *traffic, i int) (entry *history.Action, err error) {
	a := d.actions[i]
	back := &undo{tell: d.tell}
	defer func() {
		// Whatever happened, the next action and the user find the stack as it was.
		err = errors.Join(err, back.now(ctx))
		if err == nil {
			err = d.stack.AwaitHealthy(ctx, healthyTime, nil)
		}
		if err == nil {
			err = t.awaitSteadyState(ctx, healthyTime, time.Now())
		}
	}()
	ready, err := a.prepare(ctx, d, back)
	if err != nil {
		return nil, err
	}
	if err := t.awaitSteadyState(ctx, healthyTime, time.Now()); err != nil {
		return nil, fmt.Errorf("before it: %w", err)
	}
	d.tell.Say("%s (%d of %d)", a.title, i+1, len(d.actions))
	entry = &history.Action{Name: a.title, Start: t.attack.Since(), Note: a.note}
	err = ready.run(ctx)
	entry.End = t.attack.Since()
	if err == nil {
		err = d.stack.AwaitHealthy(ctx, healthyTime, ready.recovered)
	}
	if err == nil {
		entry.Healthy = t.attack.Since()
		err = t.awaitSteadyState(ctx, healthyTime, time.Now())
	}
	entry.Until = t.attack.Since()
	if err != nil {
		entry.Note = strings.TrimSpace(entry.Note + " It did not recover by itself: " + err.Error())
	}
	return entry, err
}

// judge looks up the writes, works out what the history shows, and saves the history.
func (d *drill) judge(ctx context.Context, h history.History, tokenPrefix string) (report.Section, error) {
	stored, err := d.stack.stored(ctx, tokenPrefix)
	section := report.Section{Result: check.Check(h, stored), History: h}
	if len(h.Actions) > 0 {
		section.Result.Notes = append(section.Result.Notes,
			"After each action the drill puts things back as they were while the load goes on; what fails there without a mark is of its doing.")
	}
	return section, errors.Join(err, d.record(h))
}

// record writes the raw history into the report's folder.
func (d *drill) record(h history.History) (err error) {
	file, err := os.Create(filepath.Join(d.dir, h.Run.Name+".jsonl"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return h.Write(file)
}

package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/load"
	"oneserver/ctl/internal/drill/report"
	"oneserver/ctl/internal/drill/usl"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/wait"
)

// In a drill of scale, each step raises the rate by half, until the site no longer keeps up. The last rate is more than the
// generator is designed for.
const (
	stepTime  = 6 * time.Second
	stepRatio = 1.5
	maxRate   = 3000.0
)

// replicas lists the numbers of replicas of app to try.
var replicas = []int{1, 2, 4}

// scale runs the drill for the third of the three issues: one machine serves only so many visitors. It finds out how many,
// which resource is then used up, and what more replicas of app change.
func scale(ctx context.Context, d *drill) (section report.Section, err error) {
	back := &undo{tell: d.tell}
	defer func() { err = errors.Join(err, back.now(ctx)) }()
	author, err := d.stack.signUp(ctx)
	if err != nil {
		return report.Section{}, err
	}
	back.later("remove the drill's account", author.remove)
	back.later("scale app back", func(ctx context.Context) error { return d.stack.scaleTo(ctx, d.stack.apps) })

	var steps []history.Step
	for rate := d.rate; rate <= maxRate; rate *= stepRatio {
		steps = append(steps, history.Step{Rate: rate, For: stepTime})
	}
	for _, n := range replicas {
		if err := d.stack.scaleTo(ctx, n); err != nil {
			return section, err
		}
		one := *d
		one.name, one.title = "scale-"+strconv.Itoa(n), fmt.Sprintf("A rate that goes up, with %d of app", n)
		if n == replicas[0] {
			one.name, one.title = d.name, d.title
		}
		climbed, err := one.climb(ctx, author, steps)
		if err != nil {
			return section, err
		}
		if n == replicas[0] {
			section.Result, section.History = climbed.Result, climbed.History
		} else {
			w := &section.Result.Writes // the writes of all runs: a lost write must show, whichever run it was in
			w.Acknowledged += climbed.Result.Writes.Acknowledged
			w.Lost = append(w.Lost, climbed.Result.Writes.Lost...)
			w.Duplicated = append(w.Duplicated, climbed.Result.Writes.Duplicated...)
			w.StaleReads = append(w.StaleReads, climbed.Result.Writes.StaleReads...)
			w.Phantom = append(w.Phantom, climbed.Result.Writes.Phantom...)
		}
		scale := report.Scale{Name: terminal.Count(n, "replica"), Steps: climbed.Result.Steps}
		if model, err := usl.Fit(points(scale.Steps)); err == nil { // otherwise the steps are shown without a model
			scale.Model = &model
		}
		section.Scales = append(section.Scales, scale)
		section.Result.Notes = append(section.Result.Notes, verdict(scale))
	}
	section.Result.Notes = append(section.Result.Notes,
		"Every request is one that Nginx may not answer from its cache: a fifth writes, a fifth of the others reads back what was written, and the rest reads as somebody who is signed in.",
		"The generator runs on the same machine and takes its share of the processors.")
	return section, nil
}

// scaleTo starts or stops replicas of app until there are that many, and waits until all are healthy.
func (s *Stack) scaleTo(ctx context.Context, n int) error {
	if err := s.compose(ctx, "up", "--detach", "--no-recreate", "--scale", "app="+strconv.Itoa(n), "app"); err != nil {
		return err
	}
	return s.AwaitHealthy(ctx, healthyTime, func(all []docker.Container) error {
		have := 0
		for _, c := range all {
			if c.Service() == "app" {
				have++
			}
		}
		if have != n {
			return fmt.Errorf("app has %d replicas, not %d", have, n)
		}
		return nil
	})
}

// climb raises the rate step by step, until a step is more than the site can serve.
func (d *drill) climb(ctx context.Context, a *author, steps []history.Step) (report.Section, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	meter, err := d.stack.meter(watching)
	if err != nil {
		return report.Section{}, err
	}
	t, err := d.begin(ctx, a, load.Config{Steps: steps, Reads: signedIn(a)})
	if err != nil {
		return report.Section{}, err
	}
	for i, step := range steps {
		err = errors.Join(err, meter.read(ctx))
		d.tell.Say("%.0f a second", step.Rate)
		end := time.Duration(i+1) * stepTime
		err = errors.Join(err, wait.For(ctx, end-t.attack.Since()))
		if err != nil || !t.keptUp(end-stepTime, end) {
			break
		}
	}
	err = errors.Join(err, meter.read(ctx))
	stop()
	h := t.end()
	details := meter.details()
	if err != nil {
		return report.Section{}, err
	}
	h.Run.Steps = slices.Clone(steps[:len(details)]) // each step with its planned length
	section, err := d.judge(ctx, h, t.attack.TokenPrefix())
	if err != nil {
		return report.Section{}, err
	}
	for i := range section.Result.Steps {
		section.Result.Steps[i].Detail = details[i]
	}
	return section, d.stack.AwaitHealthy(ctx, healthyTime, nil)
}

// keptUp reports whether the site kept up with the requests of a part of the run. It is called at the end of that part, so
// requests that are still under way count against it.
func (t *traffic) keptUp(from, to time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	served, rate := 0, 0.0
	for _, r := range t.requests {
		if r.Due >= from && r.Due < to && r.OK() {
			served++
		}
	}
	at := time.Duration(0)
	for _, step := range t.run.Steps {
		if at == from {
			rate = step.Rate
		}
		at += step.For
	}
	return float64(served) >= 0.9*rate*(to-from).Seconds()
}

// points returns the measurements to fit the law to: the throughput at each concurrency.
func points(steps []check.Step) []usl.Point {
	var list []usl.Point
	for _, s := range steps {
		if s.Throughput > 0 && s.Concurrency > 0 {
			list = append(list, usl.Point{N: s.Concurrency, X: s.Throughput})
		}
	}
	return list
}

// verdict states in a sentence where the knee is and what was used up there.
func verdict(s report.Scale) string {
	knee := 0 // the first step that was too much, as were all after it
	for i, step := range s.Steps {
		if step.KeptUp {
			knee = i + 1
		}
	}
	switch {
	case knee == 0:
		return fmt.Sprintf("%s: not even the first step could be served.", s.Name)
	case knee == len(s.Steps):
		return fmt.Sprintf("%s: %.0f requests a second were served, and no higher rate was tried.", s.Name, s.Steps[knee-1].Rate)
	}
	beyond := s.Steps[knee]
	return fmt.Sprintf("%s: %.0f requests a second were served; at %.0f the site no longer kept up (%d of %d failed, %.0f a second were answered, one in a hundred after %.1f s or more). %s",
		s.Name, s.Steps[knee-1].Rate, beyond.Rate, beyond.Failed, beyond.Of, beyond.Throughput, beyond.P99.Seconds(), bottleneck(beyond.Detail))
}

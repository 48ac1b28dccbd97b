// Package check works out what a history shows: how long the site was down, what failed, and whether every acknowledged
// write was stored, exactly once.
package check

import (
	"maps"
	"slices"
	"time"

	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/load"
)

// Finding is the result of one action.
type Finding struct {
	Action history.Action          `json:"action"`
	Window Span                    `json:"window"` // the time that counts as the action's
	All    Outage                  `json:"all"`    // reads and writes; lookups go elsewhere
	Kinds  map[history.Kind]Outage `json:"kinds"`
	Routes map[string]Outage       `json:"routes"` // by the names of the requests
	Writes Writes                  `json:"writes"`
}

// Outage returns the longest outage that any group of visitors met, and which group: for those who write, a site that can
// only be read is down. of names the largest group of requests that was down together for nearly as long: all visits, all of
// one kind, or a single route. It is empty if there was no outage. (The outage of a single route is measured longer, by the
// time between two of its requests.)
func (f Finding) Outage() (longest time.Duration, of string) {
	for _, name := range slices.Sorted(maps.Keys(f.Routes)) {
		if o := f.Routes[name]; o.Longest > longest {
			longest, of = o.Longest, name
		}
	}
	nearly := longest * 8 / 10
	for _, kind := range slices.Sorted(maps.Keys(f.Kinds)) {
		if o := f.Kinds[kind]; o.Longest > 0 && o.Longest >= nearly {
			longest, of = o.Longest, "all "+string(kind)+"s"
			nearly = longest // the longest of any kind
		}
	}
	if f.All.Longest > 0 && f.All.Longest >= longest*8/10 {
		return f.All.Longest, "all visits"
	}
	return longest, of
}

// Failed returns how many requests of all kinds failed, and how many there were.
func (f Finding) Failed() (failed, of int) {
	for _, o := range f.Kinds {
		failed += o.Failed
		of += o.Of
	}
	return failed, of
}

// Slowest returns the longest wait for an answer, of all kinds.
func (f Finding) Slowest() (slowest time.Duration) {
	for _, o := range f.Kinds {
		slowest = max(slowest, o.Slowest)
	}
	return slowest
}

// Recovery returns how long it took from the action's start until all was well again, for visitors and, if Docker was asked,
// for its health checks. ok is false if that did not happen within the action's window.
func (f Finding) Recovery() (after time.Duration, ok bool) {
	ok = true
	outage, _ := f.Outage()
	healthy := max(f.Action.Start, f.Action.Healthy)
	for _, o := range f.Routes {
		healthy = max(healthy, o.Healthy(outage))
		ok = ok && o.Recovered
	}
	return healthy - f.Action.Start, ok
}

// Step is the result of one step of a stepped load. Its first fifth is left out, because the previous step still affects it.
type Step struct {
	Rate        float64       `json:"rate"`        // offered, requests a second
	Throughput  float64       `json:"throughput"`  // successes a second
	Concurrency float64       `json:"concurrency"` // requests under way, on average
	Failed      int           `json:"failed"`
	Of          int           `json:"of"`
	P50         time.Duration `json:"p50_ns"` // of the successes, from their due times
	P99         time.Duration `json:"p99_ns"`
	LateP99     time.Duration `json:"late_p99_ns"` // how late the generator sent requests
	KeptUp      bool          `json:"kept_up"`     // at most 1% failed, and P99 of at most 1 s
	// Detail is what the drill observed of the parts during the step, such as "cpu app": "97%". The drill fills it in.
	Detail map[string]string `json:"detail,omitempty"`
}

// Result is everything that a run showed.
type Result struct {
	Run      history.Run   `json:"run"`
	Findings []Finding     `json:"findings"`        // one finding for each action
	Steps    []Step        `json:"steps,omitempty"` // empty for a run with only one step
	All      Outage        `json:"all"`             // the whole run, lookups aside
	Writes   Writes        `json:"writes"`          // the whole run
	LateP50  time.Duration `json:"late_p50_ns"`     // the generator's own lateness
	LateP99  time.Duration `json:"late_p99_ns"`
	LateMax  time.Duration `json:"late_max_ns"`
	Notes    []string      `json:"notes,omitempty"` // sentences for the report; the drill fills them in
}

// Check examines a whole history, which must be sorted. stored holds the tokens of this run only; it is nil if the database
// was not asked.
func Check(h history.History, stored Stored) Result {
	acknowledged := acknowledgements(h.Requests)
	late := load.MeasureLateness(h.Requests)
	result := Result{
		Run:     h.Run,
		All:     Measure(visits(h.Requests), 0, h.End()),
		Writes:  checkWrites(h.Requests, acknowledged, stored),
		LateP50: late.P50,
		LateP99: late.P99,
		LateMax: late.Max,
	}
	result.Writes.Phantom = append(result.Writes.Phantom, neverAsked(h.Requests, stored)...)
	for i, action := range h.Actions {
		from, to, requests := h.Window(i)
		f := Finding{
			Action: action,
			Window: Span{from, to},
			All:    Measure(visits(requests), from, to),
			Kinds:  make(map[history.Kind]Outage),
			Routes: make(map[string]Outage),
			Writes: checkWrites(requests, acknowledged, stored),
		}
		for kind, some := range group(requests, func(r history.Request) history.Kind { return r.Kind }) {
			f.Kinds[kind] = Measure(some, from, to)
		}
		for name, some := range group(requests, func(r history.Request) string { return r.Name }) {
			f.Routes[name] = Measure(some, from, to)
		}
		result.Findings = append(result.Findings, f)
	}
	if len(h.Run.Steps) > 1 {
		var start time.Duration
		for _, step := range h.Run.Steps {
			if start < h.End() { // false if the run was stopped before the step
				result.Steps = append(result.Steps, measureStep(h.Requests, start, step))
			}
			start += step.For
		}
	}
	return result
}

// visits returns the requests that go to the site itself.
func visits(requests []history.Request) []history.Request {
	return slices.DeleteFunc(slices.Clone(requests), func(r history.Request) bool { return r.Kind == history.Lookup })
}

func group[K comparable](requests []history.Request, key func(history.Request) K) map[K][]history.Request {
	groups := make(map[K][]history.Request)
	for _, r := range requests {
		groups[key(r)] = append(groups[key(r)], r)
	}
	return groups
}

func measureStep(requests []history.Request, start time.Duration, step history.Step) Step {
	from, to := start+step.For/5, start+step.For
	var due []history.Request
	var successes int
	var underway time.Duration
	for _, r := range requests {
		if r.Due >= from && r.Due < to {
			due = append(due, r)
		}
		if r.OK() && r.Done >= from && r.Done < to {
			successes++
		}
		underway += max(0, min(r.Done, to)-max(r.Sent, from))
	}
	o := Measure(due, from, to)
	length := (to - from).Seconds()
	return Step{
		Rate:        step.Rate,
		Throughput:  float64(successes) / length,
		Concurrency: underway.Seconds() / length,
		Failed:      o.Failed,
		Of:          o.Of,
		P50:         o.P50,
		P99:         o.P99,
		LateP99:     load.MeasureLateness(due).P99,
		KeptUp:      o.Of > 0 && o.Failed*100 <= o.Of && o.P99 <= time.Second,
	}
}

package check

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"oneserver/ctl/internal/drill/history"
)

const ms = time.Millisecond

// steady returns a history of n requests, one every 10 ms, every fourth a write, all answered within 2 ms.
func steady(n int) history.History {
	h := history.History{Run: history.Run{Name: "made up", Steps: []history.Step{{Rate: 100, For: time.Duration(n) * 10 * ms}}}}
	for i := range n {
		due := time.Duration(i) * 10 * ms
		r := history.Request{Seq: uint64(i), Kind: history.Read, Name: "GET /", Due: due, Sent: due, Done: due + 2*ms, Status: 200, Tries: 1}
		if i%4 == 0 {
			r.Kind, r.Name, r.Status, r.Token = history.Write, "POST /", 201, token(i)
		}
		h.Requests = append(h.Requests, r)
	}
	return h
}

func token(i int) string { return fmt.Sprintf("t-%03d", i) }

// kept returns the content of a database that has every acknowledged write once.
func kept(h history.History) Stored {
	s := make(Stored)
	for t := range acknowledgements(h.Requests) {
		s[t] = 1
	}
	return s
}

func TestWritesAreJudgedByWhatTheDatabaseHolds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(requests []history.Request, stored Stored)
		want  Writes
	}{
		"all is well":          {func([]history.Request, Stored) {}, Writes{Acknowledged: 5}},
		"lost":                 {func(_ []history.Request, s Stored) { delete(s, token(8)) }, Writes{Acknowledged: 5, Lost: []string{token(8)}}},
		"all lost":             {func(_ []history.Request, s Stored) { clear(s) }, Writes{Acknowledged: 5, Lost: []string{token(0), token(4), token(8), token(12), token(16)}}},
		"duplicated":           {func(_ []history.Request, s Stored) { s[token(4)] = 2 }, Writes{Acknowledged: 5, Duplicated: []string{token(4)}}},
		"no answer, and there": {func(r []history.Request, _ Stored) { r[4].Class = history.Reset }, Writes{Acknowledged: 4, UnknownThere: 1}},
		"no answer, not there": {func(r []history.Request, s Stored) { r[4].Class = history.Timeout; delete(s, token(4)) }, Writes{Acknowledged: 4, UnknownGone: 1}},
		"no answer, and twice": {func(r []history.Request, s Stored) { r[4].Class = history.Timeout; s[token(4)] = 2 }, Writes{Acknowledged: 4, Duplicated: []string{token(4)}, UnknownThere: 1}},
		"503, and there":       {func(r []history.Request, _ Stored) { r[4].Class, r[4].Status = history.Status, 503 }, Writes{Acknowledged: 4, UnknownThere: 1}},
		"403, and there":       {func(r []history.Request, _ Stored) { r[4].Class, r[4].Status = history.Status, 403 }, Writes{Acknowledged: 4, Phantom: []string{token(4)}}},
		"403, not there": {func(r []history.Request, s Stored) {
			r[4].Class, r[4].Status = history.Status, 403
			delete(s, token(4))
		}, Writes{Acknowledged: 4}},
		"refused, and there":    {func(r []history.Request, _ Stored) { r[4].Class, r[4].Tries = history.Refused, 0 }, Writes{Acknowledged: 4, Phantom: []string{token(4)}}},
		"sent, then refused":    {func(r []history.Request, _ Stored) { r[4].Class, r[4].Tries = history.Refused, 1 }, Writes{Acknowledged: 4, UnknownThere: 1}},
		"there and never asked": {func(_ []history.Request, s Stored) { s["t-999"] = 1 }, Writes{Acknowledged: 5, Phantom: []string{"t-999"}}},
		"stale":                 {func(r []history.Request, _ Stored) { staleRead(&r[5], token(4)) }, Writes{Acknowledged: 5, StaleReads: []string{token(4)}}},
		"stale twice":           {func(r []history.Request, _ Stored) { staleRead(&r[5], token(4)); staleRead(&r[6], token(4)) }, Writes{Acknowledged: 5, StaleReads: []string{token(4)}}},
		"read before it was acknowledged": {func(r []history.Request, _ Stored) {
			r[4].Done = 70 * ms
			staleRead(&r[5], token(4))
		}, Writes{Acknowledged: 5}},
		"read of what was not acknowledged": {func(r []history.Request, _ Stored) {
			r[4].Class = history.Reset
			staleRead(&r[5], token(4))
		}, Writes{Acknowledged: 4, UnknownThere: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := steady(20)
			stored := kept(h)
			c.spoil(h.Requests, stored)
			got := Check(h, stored).Writes
			t.Logf("%+v", got)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if kept := len(got.Lost)+len(got.Duplicated)+len(got.Phantom)+len(got.StaleReads) == 0; got.OK() != kept {
				t.Errorf("OK: %v", got.OK())
			}
		})
	}
	t.Run("nobody looked", func(t *testing.T) {
		t.Parallel()
		if got, want := Check(steady(20), nil).Writes, (Writes{Acknowledged: 5}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func staleRead(r *history.Request, of string) {
	r.Kind, r.Name, r.Token, r.Stale, r.Class, r.Status = history.Read, "GET what was written", of, true, history.Status, 404
}

func TestOutageIsMeasuredFromDueTimes(t *testing.T) {
	t.Parallel()
	fail := func(class history.Class, takes time.Duration) func(*history.Request) {
		return func(r *history.Request) { r.Class, r.Status, r.Done = class, 0, r.Due+takes }
	}
	for name, c := range map[string]struct {
		from, to int // the requests that are spoilt
		spoil    func(*history.Request)
		want     Outage
	}{
		"none": {0, 0, nil, Outage{Slowest: 2 * ms, P50: 2 * ms, P99: 2 * ms, Recovered: true}},
		"refused for 300 ms": {40, 70, fail(history.Refused, ms), Outage{Failed: 30, Why: map[string]int{"refused": 30}, Span: Span{400 * ms, 690 * ms},
			Gaps: []Span{{400 * ms, 702 * ms}}, Longest: 302 * ms, Slowest: 2 * ms, P50: 2 * ms, P99: 2 * ms, Answered: 700 * ms, Recovered: true}},
		"hung for 300 ms, then all answered": {40, 70, func(r *history.Request) { r.Done = 700 * ms }, Outage{
			Gaps: []Span{{400 * ms, 700 * ms}}, Longest: 300 * ms, Slowest: 300 * ms, P50: 2 * ms, P99: 290 * ms, Recovered: true}},
		"hung beyond the limit of each": {40, 70, fail(history.Timeout, 5*time.Second), Outage{Failed: 30, Why: map[string]int{"timeout": 30}, Span: Span{400 * ms, 690 * ms},
			Gaps: []Span{{400 * ms, 702 * ms}}, Longest: 302 * ms, Slowest: 2 * ms, P50: 2 * ms, P99: 2 * ms, Answered: 700 * ms, Recovered: true}},
		"one failed": {40, 41, fail(history.Reset, ms), Outage{Failed: 1, Why: map[string]int{"reset": 1}, Span: Span{400 * ms, 400 * ms},
			Slowest: 2 * ms, P50: 2 * ms, P99: 2 * ms, Answered: 410 * ms, Recovered: true}},
		"one was slow": {40, 41, func(r *history.Request) { r.Done = r.Due + 400*ms }, Outage{
			Slowest: 400 * ms, P50: 2 * ms, P99: 2 * ms, Recovered: true}},
		"502 to the end": {90, 100, func(r *history.Request) { r.Class, r.Status, r.Done = history.Status, 502, r.Due+50*ms }, Outage{Failed: 10, Why: map[string]int{"status 502": 10},
			Span: Span{900 * ms, 990 * ms}, Gaps: []Span{{900 * ms, 990*ms + 1}}, Longest: 90*ms + 1, Slowest: 50 * ms, P50: 2 * ms, P99: 2 * ms}},
		"from the beginning": {0, 10, fail(history.Refused, ms), Outage{Failed: 10, Why: map[string]int{"refused": 10}, Span: Span{0, 90 * ms},
			Gaps: []Span{{0, 102 * ms}}, Longest: 102 * ms, Slowest: 2 * ms, P50: 2 * ms, P99: 2 * ms, Answered: 100 * ms, Recovered: true}},
		"cut off with the run": {98, 100, fail(history.Aborted, ms), Outage{Slowest: 2 * ms, P50: 2 * ms, P99: 2 * ms, Recovered: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := steady(100)
			for i := c.from; i < c.to; i++ {
				c.spoil(&h.Requests[i])
			}
			got := Check(h, nil).All
			t.Logf("%+v", got)
			c.want.Of = 100
			if name == "cut off with the run" {
				c.want.Of = 98
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestOutageOfOneRouteIsNotHiddenByTheOthers(t *testing.T) {
	t.Parallel()
	h := steady(400)
	h.Actions = []history.Action{{Name: "pause db", Start: time.Second, End: 1100 * ms, Healthy: 2500 * ms}}
	for i := range h.Requests {
		if r := &h.Requests[i]; r.Kind == history.Write && r.Due >= time.Second && r.Due < 2*time.Second {
			r.Class, r.Status = history.Status, 503
		}
	}
	f := Check(h, kept(h)).Findings[0]
	longest, route := f.Outage()
	failed, of := f.Failed()
	after, ok := f.Recovery()
	t.Logf("outage of %q: %s; %d of %d failed; well after %s (%v)", route, longest, failed, of, after, ok)
	if route != "all writes" || longest != time.Second+2*ms {
		t.Errorf("outage of %q for %s, want of all writes for 1.002 s", route, longest)
	}
	if f.All.Longest != 0 {
		t.Errorf("all: an outage of %s, though reads were answered", f.All.Longest)
	}
	if failed != 25 || of != 300 {
		t.Errorf("%d of %d failed, want 25 of 300", failed, of)
	}
	if after != 1500*ms || !ok { // Docker was the last to report health
		t.Errorf("well after %s (%v), want 1.5 s", after, ok)
	}
}

func TestOutageIsOfTheMostThatWasAwayTogether(t *testing.T) {
	t.Parallel()
	away := func(length time.Duration) Outage { return Outage{Longest: length} }
	for name, c := range map[string]struct {
		all, reads, writes, route time.Duration
		longest                   time.Duration
		of                        string
	}{
		"none":         {},
		"everything":   {100 * ms, 102 * ms, 105 * ms, 120 * ms, 100 * ms, "all visits"},
		"the writes":   {0, 0, 105 * ms, 120 * ms, 105 * ms, "all writes"},
		"one route":    {0, 0, 30 * ms, 120 * ms, 120 * ms, "POST /"},
		"reads longer": {100 * ms, 900 * ms, 100 * ms, 910 * ms, 900 * ms, "all reads"},
	} {
		f := Finding{
			All:    away(c.all),
			Kinds:  map[history.Kind]Outage{history.Read: away(c.reads), history.Write: away(c.writes)},
			Routes: map[string]Outage{"POST /": away(c.route)},
		}
		if longest, of := f.Outage(); longest != c.longest || of != c.of {
			t.Errorf("%s: %s of %q, want %s of %q", name, longest, of, c.longest, c.of)
		}
	}
}

func TestActionAnswersForItsOwnWindowOnly(t *testing.T) {
	t.Parallel()
	h := steady(400)
	h.Actions = []history.Action{{Name: "first", Start: time.Second, End: time.Second}, {Name: "second", Start: 2 * time.Second, End: 2 * time.Second}}
	for i := 250; i < 260; i++ {
		h.Requests[i].Class = history.Reset
	}
	stored := kept(h)
	delete(stored, token(120))
	result := Check(h, stored)
	first, second := result.Findings[0], result.Findings[1]
	t.Logf("first: %d failed, lost %v; second: %d failed, lost %v", first.All.Failed, first.Writes.Lost, second.All.Failed, second.Writes.Lost)
	if first.All.Failed != 0 || len(first.Writes.Lost) != 1 || second.All.Failed != 10 || len(second.Writes.Lost) != 0 {
		t.Error("an action has what is another's")
	}
	if len(result.Writes.Lost) != 1 || result.All.Failed != 10 {
		t.Error("the whole run lacks what its actions have")
	}
}

func TestStepsSayWhereTheSiteStopsKeepingUp(t *testing.T) {
	t.Parallel()
	// The site answers one request every 10 ms, one after the other.
	h := history.History{Run: history.Run{Steps: []history.Step{{Rate: 50, For: 5 * time.Second}, {Rate: 90, For: 5 * time.Second}, {Rate: 200, For: 5 * time.Second}}}}
	var free, start time.Duration
	for _, step := range h.Run.Steps {
		for i := range int(step.Rate * step.For.Seconds()) {
			due := start + time.Duration(float64(i)/step.Rate*float64(time.Second))
			free = max(free, due) + 10*ms
			h.Requests = append(h.Requests, history.Request{Kind: history.Read, Name: "GET /", Due: due, Sent: due, Done: free, Status: 200, Tries: 1})
		}
		start += step.For
	}
	steps := Check(h, nil).Steps
	for _, s := range steps {
		t.Logf("%+v", s)
	}
	if len(steps) != 3 || !steps[0].KeptUp || !steps[1].KeptUp || steps[2].KeptUp {
		t.Fatal("want that it keeps up with 50 and 90 a second, and not with 200")
	}
	for i, want := range []struct{ throughput, concurrency float64 }{{50, 0.5}, {90, 0.9}, {100, 300}} {
		if got := steps[i]; got.Throughput < want.throughput*0.98 || got.Throughput > want.throughput*1.02 ||
			got.Concurrency < want.concurrency*0.9 || got.Concurrency > want.concurrency*1.1 {
			t.Errorf("step %d: throughput %.1f, concurrency %.1f, want %+v", i, got.Throughput, got.Concurrency, want)
		}
	}
}

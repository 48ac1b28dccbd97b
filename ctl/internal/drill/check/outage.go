package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/load"
)

// MinGap is the shortest time without an answer that is reported as a gap.
const MinGap = 20 * time.Millisecond

// hiccup is the longest gap that a healthy site may have: a busy machine stalls for that long now and then.
const hiccup = 50 * time.Millisecond

// Span is a part of the run's time.
type Span struct {
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`
}

// Length returns the length of the span.
func (s Span) Length() time.Duration { return s.To - s.From }

// Outage says what visitors met in a part of the run. Its times are measured from the run's start.
type Outage struct {
	Of     int            `json:"of"`
	Failed int            `json:"failed"`
	Why    map[string]int `json:"why,omitempty"` // failed requests by class, with the status: "refused", "status 502"
	Span   Span           `json:"failed_span"`   // from the due time of the first failed request to that of the last
	// Gaps are the periods in which visitors came and none got an answer. A gap begins when the first of them comes, that
	// is, at the first due time after a success was complete, and ends when the next success is complete. So refused
	// connections and a hanging server are measured alike, and a quiet period without visitors is no gap. A gap of less than
	// MinGap, or with fewer than three visitors, is not listed: it says too little about what others would have met.
	Gaps    []Span        `json:"gaps,omitempty"`
	Longest time.Duration `json:"longest_ns"` // the longest of the gaps: the outage
	Slowest time.Duration `json:"slowest_ns"` // the longest wait for an answer, even an error, from when the request was due
	P50     time.Duration `json:"p50_ns"`     // of the successful requests' latency
	P99     time.Duration `json:"p99_ns"`
	// Answered is the time after which no request failed: the due time of the first request after the last failure.
	// Recovered is false if the part ended before that, or in a gap.
	Answered  time.Duration `json:"answered_ns"`
	Recovered bool          `json:"recovered"`
	Repeated  int           `json:"repeated"` // successes that the client had to send more than once
}

// Healthy returns the time when all was well again: no more requests failed, and the last gap was over. Gaps of less than 50
// ms, or of less than a tenth of the outage, do not count.
func (o Outage) Healthy(outage time.Duration) time.Duration {
	healthy := o.Answered
	for _, gap := range o.Gaps {
		if gap.Length() >= max(hiccup, outage/10) {
			healthy = max(healthy, gap.To)
		}
	}
	return healthy
}

// Measure examines the requests between the times from and to. Requests that were cut off with the run do not count.
func Measure(requests []history.Request, from, to time.Duration) Outage {
	requests = slices.DeleteFunc(slices.Clone(requests), func(r history.Request) bool { return r.Class == history.Aborted })
	slices.SortFunc(requests, func(a, b history.Request) int { return cmp.Compare(a.Due, b.Due) })
	o := Outage{Of: len(requests), Answered: from, Recovered: true}
	var waits []time.Duration
	for _, r := range requests {
		if r.OK() || r.Class == history.Status {
			o.Slowest = max(o.Slowest, r.Latency())
		}
		if r.OK() {
			waits = append(waits, r.Latency())
			if r.Tries > 1 {
				o.Repeated++
			}
			if !o.Recovered {
				o.Answered, o.Recovered = r.Due, true
			}
			continue
		}
		if o.Failed == 0 {
			o.Span.From = r.Due
			o.Why = make(map[string]int)
		}
		o.Span.To = r.Due
		o.Failed++
		o.Why[why(r)]++
		o.Recovered = false
	}
	slices.Sort(waits)
	o.P50, o.P99 = load.Percentile(waits, 0.5), load.Percentile(waits, 0.99)
	var ended bool
	o.Gaps, ended = gaps(requests, from, to)
	for _, gap := range o.Gaps {
		o.Longest = max(o.Longest, gap.Length())
	}
	o.Recovered = o.Recovered && ended
	return o
}

// why returns the name that a failed request is counted under.
func why(r history.Request) string {
	if r.Class == history.Status {
		return fmt.Sprintf("status %d", r.Status)
	}
	return string(r.Class)
}

// gaps finds the gaps in requests, which must be sorted by Due. ended is false if a gap lasts until to.
func gaps(requests []history.Request, from, to time.Duration) (gaps []Span, ended bool) {
	successes := slices.DeleteFunc(slices.Clone(requests), func(r history.Request) bool { return !r.OK() })
	slices.SortFunc(successes, func(a, b history.Request) int { return cmp.Compare(a.Done, b.Done) })
	firstDue := func(since time.Duration) int {
		i, _ := slices.BinarySearchFunc(requests, since, func(r history.Request, t time.Duration) int { return cmp.Compare(r.Due, t) })
		return i
	}
	add := func(after, until time.Duration) bool {
		i, j := firstDue(after), firstDue(until)
		if i >= j {
			return false
		}
		gap := Span{requests[i].Due, until}
		if gap.Length() < MinGap || j-i < 3 {
			return false
		}
		gaps = append(gaps, gap)
		return true
	}
	last := from
	for _, s := range successes {
		add(last, s.Done)
		last = max(last, s.Done)
	}
	return gaps, !add(last, to)
}

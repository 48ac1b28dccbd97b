// Package history holds the record of one drill's run: when each request was due, when it was sent and how it ended, and
// which actions the stack was put through meanwhile. It is written as JSON lines.
package history

import (
	"cmp"
	"slices"
	"time"
)

// Kind says what a request was for.
type Kind string

// The kinds of requests.
const (
	Read   Kind = "read"   // a GET
	Write  Kind = "write"  // a request that creates something, once
	Lookup Kind = "lookup" // a question to the DNS server
)

// Class says why a request failed; empty if it did not.
type Class string

// These are the classes of failures. If there is an HTTP error status, the class is Status and no other.
const (
	OK       Class = ""
	Refused  Class = "refused"  // nothing listens: the connection was not accepted, and nothing was sent
	Reset    Class = "reset"    // the connection ended before the whole answer arrived
	Timeout  Class = "timeout"  // no complete answer within the time limit of one request
	DNS      Class = "dns"      // the name server answered, but not with what was asked for
	Status   Class = "status"   // the answer is an HTTP error; Request.Status says which
	Overload Class = "overload" // more in flight than the generator allows: nothing was sent
	Other    Class = "other"    // anything else; Request.Error says what
	Aborted  Class = "aborted"  // the run was stopped during the request, which says nothing about the stack
)

// Request is one request of the run. Times are measured from Run.Start.
type Request struct {
	Seq    uint64        `json:"seq"`
	Kind   Kind          `json:"kind"`
	Name   string        `json:"name"` // the route, such as "GET /api/v1/posts/{id}"
	Due    time.Duration `json:"due_ns"`
	Sent   time.Duration `json:"sent_ns"`
	Done   time.Duration `json:"done_ns"`
	Status int           `json:"status,omitempty"` // of the HTTP answer; 0 if there was none, and for a lookup
	Class  Class         `json:"class,omitempty"`
	Error  string        `json:"error,omitempty"`
	Bytes  int64         `json:"bytes,omitempty"`  // the size of the answer's body
	Token  string        `json:"token,omitempty"`  // of a write: its idempotency key, which its result contains; of a read: the token of what it asks for
	Stale  bool          `json:"stale,omitempty"`  // a read did not find what an acknowledged write had made
	Reused bool          `json:"reused,omitempty"` // over a kept connection, rather than a new one
	Tries  int           `json:"tries,omitempty"`  // how often it was sent; a client resends on a new connection what a kept one lost (RFC 9110, 9.2.2)
}

// OK reports whether the request got the answer that it was sent to get.
func (r Request) OK() bool { return r.Class == OK }

// Latency returns how long the visitor waited, from when the request was due, no matter when it was sent.
func (r Request) Latency() time.Duration { return r.Done - r.Due }

// Lateness returns how long after its due time the generator sent the request.
func (r Request) Lateness() time.Duration { return r.Sent - r.Due }

// Action is a fault or a piece of maintenance that the stack was put through. Times are measured from Run.Start.
type Action struct {
	Name  string        `json:"name"` // such as "kill -9 db"
	Start time.Duration `json:"start_ns"`
	End   time.Duration `json:"end_ns"` // when the command that did it had finished; the same as Start if it takes no time
	// Healthy is when Docker reported that every container of the stack was healthy again; 0 if Docker was not asked.
	Healthy time.Duration `json:"healthy_ns,omitempty"`
	// Until is the end of the time that counts as this action's; 0 for the next action's start, or the end of the run.
	Until time.Duration `json:"until_ns,omitempty"`
	Note  string        `json:"note,omitempty"` // what a reader must know, for example that it had to be started by hand
}

// Step is a part of a run with its own rate.
type Step struct {
	Rate float64       `json:"rate"` // requests a second
	For  time.Duration `json:"for_ns"`
}

// Run describes the run that the history records.
type Run struct {
	Name    string    `json:"name"`  // of the drill, such as "spof"
	Title   string    `json:"title"` // for people, such as "Each part killed and frozen"
	Start   time.Time `json:"start"`
	Machine string    `json:"machine"` // processors, memory, system and engine: see Machine
	Steps   []Step    `json:"steps"`
	Seed    uint64    `json:"seed"`
}

// Length returns the time over which requests are due.
func (r Run) Length() time.Duration {
	var sum time.Duration
	for _, s := range r.Steps {
		sum += s.For
	}
	return sum
}

// History is a finished run.
type History struct {
	Run      Run
	Requests []Request // in the order of Due
	Actions  []Action  // in the order of Start
}

// End returns the end of what the history covers: just after the last due time, since a run can be stopped early.
func (h History) End() time.Duration {
	if len(h.Requests) == 0 {
		return 0
	}
	return h.Requests[len(h.Requests)-1].Due + 1
}

// Window returns the action's own part of the history: from its start to Until, the next action's start or the end. A
// request belongs to it if it is due within, or was under way when the action began.
func (h History) Window(i int) (from, to time.Duration, requests []Request) {
	a := h.Actions[i]
	from, to = a.Start, h.End()
	if i+1 < len(h.Actions) {
		to = h.Actions[i+1].Start
	}
	if a.Until > 0 {
		to = min(to, a.Until)
	}
	for _, r := range h.Requests {
		if r.Due < to && (r.Due >= from || r.Done > from) {
			requests = append(requests, r)
		}
	}
	return from, to, requests
}

// Sort puts requests and actions in order.
func (h *History) Sort() {
	slices.SortFunc(h.Requests, func(a, b Request) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Seq, b.Seq)) })
	slices.SortStableFunc(h.Actions, func(a, b Action) int { return cmp.Compare(a.Start, b.Start) })
}

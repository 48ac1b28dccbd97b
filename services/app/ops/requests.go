package ops

import (
	"strings"
	"sync/atomic"
	"time"

	"oneserver/app/timing"
)

const (
	ringSize = 1000 // requests kept; they take about 1 MB
	maxPath  = 500  // bytes
)

// request is a request in the form in which it is stored. Nothing is computed from it until an operator asks.
type request struct {
	record              *timing.Record
	method, path, route string
	status              int
	took                time.Duration
}

// keepPath copies a path, because the original is part of a longer string, including the query, all of which would stay
// in memory.
func keepPath(path string) string {
	if len(path) > maxPath {
		const mark = "…"
		return strings.ToValidUTF8(path[:maxPath-len(mark)], "") + mark
	}
	return strings.Clone(path)
}

// ring keeps the latest requests. It has no lock, since every request passes through it.
type ring struct {
	next  atomic.Uint64
	slots [ringSize]atomic.Pointer[request]
}

func (r *ring) add(one *request) {
	r.slots[(r.next.Add(1)-1)%ringSize].Store(one)
}

// find returns the newest request with that id, or nil. (A proxy that retries a request sends the same id twice.)
func (r *ring) find(id string) *request {
	next := r.next.Load()
	for back := uint64(1); back <= min(next, ringSize); back++ {
		if one := r.slots[(next-back)%ringSize].Load(); one != nil && one.record.ID() == id {
			return one
		}
	}
	return nil
}

// Request describes a request to operators. Durations are in milliseconds.
type Request struct {
	ID             string      `json:"id"`
	Replica        string      `json:"replica"`
	Time           time.Time   `json:"time"`
	Method         string      `json:"method"`
	Path           string      `json:"path"` // without the query, which may contain private data
	Route          string      `json:"route"`
	Status         int         `json:"status"`
	DurationMS     float64     `json:"duration_ms"`
	DatabaseMS     float64     `json:"db_ms"` // including waits for a connection
	Statements     []Statement `json:"statements"`
	StatementCount int         `json:"statement_count"` // Statements has only the first ones
}

// Statement is one statement of a Request.
type Statement struct {
	SQL        string  `json:"sql"` // with placeholders, never with values
	AtMS       float64 `json:"at_ms"`
	DurationMS float64 `json:"duration_ms"`
}

func (r *request) view(replica string) Request {
	statements, count := r.record.Statements()
	view := Request{
		ID: r.record.ID(), Replica: replica, Time: r.record.Begin().UTC(),
		Method: r.method, Path: r.path, Route: r.route, Status: r.status,
		DurationMS: timing.Milliseconds(r.took), DatabaseMS: timing.Milliseconds(r.record.Database()),
		Statements: make([]Statement, len(statements)), StatementCount: count,
	}
	for i, s := range statements {
		view.Statements[i] = Statement{s.SQL, timing.Milliseconds(s.At), timing.Milliseconds(s.Took)}
	}
	return view
}

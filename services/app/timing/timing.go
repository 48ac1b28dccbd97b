// Package timing measures how long the stages of one request take, across packages that do not know each other: the
// receiver of the request puts a Record into the context, and the code that does the work adds to it.
package timing

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// Limits on what a Record keeps.
const (
	MaxStatements = 50
	MaxSQL        = 2000 // bytes of one statement's text
)

// Record holds the id and the times of one request. Its methods may be called from several goroutines.
type Record struct {
	id       string
	begin    time.Time
	database atomic.Int64 // nanoseconds

	mu         sync.Mutex // guards the fields below
	statements []statement
	total      int          // statements, including those not kept
	first      [4]statement // the initial space for statements: most requests need no more, and so allocate nothing
}

// statement is a Statement as it is stored. A program uses the same few texts again and again, so each is stored once.
type statement struct {
	sql      unique.Handle[string]
	at, took time.Duration
}

// Statement is one statement of a request, as it was sent to the database, with placeholders for the values.
type Statement struct {
	SQL  string
	At   time.Duration // since the request began
	Took time.Duration // not counting the wait for a connection
}

type key struct{}

// Start returns a context that carries a new Record, whose clock starts now, for the request with that id.
func Start(ctx context.Context, id string) (context.Context, *Record) {
	r := &Record{id: id, begin: time.Now()}
	r.statements = r.first[:0]
	return context.WithValue(ctx, key{}, r), r
}

// AddDatabase adds the time of one statement, including the wait for a connection. It does nothing if ctx carries no
// Record, as in a migration.
func AddDatabase(ctx context.Context, d time.Duration) {
	if r, ok := ctx.Value(key{}).(*Record); ok {
		r.database.Add(int64(d))
	}
}

// AddStatement stores a statement that started at began and has just ended. sql must have placeholders for the values,
// which may be personal data. Like AddDatabase, it does nothing if ctx carries no Record.
func AddStatement(ctx context.Context, sql string, began time.Time, took time.Duration) {
	r, ok := ctx.Value(key{}).(*Record)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	if len(r.statements) == MaxStatements {
		return
	}
	if len(sql) > MaxSQL {
		const mark = " …"
		sql = strings.ToValidUTF8(sql[:MaxSQL-len(mark)], "") + mark
	}
	r.statements = append(r.statements, statement{unique.Make(sql), began.Sub(r.begin), took})
}

// RequestID returns the id of the request that ctx belongs to, for the log; empty if it belongs to none.
func RequestID(ctx context.Context) string {
	if r, ok := ctx.Value(key{}).(*Record); ok {
		return r.id
	}
	return ""
}

// ID returns the request's id.
func (r *Record) ID() string { return r.id }

// Begin returns when the request began.
func (r *Record) Begin() time.Time { return r.begin }

// Statements returns the first MaxStatements statements in the order in which they ended, and how many there were in
// all.
func (r *Record) Statements() (kept []Statement, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept = make([]Statement, len(r.statements))
	for i, s := range r.statements {
		kept[i] = Statement{s.sql.Value(), s.at, s.took}
	}
	return kept, r.total
}

// StatementCount returns how many statements there were.
func (r *Record) StatementCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Total returns the time since Start.
func (r *Record) Total() time.Duration { return time.Since(r.begin) }

// Database returns the sum of the times given to AddDatabase.
func (r *Record) Database() time.Duration { return time.Duration(r.database.Load()) }

// ServerTiming returns the value of a Server-Timing header (W3C Server Timing), in milliseconds: db is the time spent
// in the database and on the way to it, app is the rest of the time so far.
func (r *Record) ServerTiming() string {
	db := r.Database()
	return fmt.Sprintf("db;dur=%.3f, app;dur=%.3f", Milliseconds(db), Milliseconds(r.Total()-db))
}

// Milliseconds returns d in milliseconds, with its fraction.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

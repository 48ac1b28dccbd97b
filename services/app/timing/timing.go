// Package timing collects how long the stages of one request took, across packages that do not know each other:
// whoever receives the request puts a Record into the context, whoever does the work adds to it.
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

// Bounds of what a Record keeps.
const (
	MaxStatements = 50
	MaxSQL        = 2000 // bytes of one statement's text
)

// Record holds the id and the times of one request. Its methods may be called from several goroutines.
type Record struct {
	id       string
	begin    time.Time
	database atomic.Int64 // nanoseconds

	mu         sync.Mutex // guards what follows
	statements []statement
	total      int          // statements, the ones not kept included
	first      [4]statement // where statements begins: most requests need no more, and so no memory of their own
}

// statement is a Statement as it is kept. A program has few texts and says them again and again: each is kept once.
type statement struct {
	sql      unique.Handle[string]
	at, took time.Duration
}

// Statement is one statement of a request, as it was sent to the database, with placeholders for the values.
type Statement struct {
	SQL  string
	At   time.Duration // since the request began
	Took time.Duration // without the wait for a connection
}

type key struct{}

// Start returns a context that carries a new Record of the request with that id, whose clock runs from now.
func Start(ctx context.Context, id string) (context.Context, *Record) {
	r := &Record{id: id, begin: time.Now()}
	r.statements = r.first[:0]
	return context.WithValue(ctx, key{}, r), r
}

// AddDatabase adds the time of one statement, the wait for a connection included. It does nothing where ctx carries
// no Record, such as in a migration.
func AddDatabase(ctx context.Context, d time.Duration) {
	if r, ok := ctx.Value(key{}).(*Record); ok {
		r.database.Add(int64(d))
	}
}

// AddStatement keeps a statement that began then and has just ended. sql must have placeholders for the values: they
// may be a person's data. Like AddDatabase it does nothing where ctx carries no Record.
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

// RequestID is the id of the request that ctx belongs to, for the log; empty where it belongs to none.
func RequestID(ctx context.Context) string {
	if r, ok := ctx.Value(key{}).(*Record); ok {
		return r.id
	}
	return ""
}

// ID is the request's id.
func (r *Record) ID() string { return r.id }

// Begin is when the request began.
func (r *Record) Begin() time.Time { return r.begin }

// Statements returns the first MaxStatements statements in the order in which they ended, and how many there were.
func (r *Record) Statements() (kept []Statement, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept = make([]Statement, len(r.statements))
	for i, s := range r.statements {
		kept[i] = Statement{s.sql.Value(), s.at, s.took}
	}
	return kept, r.total
}

// StatementCount is how many statements there were.
func (r *Record) StatementCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Total is the time since Start.
func (r *Record) Total() time.Duration { return time.Since(r.begin) }

// Database is the sum of what AddDatabase was told.
func (r *Record) Database() time.Duration { return time.Duration(r.database.Load()) }

// ServerTiming is the value of a Server-Timing header (W3C Server Timing), in milliseconds: db is the time spent
// in and on the way to the database, app is the rest of what has passed so far.
func (r *Record) ServerTiming() string {
	db := r.Database()
	return fmt.Sprintf("db;dur=%.3f, app;dur=%.3f", Milliseconds(db), Milliseconds(r.Total()-db))
}

// Milliseconds is d with its fraction.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

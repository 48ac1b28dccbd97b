// Package timing collects how long the stages of one request took, across packages that do not know each other:
// whoever receives the request puts a Record into the context, whoever does the work adds to it.
package timing

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Record holds the id and the times of one request. Its methods may be called from several goroutines.
type Record struct {
	id       string
	begin    time.Time
	database atomic.Int64 // nanoseconds
}

type key struct{}

// Start returns a context that carries a new Record of the request with that id, whose clock runs from now.
func Start(ctx context.Context, id string) (context.Context, *Record) {
	r := &Record{id: id, begin: time.Now()}
	return context.WithValue(ctx, key{}, r), r
}

// AddDatabase adds the time of one statement, the wait for a connection included. It does nothing where ctx carries
// no Record, such as in a migration.
func AddDatabase(ctx context.Context, d time.Duration) {
	if r, ok := ctx.Value(key{}).(*Record); ok {
		r.database.Add(int64(d))
	}
}

// RequestID is the id of the request that ctx belongs to, for the log; empty where it belongs to none.
func RequestID(ctx context.Context) string {
	if r, ok := ctx.Value(key{}).(*Record); ok {
		return r.id
	}
	return ""
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

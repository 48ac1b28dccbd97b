// Package timing collects how long the stages of one request took, across packages that do not know each other:
// whoever receives the request puts a Record into the context, whoever does the work adds to it.
package timing

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Record holds the times of one request. Its methods may be called from several goroutines.
type Record struct {
	begin    time.Time
	database atomic.Int64 // nanoseconds
}

type key struct{}

// Start returns a context that carries a new Record, whose clock runs from now.
func Start(ctx context.Context) (context.Context, *Record) {
	r := &Record{begin: time.Now()}
	return context.WithValue(ctx, key{}, r), r
}

// AddDatabase adds the time of one statement, the wait for a connection included. It does nothing where ctx carries
// no Record, such as in a migration.
func AddDatabase(ctx context.Context, d time.Duration) {
	if r, ok := ctx.Value(key{}).(*Record); ok {
		r.database.Add(int64(d))
	}
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

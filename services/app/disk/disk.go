// Package disk reports how much space is left on the database's disk. The application cannot see that disk, so
// services/db/healthcheck.sh checks it every few seconds and writes the free space, in bytes, to a file that both
// containers share.
package disk

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	interval = 2 * time.Second
	// stale is how old the file may be. While the database is down nothing updates the file, but nothing can be stored
	// either.
	stale = time.Minute
)

// Gauge reports whether there is room. The zero Gauge reads no file, and always has room.
type Gauge struct {
	file    string
	reserve uint64
	log     *slog.Logger

	free atomic.Int64 // bytes; -1 if unknown
	low  atomic.Bool
}

// New returns a Gauge that reads the file. There is room as long as at least reserve bytes are free; 0 means no
// reserve. The free space is unknown until Watch runs.
func New(file string, reserve uint64, log *slog.Logger) *Gauge {
	g := &Gauge{file: file, reserve: reserve, log: log}
	g.free.Store(-1)
	return g
}

// Low reports whether the disk is too full to accept anything new.
func (g *Gauge) Low() bool { return g.low.Load() }

// Free returns the number of free bytes, or -1 if unknown.
func (g *Gauge) Free() int64 { return g.free.Load() }

// Watch reads the file every few seconds until ctx ends, and logs each change once.
func (g *Gauge) Watch(ctx context.Context) {
	began, said := time.Now(), false
	for {
		free, err := g.read(time.Now())
		if err == nil {
			said = false
			g.note(free)
		} else if known := g.free.Swap(-1) >= 0; !said && (known || time.Since(began) > stale) { // db may start later than app
			said = true
			g.log.Warn("the free space on the database's disk is not known; writes are accepted or refused as before", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// note stores the free space and decides again whether there is room. Once the disk has been full, it needs a tenth
// more than the reserve before it counts as having room again, so that the answer does not flip whenever a file is
// created or removed.
func (g *Gauge) note(free int64) {
	g.free.Store(free)
	was, limit := g.low.Load(), g.reserve
	if was {
		limit += limit / 10
	}
	low := g.reserve > 0 && uint64(free) < limit
	if low == was {
		return
	}
	g.low.Store(low)
	if low {
		g.log.Warn("the database's disk is nearly full: new posts, edits that grow and new accounts are refused until there is room again",
			"free_bytes", free, "reserve_bytes", g.reserve)
	} else {
		g.log.Info("the database's disk has room again", "free_bytes", free, "reserve_bytes", g.reserve)
	}
}

func (g *Gauge) read(now time.Time) (int64, error) {
	info, err := os.Stat(g.file)
	if err != nil {
		return 0, err
	}
	if age := now.Sub(info.ModTime()); age > stale {
		return 0, fmt.Errorf("%s was written %s ago", g.file, age.Round(time.Second))
	}
	text, err := os.ReadFile(g.file)
	if err != nil {
		return 0, err
	}
	free, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || free < 0 {
		return 0, fmt.Errorf("%s says %.100q, which is no number of bytes", g.file, text)
	}
	return free, nil
}

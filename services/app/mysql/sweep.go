package mysql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// Each replica removes obsolete rows about once a minute, in batches small enough not to hold locks for long.
const (
	sweepInterval = time.Minute
	sweepBatch    = 500
)

// sweepUntilClosed sweeps about once a minute. The replicas need no coordination: each row is removed only once anyway.
func (db *DB) sweepUntilClosed() {
	for {
		select {
		case <-db.life.Done():
			return
		case <-time.After(sweepPause()):
		}
		if err := db.sweep(db.life); err != nil && !errors.Is(err, context.Canceled) {
			db.log.Warn("old rows are not removed; the next sweep tries again", "error", err.Error())
		}
	}
}

// sweepPause returns the time until the next sweep. It is random, so that replicas do not all sweep at once.
func sweepPause() time.Duration { return sweepInterval/2 + rand.N(sweepInterval) }

// sweep removes sessions, browsers, idempotency keys and buckets that are no longer needed.
func (db *DB) sweep(ctx context.Context) error {
	now := db.gorm.NowFunc()
	for _, old := range []struct {
		table, condition string
		args             []any
	}{
		{"sessions", "used_at < ?", []any{now.Add(-app.SessionIdle)}},
		{"devices", "created_at < ?", []any{now.Add(-app.DeviceLife)}},
		{"idempotency_keys", "created_at < ?", []any{now.Add(-keyLife)}},
		{"throttle", "arrival < UTC_TIMESTAMP(6)", nil}, // the clock that Take uses
	} {
		statement := fmt.Sprintf("DELETE FROM %s WHERE %s LIMIT %d", old.table, old.condition, sweepBatch)
		for more := true; more; {
			err := db.run(ctx, "remove old rows", func(tx *gorm.DB) error {
				tx = tx.Exec(statement, old.args...)
				more = tx.RowsAffected == sweepBatch
				return tx.Error
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

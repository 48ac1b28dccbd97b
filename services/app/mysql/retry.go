package mysql

import (
	"context"
	"database/sql"
	"errors"
	"time"

	goretry "github.com/sethvargo/go-retry"
	"gorm.io/gorm"
)

// waitLimit is how long one call, with all its tries, waits for a database that is down. It is shorter than a request
// may take (api.requestLimit), so that the answer can still say what is wrong.
const waitLimit = 10 * time.Second

// Pauses between tries double from firstPause to longestPause. Half of each is random, so that callers waiting for the
// same database do not all come back at the same moment.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 500 * time.Millisecond
	pauseJitter  = 50 // per cent
)

// permanent wraps an error that must not be retried, although the database was down.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// run calls do, and calls it again while the database is down, so do must be safe to repeat: it either only reads or
// may write twice. run returns errors in the domain's terms; doing names the operation in them.
func (db *DB) run(ctx context.Context, doing string, do func(tx *gorm.DB) error) error {
	bounded, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	pauses := goretry.NewExponential(firstPause)
	pauses = goretry.WithCappedDuration(longestPause, pauses)
	pauses = goretry.WithJitterPercent(pauseJitter, pauses)
	var last error
	err := goretry.Do(bounded, pauses, func(ctx context.Context) error {
		err := do(db.gorm.WithContext(ctx))
		if _, ok := errors.AsType[permanent](err); ok || !worthWaiting(err) {
			return err
		}
		if ctx.Err() == nil {
			last = err
		}
		return goretry.RetryableError(err)
	})
	if err == nil {
		return nil
	}
	if end := bounded.Err(); end != nil {
		err = end // rather than the error that this caused
		if last != nil && end == context.DeadlineExceeded {
			err = last // "the database is down" says more than "the time is up"
		}
	}
	return translate(doing, err)
}

// transaction calls do in a transaction, and repeats the whole transaction while the database is down. If the
// connection is lost during the COMMIT, it is unknown whether the transaction took effect; it is then repeated only if
// repeatable says that it may run twice. maybeDone tells do that an earlier try may have taken effect.
func (db *DB) transaction(ctx context.Context, doing string, repeatable bool, do func(tx *gorm.DB, maybeDone bool) error) error {
	maybeDone := false
	return db.run(ctx, doing, func(tx *gorm.DB) error {
		tx = tx.Begin()
		if tx.Error != nil {
			return tx.Error
		}
		if err := do(tx, maybeDone); err != nil {
			tx.Rollback() // fails if the connection is lost; the server then rolls back by itself
			return err
		}
		err := tx.Commit().Error
		if err == nil || rolledBack(err) {
			return err
		}
		maybeDone = true
		if !repeatable {
			return permanent{err}
		}
		return err
	})
}

// rolledBack reports whether a COMMIT that failed with err certainly had no effect: either because the server says so,
// or because database/sql, which returns these errors unchanged, found that the context had ended and sent a ROLLBACK
// instead.
func rolledBack(err error) bool {
	return hasNumber(err, errDeadlock, errLockWait, errRolledBack) ||
		err == context.Canceled || err == context.DeadlineExceeded || err == sql.ErrTxDone
}

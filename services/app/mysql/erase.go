package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// eraseBatch is how many rows of a deleted user are removed at a time. Removing that many of the longest posts takes a
// fraction of a second, well within a statement's time limit, and locks nothing that anybody else uses. Until the posts
// are removed, a page that covers them skips them, at a few microseconds each.
const eraseBatch = 1000

// DeleteUser implements app.AccountStore. It erases the user's name, address and password, all in a single row, however
// much the user has written. This hides the rest of the user's data, which eraseUntilClosed then removes.
func (db *DB) DeleteUser(ctx context.Context, user uint64, hash string) error {
	now := db.gorm.NowFunc()
	err := db.transaction(ctx, "delete account", true, func(tx *gorm.DB, maybeDone bool) error {
		// The space makes the placeholder an invalid address, and the id makes it unique, as addresses must be.
		gone := tx.Exec("UPDATE users SET deleted_at = ?, email = CONCAT('deleted ', id), name = '', password_hash = '' "+
			"WHERE id = ? AND password_hash = ? AND deleted_at IS NULL", now, user, hash)
		if gone.Error == nil && gone.RowsAffected == 0 && !maybeDone {
			return passwordChanged()
		}
		return gone.Error
	})
	if err == nil {
		select {
		case db.erase <- struct{}{}:
		default: // already requested
		}
	}
	return err
}

// eraseUntilClosed removes the remaining rows of deleted users as soon as this replica has deleted one, and about once
// a minute in case another replica was stopped before it had finished.
func (db *DB) eraseUntilClosed() {
	for {
		select {
		case <-db.life.Done():
			return
		case <-db.erase:
		case <-time.After(sweepPause()):
		}
		if err := db.eraseAll(db.life); err != nil && !errors.Is(err, context.Canceled) {
			db.log.Warn("deleted accounts are not removed yet; they are hidden, and the next try is in a minute", "error", err.Error())
		}
	}
}

// eraseAll removes all the remaining rows of deleted users.
func (db *DB) eraseAll(ctx context.Context) error {
	for more := true; more; {
		if err := db.transaction(ctx, "remove a deleted account", true, func(tx *gorm.DB, _ bool) (err error) {
			more, err = eraseSome(tx)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// eraseSome removes a batch of rows of one deleted user, or finally the user, and reports whether there may be more to
// do. The user's row is locked, so that replicas which do this at the same time take turns. It removes the newest posts
// first, because the most-read pages must skip them until then.
func eraseSome(tx *gorm.DB) (more bool, err error) {
	var user uint64
	err = tx.Raw("SELECT id FROM users WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 1 FOR UPDATE").Scan(&user).Error
	if err != nil || user == 0 {
		return false, err
	}
	for _, rows := range []struct{ table, first string }{
		{"sessions", "token"},
		{"devices", "token"},
		{"idempotency_keys", "digest"},
		{"posts", "id DESC"},
	} {
		done := tx.Exec(fmt.Sprintf("DELETE FROM %s WHERE user_id = ? ORDER BY %s LIMIT %d", rows.table, rows.first, eraseBatch), user)
		if done.Error != nil || done.RowsAffected > 0 {
			return true, done.Error
		}
	}
	return true, tx.Exec("DELETE FROM users WHERE id = ?", user).Error // and, through foreign keys, any rows added meanwhile
}

package mysql

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// useNoted is how exactly it is known when a session was last used. A write each time would cost more than the rest of
// the request.
const useNoted = 5 * time.Minute

const (
	readSession = "SELECT users.id, email, name, password_hash, users.created_at, " +
		"sessions.created_at AS session_created_at, used_at, expires_at " +
		"FROM sessions JOIN users ON users.id = sessions.user_id WHERE token = ? AND used_at > ? AND expires_at > ? AND deleted_at IS NULL"
	readUser = "SELECT id, email, name, password_hash, created_at, COALESCE(unbounded, 0) AS unbounded FROM users WHERE deleted_at IS NULL AND "
)

func noSuchUser() error {
	return &app.Error{Code: app.NotFound, Message: "There is no such account."}
}

func passwordChanged() error {
	return &app.Error{Code: app.Conflict, Message: "The password or the account has changed in the meantime."}
}

// CreateUser implements app.AccountStore.
func (db *DB) CreateUser(ctx context.Context, once app.Once, user app.User) error {
	now := db.gorm.NowFunc()
	return db.transaction(ctx, "create account", once != (app.Once{}), func(tx *gorm.DB, _ bool) error {
		if done, err := begin(tx, once, now, nil); done || err != nil {
			return err
		}
		if err := db.room(); err != nil {
			return err
		}
		err := tx.Exec("INSERT INTO users (email, name, password_hash, created_at) VALUES (?, ?, ?, ?)",
			user.Email, user.Name, user.PasswordHash, now).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) { // the key is kept all the same
			return nil
		}
		return err
	})
}

// UserByEmail implements app.AccountStore.
func (db *DB) UserByEmail(ctx context.Context, email string) (user app.User, err error) {
	err = db.run(ctx, "find account", func(tx *gorm.DB) error {
		err := tx.Raw(readUser+"email = ?", email).Take(&user).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return noSuchUser()
		}
		return err
	})
	return user, err
}

// Rename implements app.AccountStore. An *app.Error of code NotFound says that there is no such user.
func (db *DB) Rename(ctx context.Context, user uint64, name string) error {
	now := db.gorm.NowFunc()
	return db.transaction(ctx, "rename account", true, func(tx *gorm.DB, _ bool) error {
		have, err := lockUser(tx, user, "FOR UPDATE")
		if err != nil {
			return err
		}
		if have.ID == 0 {
			return noSuchUser()
		}
		if err := db.countEdit(tx, have, len(name), now); err != nil {
			return err
		}
		return tx.Exec("UPDATE users SET name = ? WHERE id = ?", name, user).Error
	})
}

// ChangePassword implements app.AccountStore.
func (db *DB) ChangePassword(ctx context.Context, user uint64, oldHash, newHash string, keep app.Digest) error {
	return db.transaction(ctx, "change password", true, func(tx *gorm.DB, maybeDone bool) error {
		have, err := lockUser(tx, user, "FOR UPDATE")
		switch {
		case err != nil:
			return err
		case maybeDone && have.PasswordHash == newHash:
			return nil
		case have.PasswordHash != oldHash:
			return passwordChanged()
		}
		if err := tx.Exec("UPDATE users SET password_hash = ? WHERE id = ?", newHash, user).Error; err != nil {
			return err
		}
		return tx.Exec("DELETE FROM sessions WHERE user_id = ? AND token <> ?", user, digest(keep)).Error
	})
}

// StartSession implements app.AccountStore. The user stays locked until the session is there: a change of the password
// comes before, and is noticed, or after, and ends the session.
func (db *DB) StartSession(ctx context.Context, user uint64, passwordHash string, token, replaced app.Digest) error {
	now := db.gorm.NowFunc()
	return db.transaction(ctx, "start session", true, func(tx *gorm.DB, _ bool) error {
		have, err := lockUser(tx, user, "FOR SHARE")
		if err != nil {
			return err
		}
		if have.PasswordHash != passwordHash {
			return passwordChanged()
		}
		if replaced != (app.Digest{}) {
			if err := tx.Exec("DELETE FROM sessions WHERE token = ?", digest(replaced)).Error; err != nil {
				return err
			}
		}
		err = tx.Exec("INSERT INTO sessions (token, user_id, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?)",
			digest(token), user, now, now, now.Add(app.SessionAbsolute)).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) { // by an earlier try: nobody else has this token
			return nil
		}
		return err
	})
}

type sessionRow struct {
	app.User
	SessionCreatedAt, UsedAt, ExpiresAt time.Time
}

// Session implements app.AccountStore. That it was used is noted beside the request, every few minutes.
func (db *DB) Session(ctx context.Context, token app.Digest) (app.Session, error) {
	now := db.gorm.NowFunc()
	var row sessionRow
	err := db.run(ctx, "read session", func(tx *gorm.DB) error {
		err := tx.Raw(readSession, digest(token), now.Add(-app.SessionIdle), now).Take(&row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return &app.Error{Code: app.NotFound, Message: "There is no such session."}
		}
		return err
	})
	if err != nil {
		return app.Session{}, err
	}
	if now.Sub(row.UsedAt) > useNoted {
		db.noteUse(token, now)
	}
	return app.Session{User: row.User, TokenHash: token, CreatedAt: row.SessionCreatedAt, ExpiresAt: row.ExpiresAt}, nil
}

// EndSession implements app.AccountStore.
func (db *DB) EndSession(ctx context.Context, token app.Digest) error {
	return db.run(ctx, "end session", func(tx *gorm.DB) error {
		return tx.Exec("DELETE FROM sessions WHERE token = ?", digest(token)).Error
	})
}

// lockedUser is a user whose row is locked.
type lockedUser struct {
	app.User
	Unbounded bool // no quota applies
}

// lockUser reads a user and locks it against changes ("FOR SHARE") or against any other lock ("FOR UPDATE"), until the
// transaction ends. Where there is none, or none any more, it returns the zero lockedUser.
func lockUser(tx *gorm.DB, id uint64, lock string) (user lockedUser, err error) {
	err = tx.Raw(readUser+"id = ? "+lock, id).Find(&user).Error
	return user, err
}

// noteUse writes that a session was used, without making its request wait and without effect on it. One at a time is
// enough: who comes meanwhile is noted by their next request.
func (db *DB) noteUse(token app.Digest, now time.Time) {
	if !db.noting.CompareAndSwap(false, true) {
		return
	}
	db.background.Go(func() {
		defer db.noting.Store(false)
		err := db.run(db.life, "note the use of a session", func(tx *gorm.DB) error {
			return tx.Exec("UPDATE sessions SET used_at = ? WHERE token = ? AND used_at < ?", now, digest(token), now.Add(-useNoted)).Error
		})
		if err != nil {
			db.log.Warn("the use of a session is not noted", "error", err.Error())
		}
	})
}

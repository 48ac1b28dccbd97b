package mysql

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// useNoted is the precision with which the last use of a session is recorded. Recording every use would cost more than
// the rest of the request.
const useNoted = 5 * time.Minute

const (
	readSession = "SELECT users.id, email, name, password_hash, users.created_at, " +
		"browser, sessions.created_at AS session_created_at, used_at, expires_at " +
		"FROM sessions JOIN users ON users.id = sessions.user_id WHERE token = ? AND used_at > ? AND expires_at > ? AND deleted_at IS NULL"
	readSessions = "SELECT token, browser, created_at, used_at, expires_at FROM sessions " +
		"WHERE user_id = ? AND used_at > ? AND expires_at > ? ORDER BY used_at DESC, token"
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
		if errors.Is(err, gorm.ErrDuplicatedKey) { // the key is not stored, since nothing was done
			return &app.Error{Code: app.Conflict, Message: "There is an account with this address already."}
		}
		if err != nil {
			return err
		}
		var id uint64
		if err := tx.Raw("SELECT LAST_INSERT_ID()").Scan(&id).Error; err != nil {
			return err
		}
		return finish(tx, once, id, nil) // deleted with the account, so that no retry reports an account that is gone
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

// Rename implements app.AccountStore. An *app.Error of code Unauthorized means that the user no longer exists.
func (db *DB) Rename(ctx context.Context, user uint64, name string) error {
	now := db.gorm.NowFunc()
	return db.transaction(ctx, "rename account", true, func(tx *gorm.DB, _ bool) error {
		have, err := lockUser(tx, user, "FOR UPDATE")
		if err != nil {
			return err
		}
		if err := db.countEdit(tx, have, len(name), now); err != nil {
			return err
		}
		return tx.Exec("UPDATE users SET name = ? WHERE id = ?", name, user).Error
	})
}

// ChangePassword implements app.AccountStore.
func (db *DB) ChangePassword(ctx context.Context, user uint64, oldHash, newHash string, in app.SignIn) error {
	now := db.gorm.NowFunc()
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
		for _, s := range []struct {
			statement string
			args      []any
		}{
			{"UPDATE users SET password_hash = ? WHERE id = ?", []any{newHash, user}},
			{"DELETE FROM sessions WHERE user_id = ? AND token <> ?", []any{user, digest(in.OldToken)}},
			{"UPDATE sessions SET token = ?, used_at = ? WHERE user_id = ? AND token = ?", []any{digest(in.Token), now, user, digest(in.OldToken)}},
			{"DELETE FROM devices WHERE user_id = ?", []any{user}},
		} {
			if err := tx.Exec(s.statement, s.args...).Error; err != nil {
				return err
			}
		}
		return noteDevice(tx, user, in, now)
	})
}

// StartSession implements app.AccountStore. The user's row stays locked until the session exists. If the password is
// changed at the same time, the change therefore either comes first, and this call fails, or comes later and ends the
// session. Of two simultaneous sign-ins, the second counts the session of the first.
func (db *DB) StartSession(ctx context.Context, user uint64, passwordHash string, in app.SignIn) error {
	now := db.gorm.NowFunc()
	return db.transaction(ctx, "start session", true, func(tx *gorm.DB, _ bool) error {
		have, err := lockUser(tx, user, "FOR UPDATE")
		if err != nil {
			return err
		}
		if have.PasswordHash != passwordHash {
			return passwordChanged()
		}
		if in.OldToken != (app.Digest{}) {
			if err := tx.Exec("DELETE FROM sessions WHERE token = ?", digest(in.OldToken)).Error; err != nil {
				return err
			}
		}
		err = tx.Exec("INSERT INTO sessions (token, user_id, browser, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
			digest(in.Token), user, in.Browser, now, now, now.Add(app.SessionAbsolute)).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) { // stored by an earlier try: nobody else has this token
			return nil
		}
		if err != nil {
			return err
		}
		if err := removeOldest(tx, "sessions", user, app.MaxSessions); err != nil {
			return err
		}
		return noteDevice(tx, user, in, now)
	})
}

// noteDevice records that the user has signed in with a browser, and replaces that browser's token for all its users.
func noteDevice(tx *gorm.DB, user uint64, in app.SignIn, now time.Time) error {
	if in.OldDevice != (app.Digest{}) {
		if err := tx.Exec("UPDATE devices SET token = ? WHERE token = ?", digest(in.Device), digest(in.OldDevice)).Error; err != nil {
			return err
		}
	}
	err := tx.Exec("INSERT INTO devices (token, user_id, created_at) VALUES (?, ?, ?) AS new ON DUPLICATE KEY UPDATE created_at = new.created_at",
		digest(in.Device), user, now).Error
	if err != nil {
		return err
	}
	return removeOldest(tx, "devices", user, app.MaxDevices)
}

// removeOldest limits a user's rows in a table to the given number by deleting the oldest ones. (MySQL accepts LIMIT in
// a subquery only if it is nested in another.)
func removeOldest(tx *gorm.DB, table string, user uint64, most int) error {
	return tx.Exec("DELETE FROM "+table+" WHERE user_id = ? AND token NOT IN (SELECT token FROM "+
		"(SELECT token FROM "+table+" WHERE user_id = ? ORDER BY created_at DESC, token LIMIT ?) AS newest)", user, user, most).Error
}

// KnowsDevice implements app.AccountStore.
func (db *DB) KnowsDevice(ctx context.Context, user uint64, device app.Digest) (known bool, err error) {
	err = db.run(ctx, "look for a browser", func(tx *gorm.DB) error {
		return tx.Raw("SELECT EXISTS (SELECT 1 FROM devices WHERE token = ? AND user_id = ? AND created_at > ?)",
			digest(device), user, db.gorm.NowFunc().Add(-app.DeviceLife)).Row().Scan(&known)
	})
	return known, err
}

// Sessions implements app.AccountStore.
func (db *DB) Sessions(ctx context.Context, user uint64) (sessions []app.Session, err error) {
	now := db.gorm.NowFunc()
	var rows []struct {
		Token                        digest
		Browser                      string
		CreatedAt, UsedAt, ExpiresAt time.Time
	}
	err = db.run(ctx, "list sessions", func(tx *gorm.DB) error {
		return tx.Raw(readSessions, user, now.Add(-app.SessionIdle), now).Find(&rows).Error
	})
	for _, row := range rows {
		sessions = append(sessions, app.Session{
			TokenHash: app.Digest(row.Token), Browser: row.Browser, CreatedAt: row.CreatedAt, UsedAt: row.UsedAt, ExpiresAt: row.ExpiresAt,
		})
	}
	return sessions, err
}

type sessionRow struct {
	app.User
	Browser                             string
	SessionCreatedAt, UsedAt, ExpiresAt time.Time
}

// Session implements app.AccountStore. The session's use is recorded in the background, once every few minutes.
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
	return app.Session{
		User: row.User, TokenHash: token, Browser: row.Browser,
		CreatedAt: row.SessionCreatedAt, UsedAt: row.UsedAt, ExpiresAt: row.ExpiresAt,
	}, nil
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
// transaction ends. If the user does not exist, or no longer does, it returns the zero lockedUser.
func lockUser(tx *gorm.DB, id uint64, lock string) (user lockedUser, err error) {
	err = tx.Raw(readUser+"id = ? "+lock, id).Find(&user).Error
	return user, err
}

// noteUse records that a session was used, without delaying or affecting its request. One write at a time is enough:
// sessions used meanwhile are recorded at their next request.
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

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
)

// signIn checks a password and begins a session, without a limit on guesses. It hashes as many passwords at the same time as
// app does (services/app/auth/password.go).
func signIn(db *sql.DB) func(*http.Request) (any, error) {
	hashing := make(chan struct{}, max(1, min(2, runtime.GOMAXPROCS(0)/2)))
	return func(r *http.Request) (any, error) {
		ctx, cancel := context.WithTimeout(r.Context(), handleLimit)
		defer cancel()
		var given struct{ Email, Password string }
		if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
			return nil, err
		}
		var id uint64
		var name, hash string
		if err := db.QueryRowContext(ctx, "SELECT id, name, password_hash FROM users WHERE email = ?", given.Email).Scan(&id, &name, &hash); err != nil {
			return nil, err
		}
		hashing <- struct{}{}
		right, err := argon2id.ComparePasswordAndHash(given.Password, hash)
		<-hashing
		if err != nil {
			return nil, err
		}
		if !right {
			return nil, errors.New("the password is wrong")
		}
		token := sha256.Sum256([]byte(rand.Text()))
		now := time.Now().UTC()
		_, err = db.ExecContext(ctx, "INSERT INTO sessions (token, user_id, browser, created_at, used_at, expires_at) VALUES (?, ?, '', ?, ?, ?)",
			token[:], id, now, now, now.Add(24*time.Hour))
		return map[string]any{"signed_in": true, "user": map[string]any{"id": id, "name": name, "email": given.Email}}, err
	}
}

// write stores a post with app's statements (services/app/mysql: Session, Create) and does nothing else: no check, no retry,
// no quota.
func write(db *sql.DB) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		ctx, cancel := context.WithTimeout(r.Context(), handleLimit)
		defer cancel()
		var given struct{ Title, Body string }
		if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
			return nil, err
		}
		cookie, err := r.Cookie("session")
		if err != nil {
			return nil, err
		}
		token, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil {
			return nil, err
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		hash := sha256.Sum256(token)
		var user uint64
		err = db.QueryRowContext(ctx, "SELECT users.id FROM sessions JOIN users ON users.id = sessions.user_id "+
			"WHERE token = ? AND used_at > ? AND expires_at > ? AND deleted_at IS NULL", hash[:], now.Add(-time.Hour), now).Scan(&user)
		if err != nil {
			return nil, fmt.Errorf("read the session: %w", err)
		}
		key := sha256.Sum256([]byte(r.Header.Get("Idempotency-Key")))
		written := row{AuthorID: user, Title: given.Title, Body: given.Body, CreatedAt: now, UpdatedAt: now}
		err = inTransaction(ctx, db, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO idempotency_keys (digest, request, created_at) VALUES (?, ?, ?)", key[:], hash[:], now); err != nil {
				return err
			}
			if err := tx.QueryRowContext(ctx, "SELECT name FROM users WHERE deleted_at IS NULL AND id = ? FOR SHARE", user).Scan(&written.Author); err != nil {
				return err
			}
			made, err := tx.ExecContext(ctx, "INSERT INTO posts (user_id, title, body, created_at) VALUES (?, ?, ?, ?)", user, given.Title, given.Body, now)
			if err != nil {
				return err
			}
			id, err := made.LastInsertId()
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO post_search (post_id, words, grams, as_of) VALUES (?, ?, '', NULL)", id, given.Title+" "+given.Body); err != nil {
				return err
			}
			kept, err := json.Marshal(map[string]any{"ID": id, "Author": written.Author, "CreatedAt": now, "UpdatedAt": now})
			if err != nil {
				return err
			}
			written.ID = uint64(id)
			_, err = tx.ExecContext(ctx, "UPDATE idempotency_keys SET answer = ?, user_id = ? WHERE digest = ?", string(kept), user, key[:])
			return err
		})
		return show(written), err
	}
}

func inTransaction(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// These are app's two statements (services/app/mysql/search.go): one for its present index, one for the previous release's.
const (
	searchNow    = postsInList + "post_search JOIN posts ON posts.id = post_id AND posts.updated_at <=> as_of " + before + " AND MATCH (words) AGAINST (? IN BOOLEAN MODE)" + newestFirst
	searchBefore = postsInList + "posts " + before + " AND MATCH (title, body) AGAINST (? IN BOOLEAN MODE)" + newestFirst
)

// search answers GET /api/v1/search?q=<word>.
func search(db *sql.DB) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		ctx, cancel := context.WithTimeout(r.Context(), handleLimit)
		defer cancel()
		word := "+" + strings.ToLower(r.FormValue("q")) + "*"
		answer := posts{Posts: []post{}}
		have := map[uint64]bool{}
		for _, statement := range []string{searchNow, searchBefore} {
			rows, err := db.QueryContext(ctx, statement, uint64(math.MaxUint64), word, 21)
			if err != nil {
				return nil, err
			}
			if err := scan(rows, func(r row) {
				if !have[r.ID] {
					have[r.ID] = true
					answer.Posts = append(answer.Posts, show(r))
				}
			}); err != nil {
				return nil, err
			}
		}
		return answer, nil
	}
}

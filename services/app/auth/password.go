// Package auth refuses weak passwords, hashes and verifies passwords, and makes session tokens. The stored hashes are
// of no use to someone who reads the database.
package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"oneserver/app"
)

// cost follows the OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one thread.
var cost = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// atOnce is how many hashes are computed at a time. With several processors, hashing occupies at most half of them and
// leaves the rest to other requests. Two hashes need 38 MiB.
var atOnce = max(1, min(2, runtime.GOMAXPROCS(0)/2))

// Limits on hashing, so that a burst of sign-ins exhausts neither the server's memory nor its CPU.
const (
	waiting    = 32 // callers; even the last one gets its turn within its request's time limit
	retryAfter = time.Second
)

// Passwords hashes and verifies passwords. Its methods may be called from several goroutines: a few run, some more wait
// for their turn or until their ctx ends, and the rest get Unavailable immediately.
type Passwords struct {
	admitted chan struct{} // a slot for each caller that runs or waits
	running  chan struct{}
	nobodys  string // looks like a hash, at the same cost, and no password is known to have it
}

// NewPasswords returns Passwords whose callers share the limits.
func NewPasswords() *Passwords {
	random := func(bytes uint32) string {
		b := make([]byte, bytes)
		rand.Read(b) // never fails, by its documentation
		return base64.RawStdEncoding.EncodeToString(b)
	}
	return &Passwords{
		admitted: make(chan struct{}, atOnce+waiting),
		running:  make(chan struct{}, atOnce),
		nobodys: fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, cost.Memory, cost.Iterations, cost.Parallelism,
			random(cost.SaltLength), random(cost.KeyLength)),
	}
}

// Hash returns the hash of password in the PHC string format, with a new salt.
func (p *Passwords) Hash(ctx context.Context, password string) (hash string, err error) {
	err = p.run(ctx, func() error {
		hash, err = argon2id.CreateHash(normal(password), &cost)
		return err
	})
	return hash, err
}

// Verify reports whether hash was made from password.
func (p *Passwords) Verify(ctx context.Context, password, hash string) (right bool, err error) {
	err = p.run(ctx, func() error {
		right, err = argon2id.ComparePasswordAndHash(normal(password), hash)
		return err
	})
	return right, err
}

// VerifyNobody does the same work as Verify. Call it if there is no such user, so that the response time does not
// reveal that.
func (p *Passwords) VerifyNobody(ctx context.Context, password string) error {
	_, err := p.Verify(ctx, password, p.nobodys)
	return err
}

func (p *Passwords) run(ctx context.Context, work func() error) error {
	select {
	case p.admitted <- struct{}{}:
		defer func() { <-p.admitted }()
	default:
		return busy(errors.New("too many wait for a password to be hashed"))
	}
	select {
	case p.running <- struct{}{}:
		defer func() { <-p.running }()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return busy(ctx.Err())
		}
		return ctx.Err() // the client has gone
	}
	if err := work(); err != nil {
		return fmt.Errorf("hash a password: %w", err)
	}
	return nil
}

func busy(cause error) error {
	return &app.Error{
		Code:       app.Unavailable,
		Message:    "Too many people are signing in at this moment. Please try again.",
		RetryAfter: retryAfter,
		Err:        cause,
	}
}

// normal returns password in one normal form (NFC), because keyboards differ in how they compose a character.
func normal(password string) string { return norm.NFC.String(password) }

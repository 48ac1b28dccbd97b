package api

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"oneserver/app"
)

// limits are the buckets that count a sign-in. A stranger, wherever they are, must get only a few guesses, and must not
// lock the owner out of the account. So every network has a separate bucket for each account. A browser that has signed
// in to the account before has its own bucket, which nobody else can fill. It is not counted in the buckets that
// strangers share, because strangers may be in the same network, or in so many networks that the account's overall
// bucket is full.
type limits struct {
	account []app.Bucket // an attempt with the right password is removed from these again, since it was no guess
	others  []app.Bucket
}

// ownWork returns the bucket that limits how much hashing an account can make the site do, whether the passwords are
// right or not. Each attempt also counts in the smaller bucket of a browser or a session, so no single browser or
// session can fill this one.
func ownWork(what string, user uint64) app.Bucket {
	return app.Bucket{Name: fmt.Sprintf("%s account %d", what, user), Burst: 60, Interval: 10 * time.Second}
}

// signInLimits returns the limits on signing in with email. knownBy is the user who has signed in with this browser
// before, or 0.
func (s *Server) signInLimits(c *call, email string, knownBy uint64) limits {
	account := strings.ToLower(email)
	if knownBy != 0 {
		return limits{
			account: []app.Bucket{
				{Name: "sign-in account " + account + " device " + hex.EncodeToString(c.device[:]), Burst: 5, Interval: time.Minute},
			},
			others: []app.Bucket{ownWork("known sign-in", knownBy)},
		}
	}
	return limits{
		account: []app.Bucket{
			{Name: "sign-in account " + account + " network " + c.network(), Burst: 5, Interval: time.Minute},
			{Name: "sign-in account " + account, Burst: 60, Interval: 15 * time.Second}, // five guessing networks fill it
		},
		others: perVisitor("sign-in", c),
	}
}

// perSession returns the buckets that limit password guesses by someone who found a user's browser signed in. Each
// session has a separate bucket, so the guesser cannot keep the owner, in another browser, from changing the password.
// A new password starts a new session, so ownWork limits the account as a whole.
func perSession(what string, session app.Session) []app.Bucket {
	return []app.Bucket{
		{Name: what + " session " + hex.EncodeToString(session.TokenHash[:]), Burst: 5, Interval: time.Minute},
		ownWork(what, session.User.ID),
	}
}

// perVisitor returns the buckets that limit attempts by strangers on all accounts together. The limit for each network
// is enough for a school behind one address. Hashing at the limit for the whole site takes at most a third of a core.
// If visitors' addresses are hidden, only the site's limit applies: all visitors would count as one network, whose
// limit one of them could use up for everyone.
func perVisitor(what string, c *call) []app.Bucket {
	site := app.Bucket{Name: what + " site", Burst: 300, Interval: 100 * time.Millisecond}
	if c.hidden {
		return []app.Bucket{site}
	}
	return []app.Bucket{{Name: what + " network " + c.network(), Burst: 100, Interval: 6 * time.Second}, site}
}

// throttle counts an attempt, or returns an error if a bucket is full. It counts before the outcome is known, so that a
// burst of guesses cannot outrun the count.
func (s *Server) throttle(c *call, buckets ...app.Bucket) error {
	wait, err := s.Throttle.Take(c.Context(), buckets...)
	if err != nil {
		return err
	}
	if wait > 0 {
		return &app.Error{Code: app.TooMany, Message: "Too many attempts. Please wait a little and try again.", RetryAfter: wait}
	}
	return nil
}

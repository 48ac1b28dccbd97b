package api

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"oneserver/app"
)

// limits are what a sign-in is counted in. Guesses of a stranger's must not keep the owner of the account out, wherever
// the stranger is, and must stay few. So each network has a bucket of its own for an account, and each browser that has
// signed in to it before has one that nobody else can fill, and none that strangers count in: they may sit in the same
// network, or in so many that the account's wide bucket is full.
type limits struct {
	account []app.Bucket // what a right password takes its attempt back from, since it was no guess
	others  []app.Bucket
}

// ownWork bounds what an account makes the site hash for it, right password or not. Each attempt in it is in a browser's
// bucket or a session's too, and no single one of those fills it.
func ownWork(what string, user uint64) app.Bucket {
	return app.Bucket{Name: fmt.Sprintf("%s account %d", what, user), Burst: 60, Interval: 10 * time.Second}
}

// signInLimits has of a browser that is known the user who knows it, and 0 otherwise.
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
			{Name: "sign-in account " + account, Burst: 60, Interval: 15 * time.Second}, // four networks at work fill it
		},
		others: perVisitor("sign-in", c),
	}
}

// perSession bounds the guesses at a password of who is signed in: somebody who found the browser open. Nobody can fill
// it for another browser of the same account, whose owner may want to put an end to just that. A new password comes with a
// new session, hence ownWork.
func perSession(what string, session app.Session) []app.Bucket {
	return []app.Bucket{
		{Name: what + " session " + hex.EncodeToString(session.TokenHash[:]), Burst: 5, Interval: time.Minute},
		ownWork(what, session.User.ID),
	}
}

// perVisitor bounds what strangers may try with all accounts: each network, and the whole site, which spends a third of a
// core on it at the most. A school behind one address has room. Where visitors' addresses are hidden, one of them would
// fill the bucket of all, so there is none.
func perVisitor(what string, c *call) []app.Bucket {
	site := app.Bucket{Name: what + " site", Burst: 300, Interval: 100 * time.Millisecond}
	if c.hidden {
		return []app.Bucket{site}
	}
	return []app.Bucket{{Name: what + " network " + c.network(), Burst: 100, Interval: 6 * time.Second}, site}
}

// throttle counts an attempt, before its outcome is known, so that a burst of guesses cannot outrun the count.
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

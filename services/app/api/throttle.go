package api

import (
	"strings"
	"time"

	"oneserver/app"
)

// perAccount bounds how fast one account's password can be guessed, from wherever.
func perAccount(what, account string) app.Bucket {
	return app.Bucket{Name: what + " account " + strings.ToLower(account), Burst: 5, Interval: time.Minute}
}

// perNetwork bounds what one network may try with all accounts. A school behind one address has room.
func perNetwork(what string, c *call) app.Bucket {
	return app.Bucket{Name: what + " network " + c.network(), Burst: 100, Interval: 6 * time.Second}
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

package api

import (
	"fmt"
	"sync"
	"time"

	"oneserver/app"
)

// countSignUp counts a sign-up towards the quotas for accounts, and returns an error if one of them is used up.
func (s *Server) countSignUp(c *call) error {
	wait, err := s.Throttle.Take(c.Context(), s.Quotas.SignUps(networkOf(c))...)
	if err != nil {
		return err
	}
	if wait > 0 {
		return &app.Error{Code: app.TooMany, Message: "As many accounts have been made as may be for now. Please come again later.", RetryAfter: wait}
	}
	return nil
}

// networkOf returns c.network, or "" if the visitor's address is hidden from the stack.
func networkOf(c *call) string {
	if c.hidden {
		return ""
	}
	return c.network()
}

// networkSearches is how many searches from one network may run or wait at a time, including searches by accounts. It
// is enough for a school behind one address, and keeps one person with many accounts from delaying other visitors by a
// search for each account.
const networkSearches = 3

// searches counts the running and waiting searches of each visitor. Only a few run at a time (mysql.DB); the others
// wait their turn. Since each visitor has at most one, nobody waits for more than one search of any other visitor.
type searches struct {
	mu sync.Mutex
	of map[string]int
}

// oneSearch admits a search, or returns an error if the same visitor or network has reached its limit. A visitor is an
// account or, if nobody is signed in, a network. If addresses are hidden, visitors who are not signed in cannot be told
// apart, and have no limit. done ends the search.
func (s *Server) oneSearch(c *call) (done func(), err error) {
	limits := map[string]int{}
	network := networkOf(c)
	session, err := s.session(c)
	switch {
	case is(err, app.Unauthorized):
		if network != "" {
			limits["stranger "+network] = 1
		}
	case err != nil:
		return nil, err
	default:
		limits[fmt.Sprintf("account %d", session.User.ID)] = 1
	}
	if network != "" {
		limits["network "+network] = networkSearches
	}
	if !s.searches.begin(limits) {
		return nil, &app.Error{Code: app.TooMany, Message: "Another search of yours is still running. Please wait for it.", RetryAfter: time.Second}
	}
	return func() { s.searches.end(limits) }, nil
}

// begin counts a search towards every limit, unless one of them has been reached.
func (s *searches) begin(limits map[string]int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]int{}
	}
	for who, most := range limits {
		if s.of[who] >= most {
			return false
		}
	}
	for who := range limits {
		s.of[who]++
	}
	return true
}

func (s *searches) end(limits map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who := range limits {
		if s.of[who]--; s.of[who] == 0 {
			delete(s.of, who)
		}
	}
}

package api

import (
	"fmt"
	"sync"
	"time"

	"oneserver/app"
)

// countSignUp counts a sign-up towards the quotas for accounts.
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

// networkOf returns c.network, or empty if the visitor's address is hidden from the stack.
func networkOf(c *call) string {
	if c.hidden {
		return ""
	}
	return c.network()
}

// networkSearches is how many searches from one network may run or wait at a time, including those of accounts. That is
// enough for a school behind one address, and one person with many accounts can delay another visitor by only one
// search, not by one for each account.
const networkSearches = 3

// searches counts the running and waiting searches of each visitor. Only a few run at a time (mysql.DB); the others
// wait their turn. Since each visitor has at most one, nobody waits for more than one search of any other visitor.
type searches struct {
	mu sync.Mutex
	of map[string]int
}

// oneSearch admits a search, or returns an error if another one of the same visitor is still running. A visitor is an
// account, or else a network; visitors whose addresses are hidden cannot be told apart. done ends the search.
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

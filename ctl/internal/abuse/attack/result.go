package attack

import (
	"maps"
	"slices"
	"time"
)

// result sums up the session's requests.
func (s *session) result(took []time.Duration) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Result{Answers: maps.Clone(s.answers), Failed: s.failed, First: s.first}
	if len(took) > 0 {
		slices.Sort(took)
		r.Median, r.P99 = took[len(took)/2], took[len(took)*99/100]
	}
	return r
}

package check

import (
	"net/http"
	"slices"
	"time"

	"oneserver/ctl/internal/drill/history"
)

// Stored is what the database holds after the run: the number of rows for each token.
type Stored map[string]int

// Writes says what became of the writes. The lists hold tokens, each once, in the order of the requests.
type Writes struct {
	Acknowledged int      `json:"acknowledged"`          // answered with success
	Lost         []string `json:"lost,omitempty"`        // acknowledged, but not in the database
	Duplicated   []string `json:"duplicated,omitempty"`  // in the database more than once, whatever was answered
	Phantom      []string `json:"phantom,omitempty"`     // refused (4xx) or never sent, but in the database all the same
	StaleReads   []string `json:"stale_reads,omitempty"` // acknowledged, but a read that was sent later did not find it
	UnknownThere int      `json:"unknown_there"`         // stored, after no answer or a 5xx, which leave that open
	UnknownGone  int      `json:"unknown_gone"`          // not stored, after no answer or a 5xx
}

// OK reports whether the site kept its word.
func (w Writes) OK() bool {
	return len(w.Lost)+len(w.Duplicated)+len(w.Phantom)+len(w.StaleReads) == 0
}

// CheckWrites compares requests with what is stored. If stored is nil, it only looks for StaleReads. An acknowledged write
// that was later deleted would count as lost, but drills delete nothing.
func CheckWrites(requests []history.Request, stored Stored) Writes {
	return checkWrites(requests, acknowledgements(requests), stored)
}

// acknowledgements returns when the answer to each acknowledged write arrived.
func acknowledgements(requests []history.Request) map[string]time.Duration {
	done := make(map[string]time.Duration)
	for _, r := range requests {
		if r.Kind == history.Write && r.OK() {
			done[r.Token] = r.Done
		}
	}
	return done
}

// checkWrites checks a part of a run. acknowledged covers the whole run, since a read may be of something written earlier.
func checkWrites(requests []history.Request, acknowledged map[string]time.Duration, stored Stored) Writes {
	var w Writes
	stale := make(map[string]bool)
	for _, r := range requests {
		if r.Kind == history.Read && r.Stale && !stale[r.Token] {
			if done, ok := acknowledged[r.Token]; ok && done <= r.Sent {
				stale[r.Token] = true
				w.StaleReads = append(w.StaleReads, r.Token)
			}
		}
		if r.Kind != history.Write {
			continue
		}
		if r.OK() {
			w.Acknowledged++
		}
		if stored == nil {
			continue
		}
		rows := stored[r.Token]
		if rows > 1 {
			w.Duplicated = append(w.Duplicated, r.Token)
		}
		switch {
		case r.OK() && rows == 0:
			w.Lost = append(w.Lost, r.Token)
		case r.OK():
		case notDone(r) && rows > 0:
			w.Phantom = append(w.Phantom, r.Token)
		case notDone(r):
		case rows > 0:
			w.UnknownThere++
		default:
			w.UnknownGone++
		}
	}
	return w
}

// notDone reports whether a failed write cannot have had an effect: it was never sent, or the only answer to it was a
// refusal.
func notDone(r history.Request) bool {
	switch r.Class {
	case history.Refused, history.Overload:
		return r.Tries == 0
	case history.Status:
		return r.Tries <= 1 && r.Status >= 400 && r.Status < 500 && r.Status != http.StatusRequestTimeout
	}
	return false
}

// neverAsked returns the stored tokens that no request of the run has.
func neverAsked(requests []history.Request, stored Stored) []string {
	asked := make(map[string]bool)
	for _, r := range requests {
		if r.Kind == history.Write {
			asked[r.Token] = true
		}
	}
	var tokens []string
	for token, rows := range stored {
		if rows > 0 && !asked[token] {
			tokens = append(tokens, token)
		}
	}
	slices.Sort(tokens)
	return tokens
}

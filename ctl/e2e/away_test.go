package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stream is several people who write one post after another, each sent once and with its own key.
type stream struct {
	word  string // in the body of each post
	stop  func() // lets everybody finish, and returns when they have
	ended chan struct{}

	mutex   sync.Mutex
	answers map[string]reply // by title, which is also the key
	longest time.Duration    // wait for an answer
	hasty   []string         // posts refused without waiting for the database
	err     error
}

// patience is a little less than a request waits for the database (mysql.waitLimit, 10 s). A request may be refused only
// after waiting this long, since on a slow machine the database may take longer to come back.
const patience = 9 * time.Second

// startStream starts writing as v. The stream ends with the test.
func startStream(v *visitor, writers int) *stream {
	v.withoutQuotas()
	ctx, stop := context.WithCancel(v.Context())
	s := &stream{word: v.word, ended: make(chan struct{}), answers: map[string]reply{}}
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			one := *v
			for i := 0; ctx.Err() == nil; i++ {
				title := fmt.Sprintf("%s-%d-%d", v.word, writer, i)
				begun := time.Now()
				got, err := one.try(v.Context(), "POST", "/api/v1/posts", object{"title": title, "body": s.word}, "Idempotency-Key: "+title)
				s.mutex.Lock()
				waited := time.Since(begun)
				s.answers[title] = got
				s.longest = max(s.longest, waited)
				if got.status != http.StatusCreated && waited < patience {
					s.hasty = append(s.hasty, fmt.Sprintf("%s: %d after %s: %s", title, got.status, waited, got.body))
				}
				s.err = errors.Join(s.err, err)
				s.mutex.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	go func() { all.Wait(); close(s.ended) }()
	s.stop = func() { stop(); <-s.ended }
	v.Cleanup(stop)
	return s
}

// written: this many more posts have been acknowledged since the check was created.
func (s *stream) written(more int) check {
	before := s.acknowledged()
	return check{strconv.Itoa(more) + " more posts are acknowledged", []string{"web", "app", "db"}, func(context.Context, *copyOfStack) error {
		if now := s.acknowledged(); now < before+more {
			return fmt.Errorf("there were %d and are now %d", before, now)
		}
		return nil
	}}
}

func (s *stream) acknowledged() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	count := 0
	for _, got := range s.answers {
		if got.status == http.StatusCreated {
			count++
		}
	}
	return count
}

// settle stops the stream, sends every post that got no 201 once more with its key, and compares everything with MySQL.
func (s *stream) settle(v *visitor) {
	v.Helper()
	s.stop()
	if s.err != nil {
		v.Errorf("without an answer: %v", s.err)
	}
	statuses := map[int]int{}
	for title, got := range s.answers {
		statuses[got.status]++
		if got.status == http.StatusCreated {
			continue
		}
		v.want(http.StatusCreated, v.ask("POST", "/api/v1/posts", object{"title": title, "body": s.word}, "Idempotency-Key: "+title))
	}
	stored, err := s.stored(v)
	if err != nil {
		v.Fatal(err)
	}
	v.Logf("%d posts, the longest wait %.2f s, answers by status %v, rows %d", len(s.answers), s.longest.Seconds(), statuses, len(stored))
	times := map[string]int{}
	for _, title := range stored {
		times[title]++
	}
	for title, got := range s.answers {
		if times[title] != 1 {
			v.Errorf("%s was answered with %d and is stored %d times", title, got.status, times[title])
		}
	}
	if len(stored) != len(s.answers) {
		v.Errorf("MySQL holds %d posts, %d were sent", len(stored), len(s.answers))
	}
}

func (s *stream) stored(v *visitor) ([]string, error) {
	out, err := v.stack.sql(v.Context(), "app", "SELECT title FROM foobar.posts WHERE body = '"+s.word+"'")
	return strings.Split(out, "\n"), err
}

// MySQL stops and comes back in the middle of writes. Requests wait for it instead of being refused, and every post is
// stored exactly once.
func TestWritesOutliveTheDatabaseOnTheirWay(t *testing.T) {
	tests := []struct {
		name string
		do   action
	}{
		{"restarted", compose("restart", "db")},
		{"killed", killNine("db")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := newMember(t, site)
			writes := startStream(v, 4)
			newScenario(t, site).
				Then(20*time.Second, writes.written(20)).
				When("db is "+test.name, test.do)
			newScenario(t, site).
				Then(30*time.Second, healthy("db"), healthy("app")).
				Then(20*time.Second, writes.written(20))
			writes.settle(v)
			if len(writes.hasty) > 0 {
				t.Errorf("%d posts were refused without waiting, such as %s", len(writes.hasty), writes.hasty[0])
			}
		})
	}
}

// The application is killed in the middle of writes. The requests that it was handling fail; sent again with the same key,
// each takes effect exactly once.
func TestWritesOutliveTheApplicationOnTheirWay(t *testing.T) {
	v := newMember(t, site)
	writes := startStream(v, 4)
	newScenario(t, site).
		Then(20*time.Second, writes.written(20)).
		When("app is killed", killNine("app"))
	newScenario(t, site).
		Then(30*time.Second, healthy("app")).
		Then(20*time.Second, writes.written(20))
	writes.settle(v)
}

// Requests that arrive while MySQL is down, reads and writes alike, wait for it and succeed once it is back. Past a time
// limit they get 503 with Retry-After, and nothing is left half-written.
func TestRequestsWaitForTheDatabase(t *testing.T) {
	v := newMember(t, site)
	kept := v.write("Written before")
	path := fmt.Sprintf("/api/v1/posts/%d", kept.ID)
	type request struct {
		name, method, path string
		body               any
		status             int
	}
	requests := []request{
		{"read a post", "GET", path, nil, http.StatusOK},
		{"read a page", "GET", "/api/v1/posts?limit=5", nil, http.StatusOK},
		{"search", "GET", "/api/v1/search?q=" + v.word, nil, http.StatusOK},
		{"ask who is signed in", "GET", "/api/v1/session", nil, http.StatusOK},
		{"write a post", "POST", "/api/v1/posts", object{"title": "Written meanwhile", "body": v.word}, http.StatusCreated},
		{"edit a post", "PUT", path, object{"title": "Edited", "body": v.word}, http.StatusOK},
		{"sign up", "POST", "/api/v1/accounts", object{"email": "new-" + v.email, "name": v.name, "password": v.password}, http.StatusCreated},
		{"sign in", "PUT", "/api/v1/session", object{"email": v.email, "password": v.password}, http.StatusOK},
	}
	keys := make([]string, len(requests))
	for i := range keys {
		keys[i] = "Idempotency-Key: " + rand.Text()
	}
	type outcome struct {
		reply
		after time.Duration
		err   error
	}
	// send sends all requests at the same time; the channel delivers the outcomes once the last one is answered.
	send := func() <-chan []outcome {
		done := make(chan []outcome, 1)
		outcomes := make([]outcome, len(requests))
		var all sync.WaitGroup
		for i, request := range requests {
			all.Go(func() {
				one, begun := *v, time.Now()
				if strings.HasPrefix(request.name, "sign") {
					one.cookie = "" // signing in replaces the session that the cookie names, which the others use
				}
				outcomes[i].reply, outcomes[i].err = one.try(v.Context(), request.method, request.path, request.body, keys[i])
				outcomes[i].after = time.Since(begun)
			})
		}
		go func() { all.Wait(); done <- outcomes }()
		return done
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := site.compose(ctx, "up", "--detach", "--wait"); err != nil {
			t.Error(err)
		}
	})

	newScenario(t, site).When("db is stopped", compose("stop", "db"))
	for i, got := range <-send() {
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		if got.err != nil || got.status != http.StatusServiceUnavailable || err != nil || seconds < 1 {
			t.Errorf("%s without a database: %d, Retry-After %q, %v: %s; want 503", requests[i].name, got.status, got.header.Get("Retry-After"), got.err, got.body)
		}
		if got.after < patience || got.after > 20*time.Second {
			t.Errorf("%s without a database is answered after %s, want about 10 s", requests[i].name, got.after)
		}
	}

	waiting := send()
	newScenario(t, site).When("db is started while requests wait", compose("start", "db"))
	for i, got := range <-waiting {
		if got.status == http.StatusServiceUnavailable && got.after >= patience { // a slow machine
			got.reply, got.err = v.try(t.Context(), requests[i].method, requests[i].path, requests[i].body, keys[i])
		}
		if got.err != nil || got.status != requests[i].status {
			t.Errorf("%s while the database starts: %d, %v: %s; want %d", requests[i].name, got.status, got.err, got.body, requests[i].status)
		}
		t.Logf("%s: %d after %.2f s", requests[i].name, got.status, got.after.Seconds())
	}
	for of, want := range map[string]int{
		"posts WHERE title = 'Written meanwhile' AND body = '" + v.word + "'": 1,
		"users WHERE email = 'new-" + v.email + "'":                           1,
		fmt.Sprintf("posts WHERE title = 'Edited' AND id = %d", kept.ID):      1,
	} {
		if got := site.rows(t, of); got != want {
			t.Errorf("%d rows of %s, want %d", got, of, want)
		}
	}
}

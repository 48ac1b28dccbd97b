package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A request with an Idempotency-Key takes effect once, however often it is sent, and is always answered as it was the first
// time.
func TestAnIdempotencyKeyMakesOnePost(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	key := "Idempotency-Key: " + rand.Text()
	body := object{"title": "Once", "body": v.word}
	first := v.ask("POST", "/api/v1/posts", body, key)
	v.want(http.StatusCreated, first)

	again := map[string]reply{
		"again":                                  v.ask("POST", "/api/v1/posts", body, key),
		"with the key as the draft writes it":    v.ask("POST", "/api/v1/posts", body, strings.Replace(key, ": ", `: "`, 1)+`"`),
		"with the same JSON written differently": v.ask("POST", "/api/v1/posts", `{ "body": "`+v.word+`", "title": "Once" }`, key),
		"in another browser where the same person signed in": func() reply {
			other := v.elsewhere()
			other.signIn()
			return other.ask("POST", "/api/v1/posts", body, key)
		}(),
	}
	for how, got := range again {
		if got.status != first.status || got.body != first.body || got.header.Get("Location") != first.header.Get("Location") {
			t.Errorf("%s: %d %s %s; at first it was %d %s %s", how, got.status, got.header.Get("Location"), got.body, first.status, first.header.Get("Location"), first.body)
		}
	}
	if got := site.rows(t, "posts WHERE body = '"+v.word+"'"); got != 1 {
		t.Errorf("MySQL holds %d rows", got)
	}

	// the same key with another request is the client's mistake, and nothing is written
	refused := decode[problem](v, http.StatusUnprocessableEntity, v.ask("POST", "/api/v1/posts", object{"title": "Twice", "body": v.word}, key))
	if !strings.Contains(refused.Detail, "idempotency key") {
		t.Errorf("another body with the same key: %+v", refused)
	}
	// the same key from somebody else counts as another one
	other := newMember(t, site)
	if got := decode[post](other, http.StatusCreated, other.ask("POST", "/api/v1/posts", body, key)); got.ID == decode[post](v, http.StatusCreated, first).ID {
		t.Errorf("somebody else with the same key also got post %d", got.ID)
	}
	if got := site.rows(t, "posts WHERE body = '"+v.word+"'"); got != 2 {
		t.Errorf("MySQL holds %d rows, want one for each of two people", got)
	}

	// sent again after an edit, the request still gets 201 and the same Location
	path := first.header.Get("Location")
	v.want(http.StatusOK, v.ask("PUT", path, object{"title": "Edited", "body": v.word}))
	if got := v.ask("POST", "/api/v1/posts", body, key); got.status != http.StatusCreated || got.header.Get("Location") != path {
		t.Errorf("after an edit: %d %s", got.status, got.body)
	}
}

func TestAnIdempotencyKeyHoldsForManyAtOnce(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	key := rand.Text()
	var all sync.WaitGroup
	answers := make([]reply, 20)
	errs := make([]error, len(answers))
	for i := range answers {
		all.Go(func() {
			one := *v // each has its own copy of the cookie
			answers[i], errs[i] = one.try(t.Context(), "POST", "/api/v1/posts", object{"title": "At once", "body": v.word}, "Idempotency-Key: "+key)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, got := range answers {
		if got.status != http.StatusCreated || got.body != answers[0].body {
			t.Errorf("%d %s; another answer was %d %s", got.status, got.body, answers[0].status, answers[0].body)
		}
	}
	if got := site.rows(t, "posts WHERE body = '"+v.word+"'"); got != 1 {
		t.Errorf("MySQL holds %d rows", got)
	}
}

// Signing up needs a key as well. The key counts for the public as a whole, since nobody is signed in.
func TestAnIdempotencyKeyMakesOneAccount(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	key := "Idempotency-Key: " + rand.Text()
	for range 2 {
		v.want(http.StatusCreated, v.ask("POST", "/api/v1/accounts", object{"email": v.email, "name": v.name, "password": v.password}, key))
	}
	v.want(http.StatusUnprocessableEntity, v.ask("POST", "/api/v1/accounts", object{"email": v.email, "name": "Another", "password": v.password}, key))
	if got := site.rows(t, "users WHERE email = '"+v.email+"'"); got != 1 {
		t.Errorf("MySQL holds %d accounts", got)
	}
	v.signIn()
}

func TestTheKeyOfADeletedAccountCanBeUsedAgain(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	key := "Idempotency-Key: " + rand.Text()
	v.want(http.StatusCreated, v.ask("POST", "/api/v1/accounts", object{"email": v.email, "name": v.name, "password": v.password}, key))
	v.signIn()
	v.want(http.StatusNoContent, v.ask("POST", "/api/v1/account/deletion", object{"password": v.password}))
	newScenario(t, site).Then(10*time.Second, check{"the same request creates it again", []string{"app"}, func(ctx context.Context, _ *copyOfStack) error {
		if got, err := v.try(ctx, "POST", "/api/v1/accounts", object{"email": v.email, "name": v.name, "password": v.password}, key); err != nil || got.status != http.StatusCreated {
			return fmt.Errorf("%d %s %v", got.status, got.body, err)
		}
		got, err := v.try(ctx, "PUT", "/api/v1/session", object{"email": v.email, "password": v.password})
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("signing in gets %d", got.status)
		}
		return err
	}})
}

// A malformed key is refused, and nothing is written.
func TestAnIdempotencyKeyIsChecked(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	for name, key := range map[string]string{"too short": "short", "too long": strings.Repeat("k", 129), "not ASCII": "schlüssel-mit-umlaut", "an unterminated string": `"sixteen-characters`} {
		t.Run(name, func(t *testing.T) {
			got := v.ask("POST", "/api/v1/posts", object{"title": "Refused", "body": v.word}, "Idempotency-Key: "+key)
			if got.status != http.StatusBadRequest && got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Idempotency-Key") {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	if got := v.found(); len(got) > 0 {
		t.Errorf("written nevertheless: %+v", got)
	}
}

// A request without a key gets one from Nginx, a new one each time. The application itself makes up none, since each try of
// a request would get a different one.
func TestOnlyNginxMakesUpAMissingKey(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	for range 2 {
		v.want(http.StatusCreated, v.ask("POST", "/api/v1/posts", object{"title": "No key", "body": v.word}))
	}
	got, err := site.compose(t.Context(), "exec", "--no-TTY", "web", "curl", "--silent", "http://app:8080/api/v1/posts",
		"--header", "Cookie: "+v.cookie, "--json", `{"title": "No key", "body": "`+v.word+`"}`, "--write-out", " %{http_code}")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(got, " 400") || !strings.Contains(got, "Idempotency-Key") {
		t.Errorf("without a key the application says %s", got)
	}
	if got := site.rows(t, "posts WHERE body = '"+v.word+"'"); got != 2 {
		t.Errorf("two requests to Nginx without a key, and one to the application, wrote %d posts; want 2", got)
	}
}

// The worst moment is when MySQL has committed, and the application or MySQL itself dies before the commit is confirmed.
// Semi-synchronous replication without a replica holds that moment: everybody sees the row, but the confirmation is
// withheld.
func TestAPostCommittedWithoutAnAnswerIsNotWrittenTwice(t *testing.T) {
	tests := []struct {
		victim string
		status []int // of the request that was in flight
	}{
		{"app", []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusCreated}}, // Nginx's second try may find the new process
		{"db", []int{http.StatusCreated}}, // the application waits for MySQL and asks it what became of the key
	}
	for _, test := range tests {
		t.Run(test.victim, func(t *testing.T) {
			v := newMember(t, site)
			root := func(statement string) action {
				return func(ctx context.Context, c *copyOfStack) error {
					_, err := c.sql(ctx, "root", statement)
					return err
				}
			}
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				_ = comesTrue(ctx, site, healthy("db"))
				if _, err := site.sql(ctx, "root", "SET GLOBAL rpl_semi_sync_source_enabled = OFF; UNINSTALL PLUGIN rpl_semi_sync_source"); err != nil {
					t.Error(err)
				}
			})
			key := "Idempotency-Key: " + rand.Text()
			body := object{"title": "Committed", "body": v.word}
			inFlight := make(chan reply, 1)
			newScenario(t, site).
				When("MySQL is set to commit without confirming", root("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'; SET GLOBAL rpl_semi_sync_source_wait_point = 'AFTER_COMMIT', GLOBAL rpl_semi_sync_source_timeout = 600000, GLOBAL rpl_semi_sync_source_enabled = ON")).
				When("somebody posts", func(context.Context, *copyOfStack) error {
					go func() {
						one := *v
						got, err := one.try(t.Context(), "POST", "/api/v1/posts", body, key)
						if err != nil {
							got.body = err.Error()
						}
						inFlight <- got
					}()
					return nil
				}).
				Then(10*time.Second, check{"the post is in MySQL", []string{"app", "db"}, func(ctx context.Context, c *copyOfStack) error {
					got, err := c.sql(ctx, "app", "SELECT COUNT(*) FROM foobar.posts WHERE body = '"+v.word+"'")
					if err != nil || got == "1" {
						return err
					}
					return fmt.Errorf("it holds %s", got)
				}}).
				When(test.victim+" is killed", killNine(test.victim))
			var first reply
			select {
			case first = <-inFlight:
			case <-time.After(30 * time.Second):
				t.Fatalf("no answer\n%s", site.logs())
			}
			t.Logf("the request that was in flight: %d %s", first.status, first.body)
			found := false
			for _, status := range test.status {
				found = found || first.status == status
			}
			if !found {
				t.Errorf("the request that was in flight: %d %s; want one of %v", first.status, first.body, test.status)
			}
			if test.victim == "app" {
				newScenario(t, site).When("MySQL confirms commits again", root("SET GLOBAL rpl_semi_sync_source_enabled = OFF"))
			}
			newScenario(t, site).Then(30*time.Second, healthy("db"), healthy("app"), reaches())
			again := decode[post](v, http.StatusCreated, v.ask("POST", "/api/v1/posts", body, key))
			if first.status == http.StatusCreated && decode[post](v, http.StatusCreated, first) != again {
				t.Errorf("the same key is answered with %+v; at first it was %s", again, first.body)
			}
			id, err := site.sql(t.Context(), "app", "SELECT id FROM foobar.posts WHERE body = '"+v.word+"'")
			if err != nil {
				t.Fatal(err)
			}
			if id != fmt.Sprint(again.ID) {
				t.Errorf("MySQL holds the posts %q; the key's is %d", id, again.ID)
			}
		})
	}
}

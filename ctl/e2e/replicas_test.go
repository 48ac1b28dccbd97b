package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// To a visitor, two replicas of the application are one: both work, and each knows what the other has done.
func TestTwoReplicasAreOneToAVisitor(t *testing.T) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := site.compose(ctx, "up", "--detach", "--wait", "--scale", "app=1"); err != nil {
			t.Error(err)
		}
	})
	v := newMember(t, site)
	byReplica := map[string]int{}
	newScenario(t, site).
		When("app is scaled to two", compose("up", "--detach", "--wait", "--no-recreate", "--scale", "app=2")).
		Then(10*time.Second, check{"both replicas get requests", []string{"web", "app"}, func(ctx context.Context, c *copyOfStack) error {
			for range 20 {
				got, err := v.try(ctx, "GET", "/api/v1/session", nil)
				if err != nil {
					return err
				}
				if got.status != http.StatusOK {
					return fmt.Errorf("%d %s", got.status, got.body)
				}
				_, replica := got.timed("app")
				byReplica[replica]++
			}
			if len(byReplica) != 2 {
				return fmt.Errorf("answers came from %v", byReplica)
			}
			return nil
		}})
	t.Logf("answers by replica: %v", byReplica)

	t.Run("a key that one has seen is known to both", func(t *testing.T) {
		v := v.as(t)
		key := "Idempotency-Key: " + rand.Text()
		body := object{"title": "Once", "body": v.word}
		seen := map[string]bool{}
		var first reply
		for range 50 {
			got := v.ask("POST", "/api/v1/posts", body, key)
			_, replica := got.timed("app")
			v.want(http.StatusCreated, got)
			if first.status == 0 {
				first = got
			}
			if seen[replica] = true; got.body != first.body {
				t.Fatalf("%s answers %s; the first answer was %s", replica, got.body, first.body)
			}
			if len(seen) == 2 {
				break
			}
		}
		if len(seen) != 2 {
			t.Errorf("the key reached only %v", seen)
		}
		if got := site.rows(t, "posts WHERE body = '"+v.word+"'"); got != 1 {
			t.Errorf("MySQL holds %d rows", got)
		}
	})
	t.Run("guesses at a password are counted across both", func(t *testing.T) {
		v := v.as(t)
		compared := 0
		for range 10 {
			got := v.elsewhere().ask("PUT", "/api/v1/session", object{"email": v.email, "password": rand.Text()})
			if got.status == http.StatusUnauthorized {
				compared++
			}
		}
		if compared > 5 {
			t.Errorf("%d passwords were compared", compared)
		}
	})
	t.Run("a session that has ended is over for both", func(t *testing.T) {
		v := v.as(t)
		had := v.cookie
		v.want(http.StatusNoContent, v.ask("DELETE", "/api/v1/session", nil))
		v.cookie = had
		for range 6 {
			if who := v.signedIn(); who != nil {
				t.Errorf("after signing out, one replica still has %+v signed in", who)
			}
		}
	})
}

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Somebody who waits for an authority waits alone: visitors are served meanwhile, and it is not asked twice.
func TestLongAnAuthorityThatIsSlowIsWaitedFor(t *testing.T) {
	c := startServer(t)
	s := newScenario(t, c)
	s.When("the authority does not answer yet", breakAuthority(fault{Path: "/dir", Hang: true})).
		When("certs starts", compose("up", "--detach", "--wait", "certs")).
		Then(time.Minute, servesPage(), healthy("certs"))
	for _, step := range []string{"/sign-me-up", "/order-plz", "/finalize-order/", "/certZ/"} {
		s.When("it answers only after 15 seconds: "+step, breakAuthority(fault{Path: step, Hang: true})).
			Then(time.Minute, check{"certs waits for it", []string{"certs", "authority"}, func(ctx context.Context, _ *copyOfStack) error {
				_, hanging, err := asked(ctx)
				if err == nil && hanging == 0 {
					err = errors.New("it does not")
				}
				return err
			}})
		time.Sleep(15 * time.Second)
		s.Then(10*time.Second, servesPage(), healthy("certs"))
	}
	s.When("it is well again", breakAuthority()).
		Then(time.Minute, isPublic(), healthy("certs"))
	for step, want := range map[string]int{"sign-me-up": 1, "order-plz": 1, "finalize-order": 1} {
		if n := mustAsked(t)[step]; n != want {
			t.Errorf("%s succeeded %d times, want %d", step, n, want)
		}
	}
}

// A certificate that ends while its authority is away is said to, by the health check and in the log, and served all the same;
// when the authority is back, another one takes its place.
func TestLongACertificateEndsWhileTheAuthorityIsAway(t *testing.T) {
	c := startServer(t, "ACME_PROFILE=brief") // for two minutes
	s := newScenario(t, c).
		When("certs starts", compose("up", "--detach", "--wait", "certs")).
		Then(2*time.Minute, isPublic(), healthy("certs"))
	leaf, err := c.leaf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same := check{"it is the certificate of before", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
		now, err := c.leaf(ctx)
		if err == nil && !now.Equal(leaf) {
			err = fmt.Errorf("it is one until %s", now.NotAfter)
		}
		return err
	}}
	s.When("the authority goes away", compose("stop", "authority")).
		Then(3*time.Minute, unhealthy("ends in 0.0 days"), isPublic(), same).
		Then(3*time.Minute, unhealthy("ended on"), isPublic(), same).
		Then(time.Minute, check{"the log says it", []string{"certs"}, func(ctx context.Context, c *copyOfStack) error {
			out, err := c.compose(ctx, "logs", "certs")
			if err == nil && (!strings.Contains(out, `"level":"ERROR","msg":"no certificate came"`) || !strings.Contains(out, `"served_until":"`+leaf.NotAfter.Format(time.RFC3339)+`"`)) {
				err = errors.New(out)
			}
			return err
		}}).
		When("the authority is back", compose("up", "--detach", "--wait", "authority")).
		When("somebody wants it tried at once", compose("restart", "certs")).
		Then(time.Minute, isPublic(), healthy("certs"), check{"it is another one", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
			if same.holds(ctx, c) == nil {
				return errors.New("it is the one of before")
			}
			return nil
		}})
}

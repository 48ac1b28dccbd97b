package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Only certs waits for a slow authority: visitors are served meanwhile, and no step is carried out twice.
func TestLongAnAuthorityThatIsSlowIsWaitedFor(t *testing.T) {
	c := startServer(t)
	s := newScenario(t, c)
	s.When("the authority does not answer yet", breakAuthority(fault{Path: "/dir", Hang: true})).
		When("certs starts", compose("up", "--detach", "--wait", "certs")).
		Then(time.Minute, servesPage(), healthy("certs"))
	for _, step := range []string{"/sign-me-up", "/order-plz", "/finalize-order/", "/certZ/"} {
		s.When("the authority answers only after 15 seconds: "+step, breakAuthority(fault{Path: step, Hang: true})).
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
	s.When("the authority works again", breakAuthority()).
		Then(time.Minute, isPublic(), healthy("certs"))
	for step, want := range map[string]int{"sign-me-up": 1, "order-plz": 1, "finalize-order": 1} {
		if n := mustAsked(t)[step]; n != want {
			t.Errorf("%s succeeded %d times, want %d", step, n, want)
		}
	}
}

// A certificate that expires while its authority is down is reported by the health check and in the log, and is still
// served. Once the authority is back, a new certificate replaces it.
func TestLongACertificateEndsWhileTheAuthorityIsAway(t *testing.T) {
	c := startServer(t, "ACME_PROFILE=brief") // certificates are valid for two minutes
	s := newScenario(t, c).
		When("certs starts", compose("up", "--detach", "--wait", "certs")).
		Then(2*time.Minute, isPublic(), healthy("certs"))
	leaf, err := c.leaf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same := check{"the certificate is the same as before", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
		now, err := c.leaf(ctx)
		if err == nil && !now.Equal(leaf) {
			err = fmt.Errorf("it is one that expires at %s", now.NotAfter)
		}
		return err
	}}
	s.When("the authority is stopped", compose("stop", "authority")).
		Then(3*time.Minute, unhealthy("ends in 0.0 days"), isPublic(), same).
		Then(3*time.Minute, unhealthy("ended on"), isPublic(), same).
		Then(time.Minute, check{"the log says so", []string{"certs"}, func(ctx context.Context, c *copyOfStack) error {
			out, err := c.compose(ctx, "logs", "certs")
			if err == nil && (!strings.Contains(out, `"level":"ERROR","msg":"no certificate came"`) || !strings.Contains(out, `"served_until":"`+leaf.NotAfter.Format(time.RFC3339)+`"`)) {
				err = errors.New(out)
			}
			return err
		}}).
		When("the authority is back", compose("up", "--detach", "--wait", "authority")).
		When("certs is restarted to try immediately", compose("restart", "certs")).
		Then(time.Minute, isPublic(), healthy("certs"), check{"the certificate is a new one", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
			if same.holds(ctx, c) == nil {
				return errors.New("it is still the previous one")
			}
			return nil
		}})
}

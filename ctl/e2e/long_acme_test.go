package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server is a copy that gets its certificates from the tests' own authority, Pebble, which reaches the copy under its
// domain. It runs without app and db, which no certificate needs.
var server = newCopy("oneserver-test-acme", "18097", "11068", "172.28.15")

const controlPort = "14097" // the authority's, where tests inject faults

var serverFiles = filepath.Join(root, "compose.yaml") + string(os.PathListSeparator) + filepath.Join(root, "ctl/e2e/authority/compose.yaml")

// fault says what happens to a request to the authority (ctl/e2e/authority).
type fault struct {
	Path    string
	Answer  bool
	Hang    bool
	Status  int
	Header  map[string]string
	Problem object
	After   int
}

// startServer starts a fresh copy with these additional settings. It is removed when the test ends.
func startServer(t *testing.T, settings ...string) *copyOfStack {
	t.Helper()
	trust := t.TempDir()
	if err := os.Chmod(trust, 0o755); err != nil {
		t.Fatal(err)
	}
	writeServerCertificate(t, trust)
	c := server.with(append([]string{"TRUST=" + trust, "CONTROL_PORT=" + controlPort, "ACME=https://authority:14000/dir",
		"COMPOSE_FILE=" + serverFiles}, settings...)...)
	remove := func() {
		if err := c.remove(); err != nil {
			t.Error(err)
		}
	}
	remove()
	t.Cleanup(remove)
	for _, args := range [][]string{{"build", "authority"}, {"up", "--detach", "--wait", "authority"}, {"up", "--detach", "dns", "web"}} {
		if out, err := c.compose(t.Context(), args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return c
}

// writeServerCertificate creates the certificate and the key with which the authority itself serves TLS.
func writeServerCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, DNSNames: []string{"authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"authority.crt": {Type: "CERTIFICATE", Bytes: der}, "authority.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// control sends a request to the authority's control port.
func control(ctx context.Context, method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+controlPort+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s answers %s: %s", method, path, response.Status, answer)
	}
	return answer, err
}

// breakAuthority replaces the authority's faults with these.
func breakAuthority(faults ...fault) action {
	return func(ctx context.Context, _ *copyOfStack) error {
		_, err := control(ctx, "PUT", "/faults", faults)
		return err
	}
}

// asked returns how often the authority has answered successfully, by the first part of the path, and how many requests are
// hanging.
func asked(ctx context.Context) (answered map[string]int, hanging int, err error) {
	text, err := control(ctx, "GET", "/counts", nil)
	if err != nil {
		return nil, 0, err
	}
	var counts struct {
		Answered map[string]int
		Hanging  int
	}
	err = json.Unmarshal(text, &counts)
	return counts.Answered, counts.Hanging, err
}

// mustAsked is asked, but fails the test on an error.
func mustAsked(t *testing.T) map[string]int {
	t.Helper()
	answered, _, err := asked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return answered
}

// isPublic: visitors are shown a certificate that Pebble has issued, and http redirects to https.
func isPublic() check {
	return check{"a public certificate is served", []string{"certs", "authority", "web"}, func(ctx context.Context, c *copyOfStack) error {
		leaf, err := c.leaf(ctx)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(leaf.Issuer.CommonName, "Pebble") {
			return fmt.Errorf("its issuer is %s", leaf.Issuer)
		}
		for range 20 { // each of web's workers looks for itself, once a second
			got, err := c.plain(ctx, "www.foobar.com", "/a?b=c")
			if err != nil {
				return err
			}
			if want := "https://www.foobar.com:" + c.httpsPort + "/a?b=c"; got.StatusCode != http.StatusPermanentRedirect || got.Header.Get("Location") != want {
				return fmt.Errorf("http answers %s, Location %q, want %q", got.Status, got.Header.Get("Location"), want)
			}
		}
		return nil
	}}
}

// isOwn: visitors are shown a certificate of the stack's own authority.
func isOwn() check {
	return check{"the stack's own certificate is served", []string{"certs", "web"}, func(ctx context.Context, c *copyOfStack) error {
		authority, err := c.authority(ctx)
		if err != nil {
			return err
		}
		leaf, err := c.leaf(ctx)
		if err != nil {
			return err
		}
		if err := leaf.CheckSignatureFrom(authority); err != nil {
			return fmt.Errorf("its issuer is %s, and the stack's own authority is %s: %w", leaf.Issuer, authority.Subject, err)
		}
		return nil
	}}
}

// plain sends a request over http.
func (c *copyOfStack) plain(ctx context.Context, host, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+c.httpPort+path, nil)
	if err != nil {
		return nil, err
	}
	request.Host = host
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

// inVolumes runs a shell command in another container, with the two volumes of certs mounted as /tls and /own.
func inVolumes(script string) action {
	return func(ctx context.Context, c *copyOfStack) error {
		_, err := c.output(ctx, "docker", "run", "--rm", "--network", "none", "--volume", c.project+"_certs:/own", "--volume", c.project+"_tls:/tls",
			"--user", "10443:101", "--entrypoint", "sh", "nginx:1.30", "-c", script)
		return err
	}
}

// unhealthy: the latest health check of certs printed these words.
func unhealthy(words string) check {
	return check{"certs is unhealthy: " + words, []string{"certs"}, func(ctx context.Context, c *copyOfStack) error {
		containers, err := c.containers(ctx)
		if err != nil {
			return err
		}
		health := containers["certs"].State.Health
		if health == nil || len(health.Log) == 0 || !strings.Contains(health.Log[len(health.Log)-1].Output, words) {
			return fmt.Errorf("its health is %+v", health)
		}
		return nil
	}}
}

// The first certificate comes without anybody's doing, and stays. These tests run in order on one copy: each begins where
// the one before ends.
func TestLongACertificateComesByItselfAndIsKept(t *testing.T) {
	c := startServer(t)
	came := t.Run("it comes for both names as soon as certs starts", func(t *testing.T) {
		newScenario(t, c).
			When("certs starts", compose("up", "--detach", "--wait", "certs")).
			Then(2*time.Minute, isPublic(), healthy("certs"))
		leaf, err := c.leaf(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"foobar.com", "www.foobar.com"} {
			if err := leaf.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
	})
	if !came {
		return
	}
	t.Run("then http leads to https, except for the authority and this machine", func(t *testing.T) {
		for _, test := range []struct {
			host, path string
			status     int
			leads      string
		}{
			{"foobar.com", "/", http.StatusPermanentRedirect, "https://www.foobar.com:" + c.httpsPort + "/"},
			{"www.foobar.com", "/api/v1/posts", http.StatusPermanentRedirect, "https://www.foobar.com:" + c.httpsPort + "/api/v1/posts"},
			{"www.foobar.com", "/.well-known/acme-challenge/nothing", http.StatusNotFound, ""},
			{"foobar.com", "/.well-known/acme-challenge/nothing", http.StatusNotFound, ""},
			{"localhost", "/", http.StatusOK, ""},
			{"example.com", "/", http.StatusMisdirectedRequest, ""},
		} {
			got, err := c.plain(t.Context(), test.host, test.path)
			if err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != test.status || got.Header.Get("Location") != test.leads {
				t.Errorf("http://%s%s answers %s, Location %q; want %d, %q", test.host, test.path, got.Status, got.Header.Get("Location"), test.status, test.leads)
			}
		}
	})
	t.Run("then a release is deployed and rolled back as before", func(t *testing.T) {
		newScenario(t, c).When("everything runs", compose("up", "--detach", "--wait"))
		first, err := c.output(t.Context(), "docker", "image", "inspect", "--format", "{{.Id}}", "oneserver-app")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Dockerfile"), "FROM oneserver-app\nLABEL release=next\n")
		write(t, filepath.Join(dir, "compose.json"), `{"services":{"app":{"build":{"context":"`+dir+`","dockerfile":"Dockerfile"}}}}`)
		t.Cleanup(func() {
			if _, err := c.output(context.Background(), "docker", "image", "tag", strings.TrimSpace(first), "oneserver-app"); err != nil {
				t.Error(err)
			}
		})
		next := c.with("COMPOSE_FILE=" + serverFiles + string(os.PathListSeparator) + filepath.Join(dir, "compose.json"))
		next.says(t, root, false, []string{"deploy"}, "it has passed its trial", "done")
		next.says(t, root, false, []string{"rollback"}, "done")
	})
	t.Run("browsers are bound to https for only a day at first", func(t *testing.T) {
		visitor := c.over()
		visitor.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
		got, err := visitor.Get("https://www.foobar.com:" + c.httpsPort + "/")
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if hsts := got.Header.Get("Strict-Transport-Security"); hsts != "max-age=86400" {
			t.Errorf("HSTS is %q", hsts)
		}
	})
	t.Run("neither a restart nor a lost volume makes certs order another", func(t *testing.T) {
		leaf, err := c.leaf(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before := mustAsked(t)
		newScenario(t, c).When("certs starts again", compose("restart", "certs")).
			Then(time.Minute, isPublic(), healthy("certs")).
			When("web starts again", compose("restart", "web")).
			Then(time.Minute, isPublic()).
			When("the files that web reads are lost", inVolumes("rm -r /tls/site.pem /tls/public")).
			When("certs starts again", compose("restart", "certs")).
			Then(time.Minute, isPublic(), healthy("certs"))
		if now, err := c.leaf(t.Context()); err != nil || !now.Equal(leaf) {
			t.Errorf("another certificate is served: %v", err)
		}
		if after := mustAsked(t); after["order-plz"] != before["order-plz"] || after["sign-me-up"] != before["sign-me-up"] {
			t.Errorf("the authority was asked again: %v, before it was %v", after, before)
		}
	})
	t.Run("http no longer leads to https once ACME is not set any more", func(t *testing.T) {
		newScenario(t, c).When("ACME is no longer set", func(ctx context.Context, c *copyOfStack) error {
			_, err := c.with("ACME=").compose(ctx, "up", "--detach", "--wait", "certs")
			return err
		}).
			Then(time.Minute, check{"http no longer redirects to https", []string{"certs", "web"}, func(ctx context.Context, c *copyOfStack) error {
				got, err := c.plain(ctx, "www.foobar.com", "/")
				if err == nil && got.StatusCode != http.StatusOK {
					err = fmt.Errorf("it answers %s", got.Status)
				}
				return err
			}})
	})
}

// The authority advises when to renew (RFC 9773), and visitors notice nothing: 10,000 requests at 200 per second, half of
// them over HTTP/2.
func TestLongACertificateIsRenewedWhileVisitorsNoticeNothing(t *testing.T) {
	c := startServer(t)
	s := newScenario(t, c).
		When("certs starts", compose("up", "--detach", "--wait", "certs")).
		Then(2*time.Minute, isPublic())
	leaf, err := c.leaf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(h2 bool) func() error {
		visitor := c.over()
		transport := visitor.Transport.(*http.Transport)
		transport.TLSClientConfig.InsecureSkipVerify = true
		transport.ForceAttemptHTTP2 = h2
		transport.MaxIdleConnsPerHost = 4
		requests := atomic.Int64{}
		return func() error {
			if requests.Add(1)%50 == 0 { // some come over a new connection, with a handshake
				transport.CloseIdleConnections()
			}
			response, err := visitor.Get("https://www.foobar.com:" + c.httpsPort + "/favicon.svg")
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				return err
			}
			if response.StatusCode != http.StatusOK {
				return errors.New(response.Status)
			}
			return nil
		}
	}
	kinds := []func() error{ask(false), ask(true)}
	var failures []error
	var mutex sync.Mutex
	var visitors sync.WaitGroup
	var done atomic.Int64
	load := make(chan struct{})
	go func() {
		defer close(load)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := range 10_000 {
			<-tick.C
			visitors.Go(func() {
				if err := kinds[i%2](); err != nil {
					mutex.Lock()
					failures = append(failures, err)
					mutex.Unlock()
				}
				done.Add(1)
			})
		}
		visitors.Wait()
	}()
	var renewed time.Time
	s.When("the authority advises renewal", func(ctx context.Context, _ *copyOfStack) error {
		_, err := control(ctx, "POST", "/set-renewal-info/", object{
			"Certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})),
			"ARIResponse": fmt.Sprintf(`{"suggestedWindow": {"start": %q, "end": %q}}`, time.Now().Add(-2*time.Hour).Format(time.RFC3339), time.Now().Add(-time.Hour).Format(time.RFC3339)),
		})
		return err
	}).
		When("certs asks", compose("restart", "certs")).
		Then(time.Minute, check{"a second certificate is issued", []string{"certs", "authority"}, func(ctx context.Context, c *copyOfStack) error {
			answered, _, err := asked(ctx)
			if err == nil && answered["certZ"] < 2 {
				err = fmt.Errorf("the authority was asked for %v", answered)
			}
			renewed = time.Now()
			return err
		}}).
		Then(10*time.Second, check{"the new certificate is served", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
			now, err := c.leaf(ctx)
			if err == nil && now.Equal(leaf) {
				err = errors.New("it is still the previous one")
			}
			return err
		}})
	t.Logf("served %.1f s after it was issued", time.Since(renewed).Seconds())
	<-load
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed, the first one: %v", len(failures), done.Load(), failures[0])
	}
}

// Visitors are served whatever the authority does, and the health check says what to do about it. These tests run in order
// on one copy: each begins where the one before ends.
func TestLongAnAuthorityThatRefusesOrIsDownDoesNoHarm(t *testing.T) {
	refusal := func(kind, detail string) object {
		return object{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail}
	}
	c := startServer(t)
	for _, test := range []struct {
		name  string
		fault fault
		says  string
	}{
		{"a CAA record forbids it", fault{Path: "/finalize-order", Status: 403, Problem: refusal("caa", "CAA record prevents issuance")}, "CAA record of the domain"},
		{"the name does not resolve", fault{Path: "/order-plz", Status: 400, Problem: refusal("dns", "NXDOMAIN looking up A")}, "the authority cannot resolve the domain"},
		{"the authority has an internal error", fault{Path: "/order-plz", Status: 500, Problem: refusal("serverInternal", "oops")}, "fault of its own"},
		{"the address is not that of an ACME authority", fault{Path: "/dir", Status: 404, Problem: refusal("malformed", "nothing here")}, "cannot make sense"},
	} {
		t.Run("it is explained that "+test.name, func(t *testing.T) {
			newScenario(t, c).When("certs is removed", compose("rm", "--stop", "--force", "certs")).
				When("its volumes are emptied", inVolumes("rm -rf /own/* /tls/*")).
				When(test.name, breakAuthority(test.fault)).
				When("certs starts", compose("up", "--detach", "certs")).
				Then(time.Minute, unhealthy(test.says), servesPage()).
				When("the authority works again", breakAuthority()).
				When("certs is restarted to try immediately", compose("restart", "certs")).
				Then(time.Minute, isPublic(), healthy("certs"))
		})
	}
	t.Run("a wait that the authority demands survives a restart", func(t *testing.T) {
		s := newScenario(t, c).
			When("certs is removed", compose("rm", "--stop", "--force", "certs")).
			When("its volumes are emptied", inVolumes("rm -rf /own/* /tls/*")).
			When("the authority's rate limit is reached", breakAuthority(fault{Path: "/order-plz", Status: 429, Header: map[string]string{"Retry-After": "3600"},
				Problem: refusal("rateLimited", "too many certificates already issued")})).
			When("certs starts", compose("up", "--detach", "certs")).
			Then(time.Minute, unhealthy("staging directory")).
			When("the authority would allow it again", breakAuthority())
		before := mustAsked(t)
		s.When("certs starts again", compose("restart", "certs")).
			Then(time.Minute, isOwn(), healthy("certs"))
		if after := mustAsked(t); after["order-plz"] != before["order-plz"] {
			t.Errorf("the authority was asked nevertheless: %v, before it was %v", after, before)
		}
		s.When("the wait is over", inVolumes("rm /own/foobar.com/wait")).
			When("certs starts again", compose("restart", "certs")).
			Then(time.Minute, isPublic())
	})
	t.Run("while the authority is down, the certificate that there is stays", func(t *testing.T) {
		leaf, err := c.leaf(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		newScenario(t, c).When("the authority is stopped", compose("stop", "authority")).
			When("certs starts again", compose("restart", "certs")).
			Then(time.Minute, isPublic(), healthy("certs"))
		if now, err := c.leaf(t.Context()); err != nil || !now.Equal(leaf) {
			t.Errorf("another certificate is served: %v", err)
		}
	})
}

func TestLongAnAuthorityForCustomersWantsTheirAccount(t *testing.T) {
	c := startServer(t, "REQUIRE_EAB=1")
	newScenario(t, c).
		When("certs starts without an account", compose("up", "--detach", "certs")).
		Then(time.Minute, unhealthy("write ACME_EAB_KID and ACME_EAB_KEY"))
	named := c.with("ACME_EAB_KID=customer", "ACME_EAB_KEY=zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")
	newScenario(t, named).
		When("certs starts with an account", compose("up", "--detach", "certs")).
		Then(2*time.Minute, isPublic())
}

// certs is killed at each step twice: before the request reaches the authority, and before the authority's answer reaches
// certs. A certificate is never issued twice.
func TestLongCertsIsKilledAtEveryStep(t *testing.T) {
	c := startServer(t)
	s := newScenario(t, c)
	for _, path := range []string{"/dir", "/nonce-plz", "/sign-me-up", "/order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/certZ/"} {
		for _, heard := range []bool{false, true} {
			t.Logf("at %s, handled by the authority: %t", path, heard)
			s.When("certs is removed", compose("rm", "--stop", "--force", "certs")).
				When("its volumes are emptied", inVolumes("rm -rf /own/* /tls/*"))
			before := mustAsked(t)
			s.When("the authority hangs", breakAuthority(fault{Path: path, Answer: heard, Hang: true})).
				When("certs starts", compose("up", "--detach", "certs")).
				Then(time.Minute, check{"certs waits for the answer", []string{"certs", "authority"}, func(ctx context.Context, _ *copyOfStack) error {
					_, hanging, err := asked(ctx)
					if err == nil && hanging == 0 {
						err = errors.New("it does not")
					}
					return err
				}}).
				When("certs is killed", killNine("certs")).
				When("the authority works again", breakAuthority()).
				Then(2*time.Minute, isPublic(), healthy("certs"))
			after := mustAsked(t)
			for step, most := range map[string]int{"finalize-order": 1, "order-plz": 2, "sign-me-up": 2} {
				if n := after[step] - before[step]; n > most {
					t.Errorf("killed at %s (handled by the authority: %t), %s succeeded %d times", path, heard, step, n)
				}
			}
		}
	}
}

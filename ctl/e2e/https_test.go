package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// authority returns the certificate of the copy's own authority, fetched the way that people are told to.
func (c *copyOfStack) authority(ctx context.Context) (*x509.Certificate, error) {
	out, err := c.compose(ctx, "exec", "--no-TTY", "web", "cat", "/tls/ca.crt")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(out))
	if block == nil {
		return nil, fmt.Errorf("no certificate in %q", out)
	}
	return x509.ParseCertificate(block.Bytes)
}

// over returns a client that trusts these authorities and no others, and finds the site on this machine.
func (c *copyOfStack) over(trusted ...*x509.Certificate) *http.Client {
	pool := x509.NewCertPool()
	for _, authority := range trusted {
		pool.AddCert(authority)
	}
	return &http.Client{
		Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{RootCAs: pool},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+c.httpsPort)
			},
		},
		CheckRedirect: client.CheckRedirect,
	}
}

// leaf returns the certificate that visitors are shown.
func (c *copyOfStack) leaf(ctx context.Context) (*x509.Certificate, error) {
	dialer := tls.Dialer{Config: &tls.Config{ServerName: "www.foobar.com", InsecureSkipVerify: true}}
	connection, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+c.httpsPort)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// Clients that trust the stack's own authority, and only those, are served over TLS under each of the certificate's names.
func TestHTTPSIsServedToThoseWhoTrustTheStacksOwnAuthority(t *testing.T) {
	t.Parallel()
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host   string
		status int
		leads  string
	}{
		{"www.foobar.com", http.StatusOK, ""},
		{"localhost", http.StatusOK, ""},
		{"foobar.com", http.StatusPermanentRedirect, "https://www.foobar.com:" + site.httpsPort + "/?x=1"},
		{"127.0.0.1", http.StatusMisdirectedRequest, ""}, // not a name of the site, as over http
	} {
		response, err := site.over(authority).Get("https://" + test.host + ":" + site.httpsPort + "/?x=1")
		if err != nil {
			t.Errorf("%s: %v", test.host, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != test.status || response.Header.Get("Location") != test.leads || response.ProtoMajor != 2 {
			t.Errorf("%s answers %s over %s, Location %q; want %d over HTTP/2, %q", test.host, response.Status, response.Proto,
				response.Header.Get("Location"), test.status, test.leads)
		}
	}
	var unknown x509.UnknownAuthorityError
	if _, err := site.over().Get("https://www.foobar.com:" + site.httpsPort + "/"); !errors.As(err, &unknown) {
		t.Errorf("a client that does not trust it gets %v", err)
	}
}

// Only few clients trust the stack's own authority, so none is bound to https: http answers as ever.
func TestTheStacksOwnCertificateBindsNobodyToHTTPS(t *testing.T) {
	t.Parallel()
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"www.foobar.com", "localhost", "foobar.com", "127.0.0.1"} {
		response, err := site.over(authority).Get("https://" + host + ":" + site.httpsPort + "/?x=1")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		response.Body.Close()
		if hsts := response.Header.Get("Strict-Transport-Security"); hsts != "" {
			t.Errorf("%s binds visitors to a certificate that nobody else trusts: %s", host, hsts)
		}
	}
	if _, err := site.get(t.Context(), "/"); err != nil {
		t.Errorf("over http: %v", err)
	}
}

func TestTLSBefore12IsRefused(t *testing.T) {
	t.Parallel()
	dial := func(version uint16) error {
		connection, err := tls.Dial("tcp", "127.0.0.1:"+site.httpsPort, &tls.Config{ServerName: "www.foobar.com", InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if err == nil {
			connection.Close()
		}
		return err
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if err := dial(version); err == nil {
			t.Errorf("%s is accepted", tls.VersionName(version))
		}
	}
	if err := dial(tls.VersionTLS12); err != nil {
		t.Errorf("%s is refused too: %v", tls.VersionName(tls.VersionTLS12), err)
	}
}

// Somebody who signs in over TLS gets a cookie that is for TLS only.
func TestASignInOverHTTPSGivesACookieForHTTPSOnly(t *testing.T) {
	t.Parallel()
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	member := newMember(t, site)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://www.foobar.com:"+site.httpsPort+"/api/v1/session",
		strings.NewReader(`{"email": "`+member.email+`", "password": "`+member.password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := site.over(authority).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(response.Body)
	cookies := response.Cookies()
	if response.StatusCode != http.StatusOK || len(cookies) == 0 || !strings.HasPrefix(cookies[0].Name, "__Host-") || !cookies[0].Secure {
		t.Errorf("signing in answers %s, %s, cookies %v", response.Status, said, cookies)
	}
}

// A browser shows the page without a warning if its machine trusts the authority, and refuses to show it otherwise.
func TestABrowserShowsThePageOverHTTPSIfItTrustsTheAuthority(t *testing.T) {
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trusting := newBrowser(t, site, authority)
	if response := see(trusting, chromedp.NavigateResponse("https://www.foobar.com/")); response.Status != 200 || response.SecurityState != "secure" {
		t.Errorf("the page came with status %d and is %s", response.Status, response.SecurityState)
	}
	do(trusting, chromedp.WaitVisible(chromedp.CSS("#posts article")))
	if said := trusting.console(); len(said) > 0 {
		t.Errorf("the browser's console: %q", said)
	}

	stranger := newBrowser(t, site)
	ctx, cancel := context.WithTimeout(stranger.context, 30*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Navigate("https://www.foobar.com/")); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("a browser that does not trust it says %v", err)
	}
}

// Nginx starts serving a new certificate by itself, without a reload or a restart, and visitors do not notice.
func TestLongANewCertificateIsTakenOverWithoutAReload(t *testing.T) {
	before, err := site.leaf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	web := mainProcess(t, "web")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked, failed := make(chan int, 1), make(chan error, 1)
	go func() {
		n := 0
		for ctx.Err() == nil {
			if _, err := site.leaf(ctx); err != nil && ctx.Err() == nil {
				failed <- err
				break
			}
			n++
		}
		asked <- n
	}()
	// If its authority is missing, certs makes another one, and another certificate with it.
	newScenario(t, site).
		When("certs loses its authority", func(ctx context.Context, c *copyOfStack) error {
			_, err := c.output(ctx, "docker", "run", "--rm", "--network", "none", "--volume", c.project+"_certs:/own", "--user", "10443:101",
				"--entrypoint", "rm", "nginx:1.30", "/own/foobar.com/authority.pem")
			return err
		}).
		When("certs starts again", compose("restart", "certs")).
		Then(10*time.Second, check{"the new certificate is served", []string{"certs", "web"}, func(ctx context.Context, c *copyOfStack) error {
			now, err := c.leaf(ctx)
			if err == nil && now.Equal(before) {
				err = errors.New("it is still the previous one")
			}
			return err
		}}).
		Then(time.Minute, healthy("certs"))
	stop()
	select {
	case err := <-failed:
		t.Errorf("a visitor was refused meanwhile: %v", err)
	case n := <-asked:
		t.Logf("%d visitors meanwhile", n)
	}
	if now := mainProcess(t, "web"); now != web {
		t.Errorf("Nginx is process %d and was %d", now, web)
	}
}

// Package trace follows one request through the stack, from the outside as a visitor sends it and from the inside as
// an operator sees it: the answer of the name server, the exchange with the web server, what Nginx logged about it, and
// what the application did for it, including its SQL. The request id joins them.
package trace

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/trust"
)

const (
	visitLimit  = 20 * time.Second // for the exchange; longer than Nginx waits for the application
	insideLimit = 15 * time.Second // for the questions to Docker afterwards
	dnsLimit    = 2 * time.Second
)

// Trace is one request and what is known about it. Times are in milliseconds.
type Trace struct {
	URL       string     `json:"url"`
	RequestID string     `json:"request_id"`
	DNS       *Lookup    `json:"dns,omitempty"` // nil for a name that needs no lookup
	HTTP      Exchange   `json:"http"`
	Web       *WebLog    `json:"web,omitempty"` // nil if Nginx's log does not have the request
	App       []AppEntry `json:"app"`           // of each replica that received the request
	Remarks   []string   `json:"remarks,omitempty"`
}

// target is where a request goes.
type target struct {
	url     *url.URL       // as a visitor would write it, with the port
	http    string         // host:port to connect to, of this machine
	trusted *x509.CertPool // the authorities to trust over https
	dns     string         // host:port of the name server, of this machine
	name    string         // to ask the name server for; empty if the URL's host is not in its zone
}

// Run sends a request for address, which may be empty or only a path, and follows it.
func Run(ctx context.Context, s *stack.Stack, address string) (*Trace, error) {
	settings, err := s.Settings(ctx)
	if err != nil {
		return nil, err
	}
	to, err := aim(settings, address)
	if err != nil {
		return nil, err
	}
	apps, err := replicas(ctx, s)
	if err != nil {
		return nil, err
	}

	if to.url.Scheme == "https" {
		if to.trusted, err = trust.Pool(ctx, s); err != nil {
			return nil, err
		}
	}
	t := &Trace{URL: to.url.String(), App: []AppEntry{}}
	if to.name != "" {
		lookup := ask(ctx, to.dns, to.name)
		t.DNS = &lookup
	}
	var refused *tls.CertificateVerificationError
	if t.HTTP, err = visit(ctx, to); errors.As(err, &refused) {
		return nil, fmt.Errorf("a browser would warn of the certificate: %w\nmake doctor says more", err)
	} else if err != nil {
		return nil, fmt.Errorf("the web server does not answer: %w\nmake ps shows what runs, make up starts what does not", err)
	}
	t.RequestID = t.HTTP.Response.header("X-Request-ID")
	if !wellFormedID.MatchString(t.RequestID) {
		return nil, fmt.Errorf("what answers at %s is not this stack's web server: its answer has no X-Request-ID", to.http)
	}
	t.lookInside(ctx, s, apps)
	return t, nil
}

// aim checks that address is on this site, and returns where to send the request. This tool connects to this machine only.
func aim(settings stack.Settings, address string) (target, error) {
	www := "www." + strings.ToLower(settings["DOMAIN"])
	base := &url.URL{Scheme: "http", Host: www, Path: "/"}
	if settings["ACME"] != "" { // visitors are redirected there
		base.Scheme = "https"
	}
	if address == "" {
		address = site.Page
	}
	u, err := base.Parse(address)
	if err != nil {
		return target{}, fmt.Errorf("%q is not an address: %w", address, err)
	}
	bind, err := settings.Reach()
	if err != nil {
		return target{}, err
	}
	setting, usual := "HTTP_PORT", "80"
	if u.Scheme == "https" {
		setting, usual = "HTTPS_PORT", "443"
	}
	port := settings[setting]
	to := target{http: net.JoinHostPort(bind.String(), port), dns: net.JoinHostPort(bind.String(), settings["DNS_PORT"])}
	switch host := strings.ToLower(u.Hostname()); {
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, fmt.Errorf("%q: only http:// and https:// are served", address)
	case u.User != nil:
		return target{}, fmt.Errorf("%q: an address of this site has no user in it", u.Redacted())
	case host == www || "www."+host == www:
		to.name = host + "."
	case host != "localhost":
		return target{}, fmt.Errorf("%q is not on this site, and nothing else is asked: its names are %s, %s and localhost",
			address, www, strings.TrimPrefix(www, "www."))
	}
	if u.Port() != "" && u.Port() != port {
		return target{}, fmt.Errorf("%q: the site is published on port %s (%s)", address, port, setting)
	}
	u.Host, u.Fragment = u.Hostname(), ""
	u.RawQuery = printable(u.RawQuery)
	if port != usual {
		u.Host = net.JoinHostPort(u.Host, port)
	}
	to.url = u
	return to, nil
}

// printable returns a query as a browser sends it. It percent-encodes anything but printable ASCII, which a terminal could
// obey.
func printable(query string) string {
	var b strings.Builder
	for _, c := range []byte(query) {
		if c <= ' ' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// replicas returns the names of the containers of app, or an error with the command that starts the stack.
func replicas(ctx context.Context, s *stack.Stack) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, insideLimit)
	defer cancel()
	containers, err := s.Containers(ctx)
	if err != nil {
		return nil, err
	}
	var apps []string
	web := false
	for _, c := range containers {
		if c.Running() {
			web = web || c.Service() == "web"
			if c.Service() == "app" {
				apps = append(apps, c.Title())
			}
		}
	}
	if !web {
		return nil, errors.New("the stack is not running: start it with make up")
	}
	return apps, nil
}

// lookInside adds what Nginx's log and the replicas know about the request. Remarks report anything that is missing.
func (t *Trace) lookInside(ctx context.Context, s *stack.Stack, apps []string) {
	ctx, cancel := context.WithTimeout(ctx, insideLimit)
	defer cancel()
	var (
		running sync.WaitGroup
		webErr  error
		entries = make([]*AppEntry, len(apps))
		errs    = make([]error, len(apps))
	)
	running.Go(func() { t.Web, webErr = readWebLog(ctx, s, t.RequestID) })
	for i, name := range apps {
		running.Go(func() { entries[i], errs[i] = readAppEntry(ctx, s, name, t.RequestID) })
	}
	running.Wait()
	if webErr != nil {
		t.Remarks = append(t.Remarks, "web: "+webErr.Error())
	}
	for i := range apps {
		if entries[i] != nil {
			t.App = append(t.App, *entries[i])
		}
		if errs[i] != nil {
			t.Remarks = append(t.Remarks, apps[i]+": "+errs[i].Error())
		}
	}
}

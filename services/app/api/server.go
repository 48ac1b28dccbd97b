// Package api serves the domain over HTTP: it decodes and checks requests, calls the domain, and writes JSON, or a
// problem detail if a request fails. Nginx is the reverse proxy, and the only peer that is trusted.
//
// The table of operations (operations.go) defines the routes, the checks that precede each handler, and the OpenAPI
// document.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"oneserver/app"
	"oneserver/app/auth"
	"oneserver/app/journey"
	"oneserver/app/timing"
)

// Limits on one request. Nginx has similar limits, mostly tighter; these also cover requests that do not come through
// Nginx.
const (
	requestLimit   = 12 * time.Second // for the work; longer than the store waits for its database (10 s)
	bodyLimit      = 128 << 10        // bytes; nginx.conf has the same
	headerLimit    = 64 << 10         // bytes; Nginx lets 2 x 8 KB pass and adds a few fields
	readHeaderTime = 5 * time.Second
	readTime       = 15 * time.Second
	writeTime      = 45 * time.Second // from the end of the header; it covers reading the body, the work, and a slow reader
	idleTime       = 90 * time.Second // longer than Nginx keeps an idle connection (60 s), so that Nginx closes first
)

// Limits on the drain. Together they stay below 14 s; compose.yaml allows more, so that the database pool can close
// too.
const (
	noticeTime = 500 * time.Millisecond // not ready, but still answering, so that Nginx can turn to other replicas
	drainTime  = 13 * time.Second       // for the requests in flight; longer than requestLimit
)

// Config holds the settings and dependencies of a Server.
type Config struct {
	Log       *slog.Logger
	Posts     app.PostStore
	Accounts  app.AccountStore
	Throttle  app.Throttle
	Passwords *auth.Passwords

	// Ready returns the reason why requests cannot be served, or nil if they can.
	Ready func(context.Context) error

	// Journey returns what the site's name server answers and how each part of the site is doing. webVersion is the
	// version that the trusted proxy reports, empty if it reports none.
	Journey func(ctx context.Context, webVersion string) journey.Journey

	// Observer records every request except probes.
	Observer Observer

	// Quotas limit how many accounts are made; the store enforces the quotas for writing.
	Quotas app.Quotas

	// TrustedProxy is the only peer whose X-Forwarded-For, X-Forwarded-Proto, X-Request-ID and X-Web-Version are
	// trusted. With the zero Addr, no peer is trusted.
	TrustedProxy netip.Addr

	// OwnNetwork is the stack's network. An address in it does not identify a visitor: if the engine or a proxy on the
	// host hides visitors' addresses, all of them appear to come from the network's gateway.
	OwnNetwork netip.Prefix

	// Domain is the site's domain, which may be neither a password nor a user's name.
	Domain string

	// Replica is this process' name in Server-Timing, for example the host name.
	Replica string
}

// Observer counts requests. Every Begin is followed by one End, which may keep the record.
type Observer interface {
	Begin()
	End(record *timing.Record, method, path, route string, status int)
}

// Server answers HTTP requests.
type Server struct {
	Config
	crossOrigin *http.CrossOriginProtection
	replica     string // as it is written in Server-Timing
	document    encoded

	searches searches

	http     http.Server
	draining atomic.Bool

	readiness     sync.Mutex // guards lastReadiness
	lastReadiness string     // the last answer of /readyz, so that only changes are logged
}

func init() { gin.SetMode(gin.ReleaseMode) } // no debug output of routes on stdout

// New returns a Server that is ready for Serve.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, crossOrigin: http.NewCrossOriginProtection(), replica: fmt.Sprintf(";desc=%q", c.Replica)}
	router, err := s.router()
	if err != nil {
		return nil, err
	}
	s.http = http.Server{
		Handler:           http.MaxBytesHandler(router, bodyLimit),
		ReadHeaderTimeout: readHeaderTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerLimit,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

func (s *Server) router() (http.Handler, error) {
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false                  // each path has only one spelling
	if err := r.SetTrustedProxies(nil); err != nil { // visit.go decides whom to trust
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	r.Use(s.observe, s.recoverPanic, s.refuseCrossOrigin)
	r.NoRoute(s.handle(noRoute))
	r.NoMethod(s.handle(noMethod))

	read := []string{http.MethodGet, http.MethodHead}
	r.Match(read, "/livez", s.handle(s.livez))
	r.Match(read, "/readyz", s.handle(s.readyz))
	document, err := s.operations(r)
	if err != nil {
		return nil, err
	}
	s.document = document
	return r, nil
}

// Serve answers on l until ctx ends, and then drains. First, /readyz turns to 503, and every answer asks for its
// connection to be closed. Then no more requests are accepted, and Serve returns once those in flight have been
// answered. It returns an error if l fails or if a request had to be cut off.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("accept connections: %w", err)
	case <-ctx.Done():
	}

	s.draining.Store(true)
	s.Log.Info("draining")
	select {
	case err := <-failed:
		return fmt.Errorf("accept connections: %w", err)
	case <-time.After(noticeTime):
	}
	limit, cancel := context.WithTimeout(context.Background(), drainTime) // ctx has ended already
	defer cancel()
	if err := s.http.Shutdown(limit); err != nil {
		err = fmt.Errorf("drain: requests still running after %s were cut off: %w", drainTime, err)
		return errors.Join(err, s.http.Close())
	}
	return nil
}

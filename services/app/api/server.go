// Package api shows the domain over HTTP: it decodes and checks requests, calls the domain, and writes JSON, or a
// problem detail where it cannot. Nginx stands in front and is the only peer whose word is taken.
//
// One table of operations (operations.go) is the source of the routes, of what is checked before a handler runs, and of
// the OpenAPI document.
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

// Bounds of one request. Nginx has its own, mostly tighter; these hold also for who comes without it.
const (
	requestLimit   = 12 * time.Second // for the work; longer than the store waits for its database (10 s)
	bodyLimit      = 128 << 10        // bytes; nginx.conf has the same
	headerLimit    = 64 << 10         // bytes; Nginx lets 2 x 8 KB pass and adds a few of its own
	readHeaderTime = 5 * time.Second
	readTime       = 15 * time.Second
	writeTime      = 45 * time.Second // from the end of the headers: reading the body, the work, and a slow reader
	idleTime       = 90 * time.Second // longer than Nginx keeps an idle connection (60 s), so that we never close first
)

// Bounds of the drain. Together they stay below 14 s; compose.yaml gives more, for the pool to close too.
const (
	noticeTime = 500 * time.Millisecond // not ready, yet answering: who passes requests on can turn away
	drainTime  = 13 * time.Second       // for what is in flight; longer than requestLimit
)

// Config is what a Server needs.
type Config struct {
	Log       *slog.Logger
	Posts     app.PostStore
	Accounts  app.AccountStore
	Throttle  app.Throttle
	Passwords *auth.Passwords

	// Ready reports why requests cannot be served, nil if they can.
	Ready func(context.Context) error

	// Journey says what the site's name server answers and how each part of the site is. webVersion is what the
	// trusted proxy says of itself, empty if it says nothing.
	Journey func(ctx context.Context, webVersion string) journey.Journey

	// Observer is told of each request, the probes left out.
	Observer Observer

	// Quotas bound how many accounts are made; the store keeps to those of who writes.
	Quotas app.Quotas

	// TrustedProxy is the one peer whose X-Forwarded-For, X-Forwarded-Proto, X-Request-ID and X-Web-Version are
	// believed. The zero Addr trusts nobody.
	TrustedProxy netip.Addr

	// OwnNetwork is the stack's own. A client in it is no visitor: where the engine or a proxy on the host hides visitors'
	// addresses, all of them come from its gateway.
	OwnNetwork netip.Prefix

	// Domain is the site's, which is no good password and nobody's name.
	Domain string

	// Replica is this process' name in Server-Timing, such as the host's.
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
	replica     string // as Server-Timing has it
	document    encoded

	searches searches

	http     http.Server
	draining atomic.Bool

	readiness     sync.Mutex // guards lastReadiness
	lastReadiness string     // what /readyz said last, so that only a change is logged
}

func init() { gin.SetMode(gin.ReleaseMode) } // no debug output of routes on stdout

// New returns a Server that waits for Serve.
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
	r.RedirectTrailingSlash = false                  // one spelling for each path; the other is not found
	if err := r.SetTrustedProxies(nil); err != nil { // visit.go says who is believed
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

// Serve answers on l until ctx ends and then drains: /readyz turns to 503 and every answer asks for its connection to
// be closed, then nothing more is accepted, and Serve returns once what is in flight has been answered. It returns
// an error if l fails or if something had to be cut off.
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

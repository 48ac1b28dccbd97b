// Package api shows the domain over HTTP: it decodes and checks requests, calls the domain, and writes JSON, or a
// problem detail where it cannot. Nginx stands in front and is the only peer whose word is taken.
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
)

// Bounds of one request. Nginx has its own, mostly tighter; these hold also for who comes without it.
const (
	requestLimit   = 5500 * time.Millisecond // for the work; longer than a statement may take (mysql.Open)
	bodyLimit      = 128 << 10               // bytes; nginx.conf has the same
	headerLimit    = 64 << 10                // bytes; Nginx lets 2 x 8 KB pass and adds a few of its own
	readHeaderTime = 5 * time.Second
	readTime       = 15 * time.Second
	writeTime      = 30 * time.Second // from the end of the headers: reading the body, the work, and a slow reader
	idleTime       = 90 * time.Second // longer than Nginx keeps an idle connection (60 s), so that we never close first
)

// Bounds of the drain. Together they stay below 10 s; compose.yaml gives 15, for the pool to close too.
const (
	noticeTime = 500 * time.Millisecond // not ready, yet answering: who passes requests on can turn away
	drainTime  = 8 * time.Second        // for what is in flight; longer than requestLimit
)

// Config is what a Server needs.
type Config struct {
	Log   *slog.Logger
	Posts app.PostStore

	// Ready reports why requests cannot be served, nil if they can.
	Ready func(context.Context) error

	// TrustedProxy is the one peer whose X-Forwarded-For and X-Request-ID are believed. The zero Addr trusts nobody.
	TrustedProxy netip.Addr
}

// Server answers HTTP requests.
type Server struct {
	log          *slog.Logger
	posts        app.PostStore
	ready        func(context.Context) error
	trustedProxy netip.Addr

	http     http.Server
	draining atomic.Bool

	readiness     sync.Mutex // guards lastReadiness
	lastReadiness string     // what /readyz said last, so that only a change is logged
}

func init() { gin.SetMode(gin.ReleaseMode) } // no debug output of routes on stdout

// New returns a Server that waits for Serve.
func New(c Config) (*Server, error) {
	s := &Server{log: c.Log, posts: c.Posts, ready: c.Ready, trustedProxy: c.TrustedProxy}
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

// router is the route table.
func (s *Server) router() (http.Handler, error) {
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false // one spelling for each path; the other is not found
	r.RemoteIPHeaders = []string{"X-Forwarded-For"}
	var trusted []string
	if s.trustedProxy.IsValid() {
		trusted = []string{s.trustedProxy.String()}
	}
	if err := r.SetTrustedProxies(trusted); err != nil {
		return nil, fmt.Errorf("trusted proxy: %w", err)
	}

	r.Use(s.observe, s.recoverPanic)
	r.NoRoute(s.handle(noRoute))
	r.NoMethod(s.handle(noMethod))

	get := func(path string, h handler) {
		r.Match([]string{http.MethodGet, http.MethodHead}, path, s.handle(h))
	}
	get("/livez", s.livez)
	get("/readyz", s.readyz)
	get("/api/v1/posts", s.listPosts)
	get("/api/v1/posts/:id", s.getPost)
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
	s.log.Info("draining")
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

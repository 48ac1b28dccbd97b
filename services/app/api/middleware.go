package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"oneserver/app"
	"oneserver/app/timing"
)

const (
	requestIDHeader = "X-Request-ID"
	requestIDKey    = "request_id" // in gin's context
	timingKey       = "timing"     // in gin's context: *timing.Record
)

// statusClientGone is what the log shows for a request whose client left before the answer, as in Nginx' log.
const statusClientGone = 499

// handler answers a request, or returns why it cannot.
type handler func(*gin.Context) error

// handle makes a gin handler of h. It is the one place where an error becomes an answer.
func (s *Server) handle(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			s.fail(c, err)
		}
	}
}

// observe gives each request its id, its time limit and its line in the log.
func (s *Server) observe(c *gin.Context) {
	id := s.requestID(c)
	c.Set(requestIDKey, id)
	c.Header(requestIDHeader, id)
	ctx, cancel := context.WithTimeout(c.Request.Context(), requestLimit)
	defer cancel()
	ctx, record := timing.Start(ctx, id)
	c.Set(timingKey, record)
	c.Request = c.Request.WithContext(ctx)

	defer func() { // also when the connection is aborted by a panic
		if route := c.FullPath(); route != "/livez" && route != "/readyz" { // probes; readyz logs changes itself
			s.logAccess(c, id, record)
		}
	}()
	c.Next()
}

func (s *Server) logAccess(c *gin.Context, id string, record *timing.Record) {
	status, level := c.Writer.Status(), slog.LevelInfo
	var cause string
	if err := c.Errors.Last(); err != nil {
		cause = err.Error()
		switch app.AsError(err.Err).Code {
		case app.Internal:
			level = slog.LevelError
		case app.Unavailable:
			level = slog.LevelWarn
		}
	}
	if clientGone(c) && !c.Writer.Written() {
		status = statusClientGone
		if err := c.Errors.Last(); err == nil || errors.Is(err.Err, context.Canceled) { // and not a fault of ours meanwhile
			level = slog.LevelInfo
		}
	}
	attrs := []slog.Attr{
		slog.String("request_id", id),
		slog.String("client", c.ClientIP()),
		slog.String("method", c.Request.Method),
		slog.String("path", c.Request.URL.Path),
		slog.String("route", c.FullPath()),
		slog.Int("status", status),
		slog.Int("bytes", max(c.Writer.Size(), 0)),
		slog.Float64("duration_ms", timing.Milliseconds(record.Total())),
		slog.Float64("db_ms", timing.Milliseconds(record.Database())),
	}
	if cause != "" {
		attrs = append(attrs, slog.String("error", cause))
	}
	s.log.LogAttrs(c.Request.Context(), level, "request", attrs...)
}

var wellFormedID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// requestID is the id that the trusted proxy gave the request, or a new one of the same form as Nginx' own.
func (s *Server) requestID(c *gin.Context) string {
	if peer, err := netip.ParseAddr(c.RemoteIP()); err == nil && s.trustedProxy.IsValid() && peer.Unmap() == s.trustedProxy {
		if id := c.GetHeader(requestIDHeader); wellFormedID.MatchString(id) {
			return id
		}
	}
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// recoverPanic answers a panic as an internal error, or cuts the connection if the answer has begun, so that nobody
// takes half of one for the whole. The stack is in the error, and so in the access log.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { // somebody cuts the connection on purpose
			panic(p)
		}
		c.Abort()
		err := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		if c.Writer.Written() {
			c.Error(err)
			panic(http.ErrAbortHandler)
		}
		s.fail(c, err)
	}()
	c.Next()
}

package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"oneserver/app"
	"oneserver/app/timing"
)

const requestIDHeader = "X-Request-ID"

// statusClientGone is the status that is logged for a request whose client left before the answer, as in Nginx's log.
const statusClientGone = 499

// handler answers a request, or returns an error for handle to answer with.
type handler func(*gin.Context) error

// handle turns h into a Gin handler. It is the only place where an error becomes an answer.
func (s *Server) handle(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			s.fail(c, err)
		}
	}
}

// observe gives each request its id, its time limit and its line in the log.
func (s *Server) observe(c *gin.Context) {
	v := s.visit(c.Request)
	c.Writer.Header().Set(requestIDHeader, v.id)
	ctx, cancel := context.WithTimeout(c.Request.Context(), requestLimit)
	defer cancel()
	ctx, v.timing = timing.Start(ctx, v.id)
	c.Request = c.Request.WithContext(v.with(ctx))

	if route := c.FullPath(); route == "/livez" || route == "/readyz" { // probes; readyz logs changes itself
		c.Next()
		return
	}
	s.Observer.Begin()
	defer func() { // even if a panic aborts the connection
		status := s.logAccess(c, v)
		s.Observer.End(v.timing, c.Request.Method, c.Request.URL.EscapedPath(), c.FullPath(), status)
	}()
	c.Next()
}

// logAccess logs the request and returns the status that it logged.
func (s *Server) logAccess(c *gin.Context, v *visit) int {
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
		if err := c.Errors.Last(); err == nil || errors.Is(err.Err, context.Canceled) { // and nothing else went wrong meanwhile
			level = slog.LevelInfo
		}
	}
	attrs := [...]slog.Attr{
		slog.String("request_id", v.id),
		slog.String("client", v.client.String()),
		slog.String("method", c.Request.Method),
		slog.String("path", shownPath(c.Request)),
		slog.String("route", c.FullPath()),
		slog.Int("status", status),
		slog.Int("bytes", max(c.Writer.Size(), 0)),
		slog.Float64("duration_ms", timing.Milliseconds(v.timing.Total())),
		slog.Float64("db_ms", timing.Milliseconds(v.timing.Database())),
		slog.String("error", cause),
	}
	shown := attrs[:]
	if cause == "" {
		shown = attrs[:len(attrs)-1]
	}
	s.Log.LogAttrs(c.Request.Context(), level, "request", shown...)
	return status
}

// maxShownPath keeps a log line below 4 kB, the most that a pipe takes in one piece.
const maxShownPath = 1000

// shownPath returns the path in its encoded form, which is always printable ASCII. The decoded form could contain
// control characters that act on a terminal, or on a program that reads the log.
func shownPath(r *http.Request) string {
	path := r.URL.EscapedPath()
	if len(path) > maxShownPath {
		return path[:maxShownPath] + "…"
	}
	return path
}

// recoverPanic turns a panic into an internal error. If the answer has already begun, it cuts the connection, so that
// no client mistakes half an answer for a whole one. The stack trace is part of the error, and so of the access log.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { // the handler cuts the connection on purpose
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

// refuseCrossOrigin refuses requests that a page of another site makes a visitor's browser send, with the visitor's
// cookie. It compares the origin of the page with the name and port in the visitor's request, which Nginx passes on.
func (s *Server) refuseCrossOrigin(c *gin.Context) {
	if err := s.crossOrigin.Check(c.Request); err != nil {
		c.Abort()
		s.fail(c, &app.Error{Code: app.Forbidden, Message: "Another site sent this request. It works from this site's own pages only.", Err: err})
		return
	}
	c.Next()
}

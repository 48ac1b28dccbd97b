package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"oneserver/app"
)

// encoded is an answer that is already JSON.
type encoded []byte

// buffers holds *bytes.Buffer.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// answer writes v as JSON, or nothing for a status that has no body. HEAD gets the same headers and no body.
func (s *Server) answer(c *gin.Context, status int, mediaType string, v any) error {
	header := c.Writer.Header()
	header.Set("Server-Timing", visitOf(c).timing.ServerTiming()+s.replica)
	if s.draining.Load() {
		header.Set("Connection", "close")
	}
	if status == http.StatusNoContent {
		c.Status(status)
		c.Writer.WriteHeaderNow()
		return nil
	}

	var body []byte
	if ready, ok := v.(encoded); ok {
		body = ready
	} else {
		buffer := buffers.Get().(*bytes.Buffer)
		defer buffers.Put(buffer)
		buffer.Reset()
		encoder := json.NewEncoder(buffer)
		encoder.SetEscapeHTML(false) // keeps an & in a link readable; the media type keeps browsers from reading it as HTML
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		body = buffer.Bytes()
	}
	header.Set("Content-Type", mediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	c.Status(status)
	c.Writer.WriteHeaderNow()
	if c.Request.Method != http.MethodHead {
		c.Writer.Write(body) // an error here means that the client has gone
	}
	return nil
}

// keepForASecond tells Nginx how to cache an answer that is the same for everybody: keep it for a second, and serve it
// for another second while fetching a new one (RFC 5861). Nginx tells browsers to ask every time.
const keepForASecond = "max-age=1, stale-while-revalidate=1"

// ok sends v as the answer to a request that succeeded.
func (s *Server) ok(c *gin.Context, status int, v any) error {
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead || visitOf(c).cookie {
		c.Header("Cache-Control", "private, no-store")
	} else {
		c.Header("Cache-Control", keepForASecond)
	}
	return s.answer(c, status, "application/json", v)
}

// problem is a problem detail (RFC 9457). Its type is always "about:blank": the status already tells what kind of
// problem it is, and title is the standard text for the status (section 4.2.1).
type problem struct {
	Type      string     `json:"type" enum:"about:blank"`
	Title     string     `json:"title" doc:"The standard text for the status."`
	Status    int        `json:"status"`
	Detail    string     `json:"detail" doc:"What is wrong and what to do about it, for people."`
	Instance  string     `json:"instance" doc:"The requested path."`
	RequestID string     `json:"request_id" doc:"Finds this request in the logs."`
	Errors    []badField `json:"errors,omitempty" nullable:"false" doc:"The fields that are wrong."`
}

type badField struct {
	Field  string `json:"field" doc:"A member of the body, a parameter or a header."`
	Detail string `json:"detail"`
}

var statusOf = map[app.Code]int{
	app.Invalid:      http.StatusBadRequest,
	app.Unauthorized: http.StatusUnauthorized,
	app.Forbidden:    http.StatusForbidden,
	app.NotFound:     http.StatusNotFound,
	app.Conflict:     http.StatusConflict,
	app.KeyReused:    http.StatusUnprocessableEntity,
	app.TooMany:      http.StatusTooManyRequests,
	app.Full:         http.StatusInsufficientStorage,
	app.Unavailable:  http.StatusServiceUnavailable,
	app.Internal:     http.StatusInternalServerError,
}

// httpStatus is an error that carries an HTTP status. In the chain of another error, it replaces the status that the
// error's code would get, where HTTP has a more exact one.
type httpStatus int

func (s httpStatus) Error() string { return http.StatusText(int(s)) }

// fail answers with a problem detail and records err for the access log. It reveals nothing about an internal error.
func (s *Server) fail(c *gin.Context, err error) {
	c.Error(err)
	if clientGone(c) {
		c.Status(statusClientGone) // if the client is still there after all, it must not see a success
		return
	}
	e := app.AsError(err)
	status := statusOf[e.Code]
	if finer, ok := errors.AsType[httpStatus](err); ok {
		status = int(finer)
	}
	v := visitOf(c)
	switch status {
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", `Cookie form-action="/sign-in", cookie-name="`+v.name("session")+`"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable: // a restart of the database takes about a second
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		c.Header("Retry-After", strconv.Itoa(max(int(seconds), 1)))
	}
	c.Header("Cache-Control", "no-store")
	shown := problem{
		Type:      "about:blank",
		Title:     http.StatusText(status),
		Status:    status,
		Detail:    e.Message,
		Instance:  c.Request.URL.EscapedPath(),
		RequestID: v.id,
	}
	for _, f := range e.Fields {
		shown.Errors = append(shown.Errors, badField(f))
	}
	if err := s.answer(c, status, "application/problem+json", shown); err != nil {
		c.Error(err)
	}
}

// clientGone reports whether the client left before it got its answer.
func clientGone(c *gin.Context) bool {
	return errors.Is(c.Request.Context().Err(), context.Canceled)
}

func noRoute(*gin.Context) error {
	return &app.Error{Code: app.NotFound, Message: "There is nothing at this address."}
}

func noMethod(c *gin.Context) error {
	return &app.Error{
		Code:    app.Invalid,
		Message: fmt.Sprintf("%s does not work here. What works: %s.", c.Request.Method, c.Writer.Header().Get("Allow")),
		Err:     httpStatus(http.StatusMethodNotAllowed),
	}
}

// refused returns an error that lists the wrong fields, each only once, or nil if there are none.
func refused(status int, fields ...app.FieldError) error {
	if len(fields) == 0 {
		return nil
	}
	var shown []app.FieldError
	for _, f := range fields {
		known := slices.ContainsFunc(shown, func(s app.FieldError) bool { return s.Field == f.Field })
		if !known && len(shown) < maxFieldErrors {
			shown = append(shown, f)
		}
	}
	return &app.Error{Code: app.Invalid, Message: "Some of what was sent is not right.", Fields: shown, Err: httpStatus(status)}
}

// maxFieldErrors bounds the size of an answer, since a request can contain thousands of fields.
const maxFieldErrors = 10

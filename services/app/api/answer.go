package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"oneserver/app"
	"oneserver/app/timing"
)

// answer writes v as JSON. HEAD gets the same headers and no body.
func (s *Server) answer(c *gin.Context, status int, mediaType string, v any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // an & in a link stays readable; the media type keeps browsers from reading HTML
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	header := c.Writer.Header()
	header.Set("Content-Type", mediaType)
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	if record, ok := c.MustGet(timingKey).(*timing.Record); ok {
		header.Set("Server-Timing", record.ServerTiming())
	}
	if s.draining.Load() {
		header.Set("Connection", "close")
	}
	c.Status(status)
	c.Writer.WriteHeaderNow()
	if c.Request.Method != http.MethodHead {
		c.Writer.Write(body.Bytes()) // an error here means that the client has gone
	}
	return nil
}

// ok answers with what was asked for.
func (s *Server) ok(c *gin.Context, v any) error {
	c.Header("Cache-Control", "no-cache") // keep it if you like, but ask again: a stale page is never shown
	return s.answer(c, http.StatusOK, "application/json", v)
}

// problem is a problem detail (RFC 9457). Its type is always "about:blank": the status says which kind it is, and
// title is the status' own text (section 4.2.1).
type problem struct {
	Type      string           `json:"type"`
	Title     string           `json:"title"`
	Status    int              `json:"status"`
	Detail    string           `json:"detail"`
	Instance  string           `json:"instance"` // the path that was asked for
	RequestID string           `json:"request_id"`
	Errors    []app.FieldError `json:"errors,omitempty"`
}

var statusOf = map[app.Code]int{
	app.Invalid:     http.StatusBadRequest,
	app.NotFound:    http.StatusNotFound,
	app.Unavailable: http.StatusServiceUnavailable,
	app.Internal:    http.StatusInternalServerError,
}

// fail answers with a problem detail and leaves err to the access log. Nothing of an internal error is shown.
func (s *Server) fail(c *gin.Context, err error) {
	c.Error(err)
	if clientGone(c) {
		return
	}
	e := app.AsError(err)
	status := statusOf[e.Code]
	if errors.Is(err, errMethod) {
		status = http.StatusMethodNotAllowed
	}
	if status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "1") // seconds; a restart of the database takes about that
	}
	c.Header("Cache-Control", "no-store")
	err = s.answer(c, status, "application/problem+json", problem{
		Type:      "about:blank",
		Title:     http.StatusText(status),
		Status:    status,
		Detail:    e.Message,
		Instance:  c.Request.URL.EscapedPath(),
		RequestID: c.GetString(requestIDKey),
		Errors:    e.Fields,
	})
	if err != nil {
		c.Error(err)
	}
}

// clientGone reports whether the client left before it had its answer.
func clientGone(c *gin.Context) bool {
	return errors.Is(c.Request.Context().Err(), context.Canceled)
}

func noRoute(*gin.Context) error {
	return &app.Error{Code: app.NotFound, Message: "There is nothing at this address."}
}

// errMethod marks the one failure that HTTP knows and the domain does not.
var errMethod = errors.New("method not allowed")

func noMethod(c *gin.Context) error {
	return &app.Error{
		Code:    app.Invalid,
		Message: fmt.Sprintf("%s does not work here. What works: %s.", c.Request.Method, c.Writer.Header().Get("Allow")),
		Err:     errMethod,
	}
}

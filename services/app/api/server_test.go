package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"oneserver/app"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	const rest = `"author":null,"title":"a < b & c","body":"text","excerpt":false,"created_at":"2026-11-23T10:00:00.000005Z","updated_at":"2026-11-23T10:00:00.000005Z"}`
	const one = `{"id":1,` + rest
	const two = `{"id":2,` + rest
	s, _ := newServer(t, newFake(2), nil)
	for _, test := range []struct{ name, target, want string }{
		{"a list, newest first", "/api/v1/posts", `{"posts":[` + two + `,` + one + `]}`},
		{"a page that is not the last names the next", "/api/v1/posts?limit=1", `{"posts":[` + two + `],"next":"/api/v1/posts?limit=1&before=2"}`},
		{"the next page is the last", "/api/v1/posts?limit=1&before=2", `{"posts":[` + one + `]}`},
		{"an empty list is a list", "/api/v1/posts?before=1", `{"posts":[]}`},
		{"a search", "/api/v1/search?q=text", `{"posts":[` + two + `,` + one + `]}`},
		{"the next page of a search keeps the question", "/api/v1/search?q=a+%3C+b+%26&limit=1", `{"posts":[` + two + `],"next":"/api/v1/search?q=a+%3C+b+%26&limit=1&before=2"}`},
		{"a stranger", "/api/v1/session", `{"signed_in":false}`},
		{"one post", "/api/v1/posts/2", two},
		{"alive", "/livez", `{"status":"alive"}`},
		{"ready", "/readyz", `{"status":"ready"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response := ask(s, "GET", test.target)
			got := body(t, response)
			if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" || got != test.want+"\n" {
				t.Errorf("GET %s:\n got %d %s %s\nwant 200 application/json %s", test.target, response.StatusCode, response.Header.Get("Content-Type"), got, test.want)
			}
			timing := response.Header.Get("Server-Timing")
			if !strings.HasPrefix(timing, "db;dur=") || !strings.Contains(timing, ", app;dur=") || !strings.HasSuffix(timing, `;desc="replica-1"`) {
				t.Errorf("Server-Timing is %q, want the stages db and app, and the replica", timing)
			}

			head := ask(s, "HEAD", test.target)
			if head.StatusCode != 200 || head.Header.Get("Content-Length") != response.Header.Get("Content-Length") || body(t, head) != "" {
				t.Errorf("HEAD %s: got %d %v, want GET's headers and no body", test.target, head.StatusCode, head.Header)
			}
		})
	}
}

func TestEveryErrorIsAProblemDetail(t *testing.T) {
	t.Parallel()
	well := newFake(2)
	away := &fake{err: &app.Error{Code: app.Unavailable, Message: "Away.", Err: errors.New("dial tcp: refused")}}
	broken := &fake{err: errors.New("secret inside")}
	panicking := &fake{hit: func() { panic("secret inside") }}
	for _, test := range []struct {
		name, method, target string
		posts                *fake
		status               int
		detail               string
		header, value        string
	}{
		{"unknown path", "GET", "/nothing", well, 404, "nothing at this address", "", ""},
		{"trailing slash", "GET", "/api/v1/posts/", well, 404, "nothing at this address", "", ""},
		{"unknown post", "GET", "/api/v1/posts/3", well, 404, "no such post", "", ""},
		{"an id that is no number", "GET", "/api/v1/posts/abc", well, 404, "no such post", "", ""},
		{"an id too large for a number", "GET", "/api/v1/posts/18446744073709551616", well, 404, "no such post", "", ""},
		{"a negative id", "GET", "/api/v1/posts/-1", well, 404, "no such post", "", ""},
		{"a path that needs escapes", "GET", "/api/%22%20%C3%A9", well, 404, "nothing at this address", "", ""},
		{"wrong method on a list", "DELETE", "/api/v1/posts", well, 405, "DELETE does not work here", "Allow", "GET, HEAD, POST"},
		{"wrong method on a post", "PATCH", "/api/v1/posts/1", well, 405, "PATCH does not work here", "Allow", "GET, HEAD, PUT, DELETE"},
		{"wrong method on a probe", "POST", "/readyz", well, 405, "POST does not work here", "Allow", "GET, HEAD"},
		{"database away", "GET", "/api/v1/posts", away, 503, "Away.", "Retry-After", "1"},
		{"an unexpected error", "GET", "/api/v1/posts", broken, 500, "Something went wrong", "", ""},
		{"a panic", "GET", "/api/v1/posts/1", panicking, 500, "Something went wrong", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, lines := newServer(t, test.posts, nil)
			response := ask(s, test.method, test.target)
			text := body(t, response)
			var got problem
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			if kind := response.Header.Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("Content-Type is %s", kind)
			}
			path, _, _ := strings.Cut(test.target, "?")
			if response.StatusCode != test.status || got.Status != test.status || got.Title != http.StatusText(test.status) ||
				got.Type != "about:blank" || got.Instance != path || !strings.Contains(got.Detail, test.detail) ||
				got.RequestID == "" || got.RequestID != response.Header.Get("X-Request-ID") {
				t.Errorf("got %d %s, want status %d and detail %q", response.StatusCode, text, test.status, test.detail)
			}
			if value := response.Header.Get(test.header); test.header != "" && value != test.value {
				t.Errorf("%s is %q, want %q", test.header, value, test.value)
			}
			if strings.Contains(text, "secret") || strings.Contains(text, "refused") {
				t.Errorf("the cause is shown: %s", text)
			}
			if test.status >= 500 && !strings.Contains(lines.String(), `"error":`) {
				t.Errorf("the cause is not in the log: %s", lines)
			}
		})
	}
}

func TestNotReadySaysWhy(t *testing.T) {
	t.Parallel()
	s, lines := newServer(t, newFake(0), &app.Error{Code: app.Unavailable, Message: "The database does not answer."})
	for range 3 {
		response := ask(s, "GET", "/readyz")
		if text := body(t, response); response.StatusCode != 503 || !strings.Contains(text, "The database does not answer.") {
			t.Errorf("got %d %s", response.StatusCode, text)
		}
	}
	if n := strings.Count(lines.String(), "not ready"); n != 1 {
		t.Errorf("three probes with one outcome are logged %d times, want once:\n%s", n, lines)
	}
	if response := ask(s, "GET", "/livez"); response.StatusCode != 200 {
		t.Errorf("/livez is %d, want 200: a restart would not bring the database back", response.StatusCode)
	}
}

func TestOnlyTheTrustedProxyIsBelieved(t *testing.T) {
	t.Parallel()
	const given = "0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		name, peer, id, client string
		keep                   bool
	}{
		{"the proxy", proxy, given, "203.0.113.9", true},
		{"the proxy with a malformed id", proxy, "a b\"", "203.0.113.9", false},
		{"the proxy with an id that is too long", proxy, strings.Repeat("a", 65), "203.0.113.9", false},
		{"a neighbour of the proxy", "192.0.2.81", given, "192.0.2.81", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, lines := newServer(t, newFake(0), nil)
			response := ask(s, "GET", "/api/v1/posts", func(r *http.Request) {
				r.RemoteAddr = test.peer + ":50000"
				r.Header.Set("X-Request-ID", test.id)
				r.Header.Set("X-Forwarded-For", "203.0.113.9")
				r.Header.Set("X-Real-IP", "203.0.113.10")
			})
			id := response.Header.Get("X-Request-ID")
			if (id == test.id) != test.keep || len(id) != 32 {
				t.Errorf("X-Request-ID is %q; was given %q, keep it: %t", id, test.id, test.keep)
			}
			for _, want := range []string{`"request_id":"` + id + `"`, `"client":"` + test.client + `"`, `"route":"/api/v1/posts"`, `"status":200`} {
				if !strings.Contains(lines.String(), want) {
					t.Errorf("the log has no %s: %s", want, lines)
				}
			}
		})
	}
}

// Half an answer must not look like a whole one, and the access log must still get its line.
func TestAPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	t.Parallel()
	s, lines := newServer(t, newFake(0), nil)
	r := gin.New()
	r.Use(s.observe, s.recoverPanic)
	r.GET("/", func(c *gin.Context) {
		c.String(200, "half")
		panic("in the middle")
	})
	server := httptest.NewServer(r)
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	if err == nil {
		t.Error("the client saw a complete answer")
	}
	if log := lines.String(); !strings.Contains(log, "in the middle") || !strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log does not have the panic: %s", log)
	}
}

// A request whose client left is logged as an error only if something else went wrong meanwhile.
func TestLevelOfARequestWhoseClientLeft(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, level string
		posts       *fake
	}{
		{"its work was cancelled", "INFO", &fake{err: context.Canceled}},
		{"an unexpected error", "ERROR", &fake{err: errors.New("broken")}},
		{"a panic", "ERROR", &fake{hit: func() { panic("broken") }}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, lines := newServer(t, test.posts, nil)
			ask(s, "GET", "/api/v1/posts", func(r *http.Request) {
				ctx, leave := context.WithCancel(r.Context())
				leave()
				*r = *r.WithContext(ctx)
			})
			if log := lines.String(); !strings.Contains(log, `"level":"`+test.level+`"`) || !strings.Contains(log, `"status":499`) {
				t.Errorf("want %s and 499: %s", test.level, log)
			}
		})
	}
}

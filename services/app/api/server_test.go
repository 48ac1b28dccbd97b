package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"oneserver/app"
)

// store is a PostStore in memory, with posts 1 to n, or one that fails.
type store struct {
	n   uint64
	err error
	hit func() // called before each answer
}

func (s store) post(id uint64) app.Post {
	return app.Post{ID: id, Title: "a < b & c", Body: "text", CreatedAt: time.Date(2026, 11, 23, 11, 0, 0, 5000, time.FixedZone("", 3600))}
}

func (s store) List(_ context.Context, page app.Page) (posts []app.Post, more bool, err error) {
	if s.hit != nil {
		s.hit()
	}
	id := s.n
	if page.Before > 0 {
		id = min(id, page.Before-1)
	}
	for ; id > 0 && len(posts) < page.Size; id-- {
		posts = append(posts, s.post(id))
	}
	return posts, id > 0, s.err
}

func (s store) Get(_ context.Context, id uint64) (app.Post, error) {
	if s.hit != nil {
		s.hit()
	}
	if s.err == nil && id > s.n {
		return app.Post{}, &app.Error{Code: app.NotFound, Message: "There is no such post."}
	}
	return s.post(id), s.err
}

const proxy = "192.0.2.80"

// newServer returns a Server over posts and what it logs.
func newServer(t *testing.T, posts app.PostStore, ready error) (*Server, *logLines) {
	t.Helper()
	lines := new(logLines)
	s, err := New(Config{
		Log:          slog.New(slog.NewJSONHandler(lines, nil)),
		Posts:        posts,
		Ready:        func(context.Context) error { return ready },
		TrustedProxy: netip.MustParseAddr(proxy),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, lines
}

// logLines collects a log that may be written to by several goroutines.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// ask sends one request through the whole handler, as if from the trusted proxy.
func ask(s *Server, method, target string, change ...func(*http.Request)) *http.Response {
	request := httptest.NewRequest(method, target, nil)
	request.RemoteAddr = proxy + ":50000"
	for _, f := range change {
		f(request)
	}
	recorder := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(recorder, request)
	return recorder.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const one = `{"id":1,"title":"a < b & c","body":"text","created_at":"2026-11-23T10:00:00.000005Z"}`
	const two = `{"id":2,"title":"a < b & c","body":"text","created_at":"2026-11-23T10:00:00.000005Z"}`
	s, _ := newServer(t, store{n: 2}, nil)
	for _, test := range []struct{ name, target, want string }{
		{"a list, newest first", "/api/v1/posts", `{"posts":[` + two + `,` + one + `]}`},
		{"a page that is not the last names the next", "/api/v1/posts?limit=1", `{"posts":[` + two + `],"next":"/api/v1/posts?limit=1&before=2"}`},
		{"the next page is the last", "/api/v1/posts?limit=1&before=2", `{"posts":[` + one + `]}`},
		{"an empty list is a list", "/api/v1/posts?before=1", `{"posts":[]}`},
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
			if !strings.HasPrefix(timing, "db;dur=") || !strings.Contains(timing, ", app;dur=") {
				t.Errorf("Server-Timing is %q, want the stages db and app", timing)
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
	well := store{n: 2}
	away := store{err: &app.Error{Code: app.Unavailable, Message: "Away.", Err: errors.New("dial tcp: refused")}}
	broken := store{err: errors.New("secret inside")}
	panicking := store{hit: func() { panic("secret inside") }}
	for _, test := range []struct {
		name, method, target string
		posts                store
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
		{"wrong method on a list", "DELETE", "/api/v1/posts", well, 405, "DELETE does not work here", "Allow", "GET, HEAD"},
		{"wrong method on a post", "PATCH", "/api/v1/posts/1", well, 405, "PATCH does not work here", "Allow", "GET, HEAD"},
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
	s, lines := newServer(t, store{}, &app.Error{Code: app.Unavailable, Message: "The database does not answer."})
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
			s, lines := newServer(t, store{}, nil)
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

// Half an answer must not look like a whole one, and the access log must still have its line.
func TestAPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	t.Parallel()
	s, lines := newServer(t, store{}, nil)
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

// A client that leaves is not our fault; what goes wrong meanwhile still is.
func TestLevelOfARequestWhoseClientLeft(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, level string
		posts       store
	}{
		{"its work was cancelled", "INFO", store{err: context.Canceled}},
		{"an unexpected error", "ERROR", store{err: errors.New("broken")}},
		{"a panic", "ERROR", store{hit: func() { panic("broken") }}},
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

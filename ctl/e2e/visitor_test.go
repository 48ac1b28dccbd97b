package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A visitor speaks HTTP to a copy of the stack and keeps its session as a browser does. Everything it writes contains a
// unique word, so that tests that run in parallel find only their own posts.
type visitor struct {
	*testing.T
	stack    *copyOfStack
	email    string
	name     string
	password string
	word     string // appears in no other text on the site
	cookie   string // the session's, as "name=value"; empty when not signed in
	device   string // the cookie that marks a browser that has signed in before, in the same form
}

// newVisitor returns a stranger who has everything needed to sign up.
func newVisitor(t *testing.T, stack *copyOfStack) *visitor {
	t.Helper()
	leaveEvidence(t, stack)
	word := "w" + strings.ToLower(rand.Text())
	return &visitor{T: t, stack: stack, email: word + "@example.com", name: "Name " + word, password: rand.Text(), word: word}
}

// newMember returns a visitor who has an account and is signed in.
func newMember(t *testing.T, stack *copyOfStack) *visitor {
	t.Helper()
	v := newVisitor(t, stack)
	v.signUp()
	v.signIn()
	return v
}

func (v *visitor) signUp() {
	v.Helper()
	v.want(http.StatusCreated, v.ask("POST", "/api/v1/accounts", object{"email": v.email, "name": v.name, "password": v.password}, "Idempotency-Key: "+rand.Text()))
}

// withoutQuotas exempts the visitor's account from all quotas, as an operator can do.
func (v *visitor) withoutQuotas() {
	v.Helper()
	if _, err := v.stack.sql(v.Context(), "root", "UPDATE foobar.users SET unbounded = 1 WHERE email = '"+v.email+"'"); err != nil {
		v.Fatal(err)
	}
}

func (v *visitor) signIn() {
	v.Helper()
	v.want(http.StatusOK, v.ask("PUT", "/api/v1/session", object{"email": v.email, "password": v.password}))
	if v.cookie == "" {
		v.Fatal("signed in without a cookie")
	}
}

// elsewhere returns the same person in another browser, where nobody is signed in.
func (v *visitor) elsewhere() *visitor {
	other := *v
	other.cookie, other.device = "", ""
	return &other
}

// as returns the same person in the same browser, for a part of the test.
func (v *visitor) as(part *testing.T) *visitor {
	same := *v
	same.T = part
	return &same
}

// object is a JSON object to send.
type object map[string]any

// post is a post as the API returns it.
type post struct {
	ID     int64
	Author struct { // none for the posts that the site came with
		ID   int64
		Name string
	}
	Title     string
	Body      string
	Excerpt   bool
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

// write creates a post that contains the visitor's word.
func (v *visitor) write(title string) post {
	v.Helper()
	return decode[post](v, http.StatusCreated, v.ask("POST", "/api/v1/posts", object{"title": title, "body": "Written by " + v.word + "."}, "Idempotency-Key: "+rand.Text()))
}

// ask sends a request and returns the answer, whatever its status. A string body is sent as it is, any other as JSON. Each
// field is a header line; "Name:" leaves out the header of that name.
func (v *visitor) ask(method, path string, body any, fields ...string) reply {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.Context(), 30*time.Second)
	defer cancel()
	got, err := v.try(ctx, method, path, body, fields...)
	if err != nil {
		v.Fatalf("%s %s: %v\n%s", method, path, err, v.stack.logs("web", "app"))
	}
	return got
}

// try is like ask, but returns an error instead of failing the test, so that goroutines other than the test's own can
// call it.
func (v *visitor) try(ctx context.Context, method, path string, body any, fields ...string) (reply, error) {
	var content io.Reader
	kind := ""
	switch body := body.(type) {
	case nil:
	case string:
		content, kind = strings.NewReader(body), "application/json"
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		content, kind = bytes.NewReader(encoded), "application/json"
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+v.stack.httpPort+path, content)
	if err != nil {
		return reply{}, err
	}
	request.Host = "www.foobar.com"
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	for _, cookie := range []string{v.cookie, v.device} {
		if cookie != "" {
			request.Header.Add("Cookie", cookie)
		}
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ":")
		request.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	received, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	for _, cookie := range response.Cookies() {
		kept := &v.cookie
		if strings.HasSuffix(cookie.Name, "device") {
			kept = &v.device
		}
		if *kept = cookie.Name + "=" + cookie.Value; cookie.MaxAge < 0 || cookie.Value == "" {
			*kept = ""
		}
	}
	return reply{response.StatusCode, response.Header, string(received)}, nil
}

// want fails the test if the answer has another status.
func (v *visitor) want(status int, got reply) {
	v.Helper()
	if got.status != status {
		v.Fatalf("status %d, want %d: %s\n%s", got.status, status, got.body, v.stack.logs("app"))
	}
}

// decode reads the JSON of an answer that must have this status.
func decode[Value any](v *visitor, status int, got reply) Value {
	v.Helper()
	v.want(status, got)
	var value Value
	if err := json.Unmarshal([]byte(got.body), &value); err != nil {
		v.Fatalf("%v: %s", err, got.body)
	}
	return value
}

// problem is an error as the API reports it (RFC 9457).
type problem struct {
	Title     string
	Status    int
	Detail    string
	RequestID string `json:"request_id"`
	Errors    []struct{ Field, Detail string }
}

// names reports whether the problem details list this field as wrong.
func (p problem) names(field string) bool {
	for _, wrong := range p.Errors {
		if wrong.Field == field && wrong.Detail != "" {
			return true
		}
	}
	return false
}

// signedIn asks the site who is signed in; it returns nil for a stranger.
func (v *visitor) signedIn() *struct {
	ID          int64
	Name, Email string
} {
	v.Helper()
	session := decode[struct {
		SignedIn bool `json:"signed_in"`
		User     *struct {
			ID          int64
			Name, Email string
		}
	}](v, http.StatusOK, v.ask("GET", "/api/v1/session", nil))
	if session.SignedIn != (session.User != nil) {
		v.Fatalf("signed in: %t, as %+v", session.SignedIn, session.User)
	}
	return session.User
}

// found returns the posts that contain the visitor's word, newest first.
func (v *visitor) found() []post {
	v.Helper()
	return decode[struct{ Posts []post }](v, http.StatusOK, v.ask("GET", "/api/v1/search?limit=100&q="+v.word, nil)).Posts
}

// rows counts rows in the copy's database; of continues "SELECT COUNT(*) FROM foobar.".
func (c *copyOfStack) rows(t *testing.T, of string) int {
	t.Helper()
	out, err := c.sql(t.Context(), "app", "SELECT COUNT(*) FROM foobar."+of)
	if err != nil {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(out)
	if err != nil {
		t.Fatalf("MySQL counts %q", out)
	}
	return count
}

// dump returns everything that the database holds.
func (c *copyOfStack) dump(t *testing.T) string {
	t.Helper()
	out, err := c.compose(t.Context(), "exec", "--no-TTY", "db", "sh", "-c",
		`MYSQL_PWD="$(cat /run/secrets/mysql_root_password)" exec mysqldump --user root --single-transaction --set-gtid-purged=OFF --hex-blob foobar`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// timed returns a metric of the answer's Server-Timing header: its duration in milliseconds and its description.
func (r reply) timed(metric string) (milliseconds float64, description string) {
	for _, line := range r.header.Values("Server-Timing") {
		for _, one := range strings.Split(line, ",") {
			parts := strings.Split(strings.TrimSpace(one), ";")
			if parts[0] != metric {
				continue
			}
			for _, part := range parts[1:] {
				name, value, _ := strings.Cut(part, "=")
				switch name {
				case "dur":
					_, _ = fmt.Sscan(value, &milliseconds)
				case "desc":
					description = strings.Trim(value, `"`)
				}
			}
		}
	}
	return milliseconds, description
}

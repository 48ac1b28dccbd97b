package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// reply is the response that a visitor or curl received.
type reply struct {
	status int
	header http.Header
	body   string
}

// curl fetches a URL (or a path of www.foobar.com) from the copy with the real curl, using --resolve in place of DNS.
func curl(t *testing.T, address string, args ...string) reply {
	t.Helper()
	if strings.HasPrefix(address, "/") {
		address = "http://www.foobar.com" + address
	}
	host, rest, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
	host += ":" + site.httpPort
	dir := t.TempDir()
	headers, body := filepath.Join(dir, "headers"), filepath.Join(dir, "body")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := site.output(ctx, "curl", append([]string{"--silent", "--show-error", "--resolve", host + ":127.0.0.1",
		"--dump-header", headers, "--output", body, "--write-out", "%{http_code}", "http://" + host + "/" + rest}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, site.logs("web"))
	}
	status, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatalf("curl printed %q", out)
	}
	return reply{status, parseHeaders(t, headers), read(t, body)}
}

func parseHeaders(t *testing.T, file string) http.Header {
	t.Helper()
	_, fields, _ := strings.Cut(read(t, file), "\r\n") // without the status line, which curl evaluates
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("header fields %q: %v", fields, err)
	}
	return http.Header(header)
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if os.IsNotExist(err) { // curl makes no file for an empty body
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestStaticFilesAreServedAndRevalidated(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/site.css", "/site.js"} {
		t.Run(path, func(t *testing.T) {
			first := curl(t, path)
			etag := first.header.Get("ETag")
			if first.status != http.StatusOK || first.body == "" || etag == "" {
				t.Fatalf("status %d, ETag %q, %d bytes", first.status, etag, len(first.body))
			}
			if got := first.header.Get("Cache-Control"); got != "no-cache" {
				t.Errorf("Cache-Control %q: an outdated page could be shown", got)
			}
			if got := curl(t, path, "--header", "If-None-Match: "+etag); got.status != http.StatusNotModified || got.body != "" {
				t.Errorf("asked again with its ETag: status %d, %d bytes; want 304 and none", got.status, len(got.body))
			}
			modified := first.header.Get("Last-Modified")
			if got := curl(t, path, "--header", "If-Modified-Since: "+modified); got.status != http.StatusNotModified {
				t.Errorf("asked again with its date %q: status %d, want 304", modified, got.status)
			}
			zipped := curl(t, path, "--header", "Accept-Encoding: gzip")
			if zipped.header.Get("Content-Encoding") != "gzip" || len(zipped.body) >= len(first.body) || !strings.Contains(zipped.header.Get("Vary"), "Accept-Encoding") {
				t.Errorf("gzip asked for: %v, %d bytes of %d", zipped.header, len(zipped.body), len(first.body))
			}
			if got := curl(t, path, "--head"); got.status != http.StatusOK {
				t.Errorf("HEAD: status %d", got.status)
			}
		})
	}
}

func TestPostsComeFromTheApplication(t *testing.T) {
	t.Parallel()
	got := curl(t, "/api/v1/posts?limit=2&before=4") // among the posts that the site came with, which nobody can change
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %v", got.status, got.header)
	}
	var page struct {
		Posts []post
		Next  string
	}
	if err := json.Unmarshal([]byte(got.body), &page); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	if len(page.Posts) != 2 || page.Posts[0].ID <= page.Posts[1].ID || page.Next == "" {
		t.Fatalf("want two posts, newest first, and a next page: %s", got.body)
	}
	first := page.Posts[0]
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z", first.CreatedAt); err != nil {
		t.Errorf("created_at: %v", err)
	}
	var one post
	alone := curl(t, "/api/v1/posts/"+strconv.FormatInt(first.ID, 10))
	if err := json.Unmarshal([]byte(alone.body), &one); err != nil || one != first {
		t.Errorf("the post by itself is %s, in the page it is %+v (%v)", alone.body, first, err)
	}
}

// Errors are HTML pages for browsers, and problem details (RFC 9457) under /api/, whichever service detects them.
func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		url    string
		args   []string
		status int
	}{
		{"a page that is not there", "/nothing", nil, 404},
		{"a dotfile", "/.env", nil, 404},
		{"an error page asked for by name", "/errors/404.html", nil, 404},
		{"the application's readiness, from outside", "/readyz", nil, 404},
		{"the application's liveness, from outside", "/livez", nil, 404},
		{"a static file posted to", "/", []string{"--data", "x=1"}, 405},
		{"a static file deleted", "/", []string{"--request", "DELETE"}, 405},
		{"a body over the limit, to a page", "/", []string{"--data-binary", "@" + huge}, 413},
		{"a host that is not ours", "http://www.example.com/", nil, 421},
		{"an address as the host", "/", []string{"--header", "Host: 192.0.2.1"}, 421},
		{"a path in the API that is not there", "/api/v1/nothing", nil, 404},
		{"a post that is not there", "/api/v1/posts/999999999", nil, 404},
		{"a method that posts do not allow", "/api/v1/posts", []string{"--request", "DELETE"}, 405},
		{"an absurd limit", "/api/v1/posts?limit=1000000", nil, 400},
		{"a limit that is not a number", "/api/v1/posts?limit=ten", nil, 400},
		{"a negative position", "/api/v1/posts?before=-1", nil, 400},
		{"a number beyond 64 bits", "/api/v1/posts?before=99999999999999999999", nil, 400},
		{"a body over the limit, to the API", "/api/v1/posts", []string{"--data-binary", "@" + huge}, 413},
		{"the API at a host that is not ours", "http://www.example.com/api/v1/posts", nil, 421},
		{"a URL that is far too long", "/api/v1/posts?before=" + strings.Repeat("1", 40_000), nil, 414},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := curl(t, test.url, test.args...)
			if got.status != test.status {
				t.Fatalf("status %d, want %d: %s", got.status, test.status, got.body)
			}
			id := got.header.Get("X-Request-ID")
			if id == "" {
				t.Errorf("no request id in %v", got.header)
			}
			if test.status == http.StatusMethodNotAllowed && got.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if !strings.Contains(test.url, "/api/") {
				if kind := got.header.Get("Content-Type"); kind != "text/html; charset=utf-8" || !strings.Contains(got.body, "<h1") {
					t.Errorf("not a page for people: %s: %s", kind, got.body)
				}
				return
			}
			var problem struct {
				Title     string
				Status    int
				Detail    string
				RequestID string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(got.body), &problem); err != nil {
				t.Fatalf("%v: %s", err, got.body)
			}
			if kind := got.header.Get("Content-Type"); kind != "application/problem+json" || problem.Status != test.status || problem.Title == "" || problem.Detail == "" {
				t.Errorf("not the problem details of a %d: %s: %s", test.status, kind, got.body)
			}
			if problem.RequestID != id {
				t.Errorf("the body names request %q, the header %q", problem.RequestID, id)
			}
		})
	}
}

func TestTheBareDomainLeadsToWww(t *testing.T) {
	t.Parallel()
	got := curl(t, "http://foobar.com/some/page?x=1")
	if want := "http://www.foobar.com:" + site.httpPort + "/some/page?x=1"; got.status != http.StatusPermanentRedirect || got.header.Get("Location") != want {
		t.Errorf("status %d, Location %q; want 308 to %q", got.status, got.header.Get("Location"), want)
	}
}

func TestResponsesCarrySecurityHeaders(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/nothing", "/api/v1/posts", "/api/v1/nothing"} {
		header := curl(t, path).header
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src", "Referrer-Policy": ""} {
			if got := header.Values(name); len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if server := header.Get("Server"); server != "nginx" {
			t.Errorf("%s: Server is %q; versions are nobody's business", path, server)
		}
	}
}

// One id links the visitor's response to the log lines of Nginx and of the application; visitors cannot choose it.
func TestOneRequestIDJoinsTheLogs(t *testing.T) {
	t.Parallel()
	got := curl(t, "/api/v1/session", "--header", "X-Request-ID: chosen-outside", "--header", "X-Forwarded-For: 192.0.2.7")
	id := got.header.Get("X-Request-ID")
	if len(id) != 32 {
		t.Fatalf("X-Request-ID is %q", id)
	}
	newScenario(t, site).Then(5*time.Second, logsRequest("web", id, site.subnet+".1"), logsRequest("app", id, site.subnet+".1"))
}

// A password field hides what is typed, and tells a password manager which password it wants (ASVS 5.0, 6.2.6 and 6.2.7).
// None of our code inspects what is pasted or limits its length.
func TestPasswordFieldsAreForPasswordManagers(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	attributes := regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
	fields := 0
	for _, page := range []string{"/sign-up", "/sign-in", "/account"} {
		for _, input := range regexp.MustCompile(`(?s)<input[^>]*>`).FindAllString(v.ask("GET", page, nil).body, -1) {
			got := map[string]string{}
			for _, one := range attributes.FindAllStringSubmatch(input, -1) {
				got[one[1]] = one[2]
			}
			if !strings.Contains(got["autocomplete"], "password") && !strings.Contains(got["id"]+got["name"], "password") {
				continue
			}
			fields++
			if got["type"] != "password" || got["autocomplete"] != "current-password" && got["autocomplete"] != "new-password" || got["maxlength"] != "" || got["pattern"] != "" {
				t.Errorf("%s: %s", page, input)
			}
		}
	}
	if fields != 5 {
		t.Errorf("found %d password fields, want 5", fields)
	}
	if script := v.ask("GET", "/site.js", nil).body; regexp.MustCompile(`paste|beforeinput|keydown`).MatchString(script) {
		t.Error("the script meddles with what is typed")
	}
}

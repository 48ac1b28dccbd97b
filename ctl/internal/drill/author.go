package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/load"
	"oneserver/ctl/internal/wait"
)

// author is the account that a drill writes with. It is made for one run and removed with all that it wrote.
type author struct {
	stack    *Stack
	email    string
	password string
	cookie   string // the session, as the Cookie header says it
}

// signUp makes an account and signs it in.
func (s *Stack) signUp(ctx context.Context) (*author, error) {
	name := strings.ToLower(rand.Text()[:10])
	a := &author{stack: s, email: name + "@drill.invalid", password: rand.Text()}
	account := map[string]string{"email": a.email, "name": "Drill", "password": a.password}
	if _, err := s.ask(ctx, http.MethodPost, "/api/v1/accounts", "", account); err != nil {
		return nil, fmt.Errorf("make an account for the drill: %w", err)
	}
	if _, err := s.sql(ctx, "UPDATE users SET unbounded = 1 WHERE email = '"+a.email+"'"); err != nil { // it writes more than a person may
		return nil, fmt.Errorf("free the drill's account of its quotas: %w", err)
	}
	credentials := map[string]string{"email": a.email, "password": a.password}
	header, err := s.ask(ctx, http.MethodPut, "/api/v1/session", "", credentials)
	if err != nil {
		return nil, fmt.Errorf("sign the drill in: %w", err)
	}
	cookies := (&http.Response{Header: header}).Cookies()
	if len(cookies) == 0 {
		return nil, errors.New("sign the drill in: the answer sets no cookie")
	}
	a.cookie = cookies[0].Name + "=" + cookies[0].Value // the session's comes first
	return a, nil
}

// remove deletes the account, and with it its posts.
func (a *author) remove(ctx context.Context) error {
	_, err := a.stack.ask(ctx, http.MethodPost, "/api/v1/account/deletion", a.cookie, map[string]string{"password": a.password})
	return err
}

// write makes the request for a post whose title is the token; the load adds it as the Idempotency-Key.
func (a *author) write(token string) load.Request {
	body, err := json.Marshal(map[string]string{"title": token, "body": "Written by a drill, and removed at its end."})
	if err != nil {
		panic(err) // a map of strings
	}
	return load.Request{
		Name:   "POST /api/v1/posts",
		Method: http.MethodPost,
		Path:   "/api/v1/posts",
		Header: http.Header{"Content-Type": {"application/json"}, "Cookie": {a.cookie}},
		Body:   body,
	}
}

// stored looks the posts of a run up in the database: how many there are of each token.
func (s *Stack) stored(ctx context.Context, tokenPrefix string) (check.Stored, error) {
	rows, err := s.sql(ctx, "SELECT title FROM posts WHERE title LIKE '"+tokenPrefix+"%'")
	if err != nil {
		return nil, fmt.Errorf("look the writes up: %w", err)
	}
	found := check.Stored{}
	for _, row := range rows {
		found[row[0]]++
	}
	return found, nil
}

// patience is how long a request of the drill's own is tried again while the site says that it is away.
const patience = 30 * time.Second

// direct sends to the one address that a drill knows: no proxy, and no redirect is followed.
var direct = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second, // the site itself gives up after 15
}

// ask sends a request of the drill's own, and again while the site is away, and returns the answer's header. An answer
// that is no success is an error.
func (s *Stack) ask(ctx context.Context, method, path, cookie string, content any) (http.Header, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	var header http.Header
	key := rand.Text()
	err = wait.Until(ctx, patience, 500*time.Millisecond, func(ctx context.Context) (err error) {
		var status int
		header, status, err = s.askOnce(ctx, method, path, cookie, key, body)
		if status > 0 && status < 500 && status != http.StatusTooManyRequests {
			err = wait.Final(err)
		}
		return err
	})
	return header, err
}

func (s *Stack) askOnce(ctx context.Context, method, path, cookie, key string, body []byte) (header http.Header, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.http.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Host = "www." + s.domain
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	if cookie != "" {
		request.Header.Set("Cookie", cookie)
	}
	response, err := direct.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, 0, err
	}
	if response.StatusCode/100 != 2 {
		return nil, response.StatusCode, fmt.Errorf("%s %s answers %s: %s", method, path, response.Status, bytes.TrimSpace(text))
	}
	return response.Header, response.StatusCode, nil
}

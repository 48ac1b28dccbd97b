package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/load"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/wait"
)

// author is the account that a drill writes with. It is created for one run, and then removed with everything that it wrote.
type author struct {
	stack   *Stack
	account site.Account
	cookie  string // the session, as in the Cookie header
}

// signUp creates an account and signs it in.
func (s *Stack) signUp(ctx context.Context) (*author, error) {
	a := &author{stack: s, account: site.NewAccount(strings.ToLower(rand.Text()[:10]), rand.Text())}
	if a.account.SignUp.Method == "" {
		return a, nil // anybody may write
	}
	if _, err := s.ask(ctx, a.account.SignUp, ""); err != nil {
		return nil, fmt.Errorf("make an account for the drill: %w", err)
	}
	if _, err := s.sql(ctx, a.account.Free); err != nil {
		return nil, fmt.Errorf("free the drill's account of its quotas: %w", err)
	}
	header, err := s.ask(ctx, a.account.SignIn, "")
	if err != nil {
		return nil, fmt.Errorf("sign the drill in: %w", err)
	}
	cookies := (&http.Response{Header: header}).Cookies()
	if len(cookies) == 0 {
		return nil, errors.New("sign the drill in: the answer sets no cookie")
	}
	a.cookie = cookies[0].Name + "=" + cookies[0].Value // the session's cookie comes first
	return a, nil
}

// remove deletes the account and everything that it wrote.
func (a *author) remove(ctx context.Context) error {
	if a.account.Remove.Method != "" {
		if _, err := a.stack.ask(ctx, a.account.Remove, a.cookie); err != nil {
			return err
		}
	}
	if a.account.Erase == "" {
		return nil
	}
	_, err := a.stack.sql(ctx, a.account.Erase)
	return err
}

// write returns the request that writes a token; the load sends the token as the Idempotency-Key too.
func (a *author) write(token string) load.Request { return a.asks(site.Write(token)) }

// asks turns a request of the site into one that a visitor sends.
func (a *author) asks(r site.Request) load.Request {
	header := http.Header{}
	if r.Body != "" {
		header.Set("Content-Type", "application/json")
	}
	if r.SignedIn {
		header.Set("Cookie", a.cookie)
	}
	return load.Request{Name: r.Name, Method: r.Method, Path: r.Path, Header: header, Body: []byte(r.Body)}
}

// stored returns how many rows the database has for each token of a run.
func (s *Stack) stored(ctx context.Context, tokenPrefix string) (check.Stored, error) {
	rows, err := s.sql(ctx, site.Written(tokenPrefix))
	if err != nil {
		return nil, fmt.Errorf("look the writes up: %w", err)
	}
	found := check.Stored{}
	for _, row := range rows {
		found[row[0]]++
	}
	return found, nil
}

// patience is how long the drill retries its own requests while the site reports that it is down.
const patience = 30 * time.Second

// direct returns a client that sends only to the address it is given: it uses no proxy and follows no redirect.
func (s *Stack) direct() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ServerName: s.host(), RootCAs: s.trusted}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second, // the site itself gives up after 15
	}
}

// ask sends one of the drill's own requests, repeats it while the site is down, and returns the answer's header. An answer
// other than success is an error.
func (s *Stack) ask(ctx context.Context, r site.Request, cookie string) (http.Header, error) {
	var header http.Header
	key := rand.Text()
	err := wait.Until(ctx, patience, 500*time.Millisecond, func(ctx context.Context) (err error) {
		var status int
		header, status, err = s.askOnce(ctx, r, cookie, key)
		if status > 0 && status < 500 && status != http.StatusTooManyRequests {
			err = wait.Final(err)
		}
		return err
	})
	return header, err
}

func (s *Stack) askOnce(ctx context.Context, r site.Request, cookie, key string) (header http.Header, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, "https://"+s.https.String()+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return nil, 0, err
	}
	request.Host = s.host()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	if cookie != "" {
		request.Header.Set("Cookie", cookie)
	}
	response, err := s.direct().Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, 0, err
	}
	if response.StatusCode/100 != 2 {
		return nil, response.StatusCode, fmt.Errorf("%s answers %s: %s", r, response.Status, bytes.TrimSpace(text))
	}
	return response.Header, response.StatusCode, nil
}

package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"oneserver/app/auth"
)

// cookieOf returns the session's cookie that an answer sets, nil if it sets none.
func cookieOf(response *http.Response) *http.Cookie {
	for _, c := range response.Cookies() {
		if c.Name == "session" || c.Name == "__Host-session" {
			return c
		}
	}
	return nil
}

func cleared(response *http.Response) bool {
	c := cookieOf(response)
	return c != nil && c.Value == "" && c.MaxAge < 0 && c.Path == "/"
}

func TestTheCookieOfASignIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, peer, want string
		secure           bool
	}{
		{"over HTTP", proxy, "session", false},
		{"over HTTPS", proxy, "__Host-session", true},
		{"over what a stranger calls HTTPS", "203.0.113.9", "session", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(0)
			f.join("Ada")
			s, lines := newServer(t, f, nil)
			how := func(r *http.Request) {
				r.RemoteAddr = test.peer + ":50000"
				if test.name != "over HTTP" {
					r.Header.Set("X-Forwarded-Proto", "https")
				}
			}
			response := ask(s, "PUT", "/api/v1/session", sending(credentials), how)
			text := body(t, response)
			c := cookieOf(response)
			if response.StatusCode != 200 || c == nil {
				t.Fatalf("got %d %s", response.StatusCode, text)
			}
			if c.Name != test.want || c.Secure != test.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" ||
				c.Domain != "" || c.MaxAge != 30*24*60*60 || len(c.Value) != 43 {
				t.Errorf("the cookie is %s", c.Raw)
			}
			if response.Header.Get("Cache-Control") != "private, no-store" {
				t.Errorf("Cache-Control is %q", response.Header.Get("Cache-Control"))
			}
			if log := lines.String(); strings.Contains(log, c.Value) || strings.Contains(log, "horse") || strings.Contains(log, "ada@") || strings.Contains(text, c.Value) {
				t.Errorf("a secret is shown: %s\n%s", log, text)
			}
			if _, kept := f.sessions[mustHash(t, c.Value)]; !kept || len(f.sessions) != 2 {
				t.Errorf("kept %d sessions, and not by the hash of the token", len(f.sessions))
			}

			here := ask(s, "GET", "/api/v1/session", how, with("Cookie", c.Name+"="+c.Value))
			if text := body(t, here); !strings.Contains(text, `{"signed_in":true,"user":{"id":1,"name":"Ada","email":"ada@example.com"`) {
				t.Errorf("then: %s", text)
			}
		})
	}
}

func mustHash(t *testing.T, token string) [32]byte {
	t.Helper()
	hash, valid := auth.TokenHash(token)
	if !valid {
		t.Fatalf("%q is no token", token)
	}
	return hash
}

func TestASignInReplacesTheSessionOfItsBrowser(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	hers := f.join("Ada")
	s, _ := newServer(t, f, nil)
	response := ask(s, "PUT", "/api/v1/session", hers, sending(credentials))
	if c := cookieOf(response); c == nil || len(f.sessions) != 1 {
		t.Fatalf("there are %d sessions, want the new one alone", len(f.sessions))
	}
	if old := ask(s, "GET", "/api/v1/session", hers); body(t, old) != "{\"signed_in\":false}\n" || !cleared(old) {
		t.Error("the old token still works, or its cookie is not cleared")
	}
}

func TestNothingTellsWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	f.join("Ada")
	s, _ := newServer(t, f, nil)
	same := func(what string, known, unknown *http.Response) {
		t.Helper()
		if known.StatusCode != unknown.StatusCode {
			t.Errorf("%s: %d for who has an account, %d for who has none", what, known.StatusCode, unknown.StatusCode)
		}
		hide := func(r *http.Response) string {
			text := body(t, r)
			return strings.ReplaceAll(text, r.Header.Get("X-Request-ID"), "")
		}
		if a, b := hide(known), hide(unknown); a != b {
			t.Errorf("%s: %s for who has an account, %s for who has none", what, a, b)
		}
		for _, name := range []string{"X-Request-Id", "Server-Timing"} {
			known.Header.Del(name)
			unknown.Header.Del(name)
		}
		for name := range known.Header {
			if known.Header.Get(name) != unknown.Header.Get(name) {
				t.Errorf("%s: %s differs", what, name)
			}
		}
		if len(known.Header) != len(unknown.Header) {
			t.Errorf("%s: %v and %v", what, known.Header, unknown.Header)
		}
	}
	signIn := func(email string) (*http.Response, time.Duration) {
		began := time.Now()
		r := ask(s, "PUT", "/api/v1/session", sending(`{"email":"`+email+`","password":"something else"}`))
		return r, time.Since(began)
	}
	var known, unknown time.Duration
	for range 3 {
		a, took := signIn("ada@example.com")
		known += took
		b, took := signIn("bob@example.com")
		unknown += took
		same("a sign-in", a, b)
	}
	if unknown < known/4 { // a hash takes tens of milliseconds, everything else together less than one
		t.Errorf("a sign-in takes %s where there is an account and %s where there is none", known, unknown)
	}
	for i := range 5 { // as many as there may be; then both are throttled
		a, _ := signIn("ada@example.com")
		b, _ := signIn("bob@example.com")
		same("a throttled sign-in", a, b)
		if want := 401; i < 2 && a.StatusCode != want || i >= 2 && a.StatusCode != 429 {
			t.Errorf("sign-in %d is %d", i+4, a.StatusCode)
		}
	}
	signUp := func(email, key string) *http.Response {
		return ask(s, "POST", "/api/v1/accounts", keyed(key), sending(`{"email":"`+email+`","name":"X","password":"something else"}`))
	}
	same("a sign-up", signUp("ADA@example.com", "0123456789abcde1"), signUp("bob@example.com", "0123456789abcde2"))
	if right := ask(s, "PUT", "/api/v1/session", sending(`{"email":"bob@example.com","password":"something else"}`)); right.StatusCode != 429 {
		t.Errorf("the count was forgotten: %d", right.StatusCode)
	}
}

func TestAttemptsAreCountedByAccountAndByNetwork(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	hers := f.join("Ada")
	f.join("Bob")
	s, _ := newServer(t, f, nil)
	from := func(address string) change { return set("X-Forwarded-For", address) }
	signIn := func(email, password, address string) int {
		r := ask(s, "PUT", "/api/v1/session", from(address), sending(`{"email":"`+email+`","password":"`+password+`"}`))
		return r.StatusCode
	}
	for i, email := range []string{"ada@example.com", "ADA@example.com", "Ada@Example.com", "ada@EXAMPLE.com", "adA@example.com"} {
		if got := signIn(email, "wrong", "203.0.113.9"); got != 401 {
			t.Errorf("attempt %d: %d", i, got)
		}
	}
	if got := signIn("ada@example.com", password, "198.51.100.7"); got != 429 {
		t.Errorf("the sixth attempt on an account, from elsewhere, is %d: want 429, though the password is right", got)
	}
	if got := signIn("bob@example.com", password, "203.0.113.9"); got != 200 {
		t.Errorf("another account is %d", got)
	}
	if got := ask(s, "PUT", "/api/v1/account/password", hers, sending(newPassword)); got.StatusCode != 204 {
		t.Errorf("who is signed in is kept from changing the password by another's attempts: %d", got.StatusCode)
	}

	for bucket := range f.taken {
		if strings.Contains(bucket, "2001:db8") {
			t.Errorf("there is %s before anything came from there", bucket)
		}
	}
	signIn("bob@example.com", "wrong", "2001:db8:1:2:3:4:5:6")
	signIn("bob@example.com", "wrong", "2001:db8:1:2:ffff::1")
	signIn("bob@example.com", "wrong", "::ffff:203.0.113.9")
	if n := f.taken["sign-in network 2001:db8:1:2::/64"]; n != 2 {
		t.Errorf("two addresses of one household count %d times; buckets are %v", n, f.taken)
	}
	if n := f.taken["sign-in network 203.0.113.9"]; n != 7 {
		t.Errorf("attempts from 203.0.113.9 count %d times, want 7; buckets are %v", n, f.taken)
	}
}

func TestAStrangerCostsTheDatabaseNothing(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	hers := f.join("Ada")
	s, _ := newServer(t, f, nil)
	token := auth.NewToken()
	for _, test := range []struct {
		name    string
		change  change
		asked   int
		cleared bool
	}{
		{"no cookie", func(*http.Request) {}, 0, false},
		{"another cookie", with("Cookie", "theme=dark"), 0, false},
		{"the cookie of HTTPS", with("Cookie", "__Host-session="+token), 0, false},
		{"an empty cookie", with("Cookie", "session="), 0, true},
		{"a malformed cookie", with("Cookie", "session=abc"), 0, true},
		{"a token in quotes, which are not part of it", with("Cookie", `session="`+token+`"`), 1, true},
		{"two cookies", with("Cookie", "session="+token+"; session="+token), 0, true},
		{"two headers of cookies", func(r *http.Request) { hers(r); hers(r) }, 0, true},
		{"a token that leads nowhere", with("Cookie", "session="+token), 1, true},
		{"a token among other cookies", func(r *http.Request) { r.Header.Set("Cookie", "a=b; session="+token+"; c=\"d\"") }, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.asked = 0
			response := ask(s, "GET", "/api/v1/session", test.change)
			if text := body(t, response); response.StatusCode != 200 || text != "{\"signed_in\":false}\n" {
				t.Errorf("got %d %s", response.StatusCode, text)
			}
			if f.asked != test.asked || cleared(response) != test.cleared {
				t.Errorf("asked the store %d times, want %d; Set-Cookie is %q, cleared should be %t", f.asked, test.asked, response.Header["Set-Cookie"], test.cleared)
			}
			refused := ask(s, "DELETE", "/api/v1/posts/1", test.change)
			if refused.StatusCode != 401 || !strings.HasPrefix(refused.Header.Get("WWW-Authenticate"), "Cookie ") {
				t.Errorf("to delete a post is %d", refused.StatusCode)
			}
		})
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	hers := f.join("Ada")
	s, _ := newServer(t, f, nil)
	for range 2 { // the second time there is nothing to end
		if response := ask(s, "DELETE", "/api/v1/session", hers); response.StatusCode != 204 || !cleared(response) || len(f.sessions) != 0 {
			t.Errorf("got %d, %d sessions, Set-Cookie %q", response.StatusCode, len(f.sessions), response.Header["Set-Cookie"])
		}
	}
}

func TestANewPasswordEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	here := f.join("Ada")
	c := cookieOf(func() *http.Response {
		s, _ := newServer(t, f, nil)
		return ask(s, "PUT", "/api/v1/session", sending(credentials))
	}())
	there := with("Cookie", "session="+c.Value)
	s, _ := newServer(t, f, nil)
	if r := ask(s, "PUT", "/api/v1/account/password", here, sending(newPassword)); r.StatusCode != 204 {
		t.Fatalf("got %d %s", r.StatusCode, body(t, r))
	}
	if a, b := body(t, ask(s, "GET", "/api/v1/session", here)), body(t, ask(s, "GET", "/api/v1/session", there)); !strings.Contains(a, "true") || !strings.Contains(b, "false") {
		t.Errorf("here: %s there: %s", a, b)
	}
	if r := ask(s, "PUT", "/api/v1/session", sending(credentials)); r.StatusCode != 401 {
		t.Errorf("the old password is %d", r.StatusCode)
	}
	if r := ask(s, "POST", "/api/v1/account/deletion", here, sending(`{"password":"another horse battery"}`)); r.StatusCode != 204 || !cleared(r) || len(f.sessions) != 0 {
		t.Errorf("deletion with the new password is %d, %q", r.StatusCode, r.Header["Set-Cookie"])
	}
}

func TestTheSameKeyIsTheSameRequest(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	hers, his := f.join("Ada"), f.join("Bob")
	s, _ := newServer(t, f, nil)
	write := func(who change, key, text string) (int, string, string) {
		r := ask(s, "POST", "/api/v1/posts", who, keyed(key), sending(text))
		return r.StatusCode, r.Header.Get("Location"), body(t, r)
	}
	status, location, text := write(hers, aKey, aDraft)
	if status != 201 || location != "/api/v1/posts/1" || !strings.Contains(text, `"author":{"id":1,"name":"Ada"}`) {
		t.Fatalf("got %d %s %s", status, location, text)
	}
	for name, same := range map[string]string{"the same": aDraft, "in another order": `{"body":"One paragraph.\n\nAnother.", "title":" A title"}`} {
		if s, l, b := write(hers, `"`+aKey+`"`, same); s != status || l != location || b != text {
			t.Errorf("%s: got %d %s %s", name, s, l, b)
		}
	}
	if s, _, b := write(hers, aKey, `{"title":"A title","body":"Another body."}`); s != 422 {
		t.Errorf("another request with this key: %d %s", s, b)
	}
	if s, l, _ := write(his, aKey, aDraft); s != 201 || l != "/api/v1/posts/2" {
		t.Errorf("somebody else's request with this key: %d %s", s, l)
	}
	if r := ask(s, "POST", "/api/v1/accounts", keyed(aKey), sending(anAccount)); r.StatusCode != 201 {
		t.Errorf("a stranger's request with this key: %d %s", r.StatusCode, body(t, r))
	}
	if len(f.posts) != 2 {
		t.Errorf("%d posts, want 2", len(f.posts))
	}
}

func TestWhatIsKeptOfARequestDependsOnItsKey(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	s, _ := newServer(t, f, nil)
	for _, key := range []string{"0123456789abcde1", "0123456789abcde2"} {
		ask(s, "POST", "/api/v1/accounts", keyed(key), sending(anAccount))
	}
	seen := map[[32]byte]bool{}
	for key, d := range f.done {
		seen[key], seen[d.request] = true, true
	}
	if len(seen) != 4 {
		t.Errorf("two sign-ups alike leave %d different digests, want 4: the digest of a password could be looked up", len(seen))
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change change
		status int
	}{
		{"no browser", func(*http.Request) {}, 204},
		{"the site's own page", set("Sec-Fetch-Site", "same-origin"), 204},
		{"typed", set("Sec-Fetch-Site", "none"), 204},
		{"another site", set("Sec-Fetch-Site", "cross-site"), 403},
		{"a sibling domain", set("Sec-Fetch-Site", "same-site"), 403},
		{"an old browser on the site's page", set("Origin", "http://www.foobar.com:8080"), 204},
		{"an old browser on another site", set("Origin", "http://evil.example"), 403},
		{"an old browser on another port", set("Origin", "http://www.foobar.com"), 403},
		{"a sandbox", set("Origin", "null"), 403},
		{"another host told on the way", func(r *http.Request) {
			r.Header.Set("Origin", "http://evil.example")
			r.Header.Set("X-Forwarded-Host", "evil.example")
		}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(0)
			hers := f.join("Ada")
			s, _ := newServer(t, f, nil)
			host := func(r *http.Request) { r.Host = "www.foobar.com:8080" } // as Nginx passes it on
			response := ask(s, "DELETE", "/api/v1/session", hers, host, test.change)
			if text := body(t, response); response.StatusCode != test.status || test.status == 403 && !strings.Contains(text, `"status":403`) {
				t.Errorf("got %d %s, want %d", response.StatusCode, text, test.status)
			}
			if read := ask(s, "GET", "/api/v1/session", host, test.change); read.StatusCode != 200 {
				t.Errorf("reading is %d", read.StatusCode)
			}
		})
	}
}

func TestWhatDependsOnTheVisitorIsKeptByNobody(t *testing.T) {
	t.Parallel()
	f := newFake(1)
	hers := f.join("Ada")
	s, _ := newServer(t, f, nil)
	for _, test := range []struct {
		target string
		change change
		want   string
	}{
		{"/api/v1/posts", func(*http.Request) {}, keepForASecond},
		{"/api/v1/posts/1", func(*http.Request) {}, keepForASecond},
		{"/api/v1/posts", hers, "private, no-store"},
		{"/api/v1/posts", with("Cookie", "session="), "private, no-store"},
		{"/api/v1/posts/99", func(*http.Request) {}, "no-store"},
		{"/api/v1/session", hers, "private, no-store"},
	} {
		if got := ask(s, "GET", test.target, test.change).Header.Get("Cache-Control"); got != test.want {
			t.Errorf("%s: Cache-Control is %q, want %q", test.target, got, test.want)
		}
	}
}

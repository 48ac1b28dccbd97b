package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"oneserver/app"
	"oneserver/app/auth"
)

// cookieOf returns the session cookie that an answer sets, or nil if it sets none.
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

func TestASignInDoesNotTellWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	f.join("Ada")
	hash, err := passwords().Hash(t.Context(), password) // at its full cost
	if err != nil {
		t.Fatal(err)
	}
	f.users[0].PasswordHash = hash
	s, _ := newServer(t, f, nil)
	same := func(what string, known, unknown *http.Response) {
		t.Helper()
		if known.StatusCode != unknown.StatusCode {
			t.Errorf("%s: %d for somebody with an account, %d for somebody without", what, known.StatusCode, unknown.StatusCode)
		}
		hide := func(r *http.Response) string {
			text := body(t, r)
			return strings.ReplaceAll(text, r.Header.Get("X-Request-ID"), "")
		}
		if a, b := hide(known), hide(unknown); a != b {
			t.Errorf("%s: %s for somebody with an account, %s for somebody without", what, a, b)
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
	for i := range 5 { // up to the limit; then both are throttled
		a, _ := signIn("ada@example.com")
		b, _ := signIn("bob@example.com")
		same("a throttled sign-in", a, b)
		if want := 401; i < 2 && a.StatusCode != want || i >= 2 && a.StatusCode != 429 {
			t.Errorf("sign-in %d is %d", i+4, a.StatusCode)
		}
	}
	if right := ask(s, "PUT", "/api/v1/session", sending(credentials)); right.StatusCode != 429 {
		t.Errorf("the right password is %d after too many wrong ones", right.StatusCode)
	}
}

func TestASignUpSaysThatAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	f.join("Ada")
	s, _ := newServer(t, f, nil)
	for range 2 { // with the same key, which the refusal did not use up
		r := ask(s, "POST", "/api/v1/accounts", keyed(aKey), sending(`{"email":"ADA@example.com","name":"X","password":"something else"}`))
		if text := body(t, r); r.StatusCode != 409 || !strings.Contains(text, `"errors":[{"field":"email","detail":"has an account already"}]`) {
			t.Errorf("got %d %s", r.StatusCode, text)
		}
	}
	if len(f.users) != 1 || f.users[0].PasswordHash != hashed() {
		t.Errorf("the account is %+v", f.users)
	}
}

// cameFrom sets the client address that the proxy reports.
func cameFrom(address string) change { return set("X-Forwarded-For", address) }

// browser is a client that can sign in and out, and keeps its cookies.
type browser struct {
	*testing.T
	server  *Server
	address string
	cookies map[string]string
}

func newBrowser(t *testing.T, s *Server, address string) *browser {
	return &browser{t, s, address, map[string]string{}}
}

func (b *browser) ask(method, target string, changes ...change) *http.Response {
	changes = append(changes, cameFrom(b.address))
	for name, value := range b.cookies {
		changes = append(changes, with("Cookie", name+"="+value))
	}
	r := ask(b.server, method, target, changes...)
	for _, c := range r.Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return r
}

func (b *browser) signIn(email, password string) int {
	return b.ask("PUT", "/api/v1/session", sending(`{"email":"`+email+`","password":"`+password+`"}`)).StatusCode
}

// A stranger guesses an account's password five times a second, while the owner signs in every five seconds. From a
// network where nobody guesses, the owner must get in each time. With a known browser, the owner must get in from
// anywhere: even from the stranger's network, even if addresses are hidden, and even after strangers in many networks
// have filled the account's overall bucket.
func TestNobodyLocksAnotherOut(t *testing.T) {
	t.Parallel()
	const email, hidden = "ada@example.com", "192.0.2.1"
	for _, test := range []struct {
		name      string
		strangers []string // where the guesses come from, in turn
		owner     string
		known     bool // whether the owner's browser is known
		in        bool
	}{
		{"from a network of one's own", []string{"203.0.113.9"}, "198.51.100.7", false, true},
		{"from a network of one's own, IPv6", []string{"2001:db8:1:2::1", "2001:db8:1:2:ffff::1"}, "2001:db8:1:3::1", false, true},
		{"two strangers", []string{"203.0.113.9", "203.0.113.10"}, "198.51.100.7", false, true},
		{"in the stranger's network", []string{"203.0.113.9"}, "203.0.113.9", true, true},
		{"where addresses are hidden", []string{hidden}, hidden, true, true},
		{"from many networks", manyAddresses(200), "198.51.100.7", true, true},
		{"from many networks, in a browser that nobody knows", manyAddresses(200), "198.51.100.7", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(0)
			f.join("Ada")
			s, _ := newServer(t, f, nil)
			owner := newBrowser(t, s, test.owner)
			if test.known {
				if owner.signIn(email, password) != 200 {
					t.Fatal("not signed in")
				}
				owner.ask("DELETE", "/api/v1/session")
				if owner.cookies["session"] != "" || owner.cookies["device"] == "" {
					t.Fatalf("after signing out the cookies are %v", owner.cookies)
				}
			}
			compared, in := 0, 0
			for i := range 26 * 25 {
				f.now += 200 * time.Millisecond
				address := test.strangers[i%len(test.strangers)]
				if newBrowser(t, s, address).signIn(email, "wrong") == 401 {
					compared++
				}
				if i%25 != 24 {
					continue
				}
				if owner.signIn(email, password) == 200 {
					in++
				}
				if !test.known {
					clear(owner.cookies)
				}
			}
			if test.in && in != 26 || !test.in && in == 26 {
				t.Errorf("the owner was let in %d of 26 times", in)
			}
			if most := min(60+130/15, len(test.strangers)*(5+130/60)); compared > most+1 {
				t.Errorf("%d guesses were compared in 130 s, want at most %d", compared, most)
			}
		})
	}
}

func manyAddresses(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("203.0.113.%d", i))
	}
	return all
}

func TestAKnownBrowserIsKnownForItsAccountsOnlyAndUntilThePasswordChanges(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	f.join("Ada")
	f.join("Bob")
	s, _ := newServer(t, f, nil)
	here, there := newBrowser(t, s, "203.0.113.9"), newBrowser(t, s, "203.0.113.9")
	for _, b := range []*browser{here, there} {
		if b.signIn("ada@example.com", password) != 200 {
			t.Fatal("not signed in")
		}
	}
	known := func(b *browser, email string) bool { // by the bucket that a wrong password is counted in
		before := f.taken["sign-in account "+email]
		b.signIn(email, "wrong")
		return f.taken["sign-in account "+email] == before
	}
	if !known(here, "ada@example.com") || !known(here, "ADA@example.com") {
		t.Error("a browser that has signed in is not known")
	}
	if known(here, "bob@example.com") || known(here, "nobody@example.com") {
		t.Error("a browser that signed in as Ada is known as somebody else's")
	}
	first := maps.Clone(here.cookies)
	if here.signIn("bob@example.com", password) != 200 || first["device"] == here.cookies["device"] {
		t.Error("a sign-in leaves the browser its old token")
	}
	if !known(here, "ada@example.com") || !known(here, "bob@example.com") {
		t.Error("a browser that two people use is not known to both")
	}
	if old := newBrowser(t, s, "203.0.113.9"); true {
		old.cookies = first
		if known(old, "ada@example.com") {
			t.Error("the old token still is known")
		}
	}
	for i := range 8 { // a stolen browser gets few guesses
		want := 401
		if i >= 5 {
			want = 429
		}
		if got := there.signIn("ada@example.com", "wrong"); got != want {
			t.Errorf("guess %d from a known browser is %d, want %d", i+1, got, want)
		}
	}
	if r := there.ask("PUT", "/api/v1/account/password", sending(newPassword)); r.StatusCode != 204 {
		t.Fatalf("got %d %s", r.StatusCode, body(t, r))
	}
	if known(here, "ada@example.com") || !known(there, "ada@example.com") || !known(here, "bob@example.com") {
		t.Error("a new password makes its own browser unknown, leaves another known, or touches another account")
	}
}

func TestTheCookieOfAKnownBrowserIsGuarded(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	f.join("Ada")
	s, lines := newServer(t, f, nil)
	for _, https := range []bool{false, true} {
		how := func(r *http.Request) {
			if https {
				r.Header.Set("X-Forwarded-Proto", "https")
			}
		}
		response := ask(s, "PUT", "/api/v1/session", sending(credentials), how)
		i := slices.IndexFunc(response.Cookies(), func(c *http.Cookie) bool {
			return c.Name == map[bool]string{false: "device", true: "__Host-device"}[https]
		})
		if i < 0 {
			t.Fatalf("Set-Cookie: %q", response.Header["Set-Cookie"])
		}
		c := response.Cookies()[i]
		if !c.HttpOnly || c.Secure != https || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 180*24*60*60 || len(c.Value) != 43 {
			t.Errorf("the cookie is %s", c.Raw)
		}
		if _, kept := f.devices[mustHash(t, c.Value)]; !kept || strings.Contains(lines.String(), c.Value) {
			t.Error("the token is not kept by its hash, or logged")
		}
		if who := body(t, ask(s, "GET", "/api/v1/session", how, with("Cookie", c.Name+"="+c.Value))); !strings.Contains(who, `"signed_in":false`) {
			t.Errorf("it signs in: %s", who)
		}
	}
}

func TestAttemptsAreCountedByAccountAndByNetwork(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	hers := f.join("Ada")
	f.join("Bob")
	s, _ := newServer(t, f, nil)
	signIn := func(email, password, address string) int {
		return newBrowser(t, s, address).signIn(email, password)
	}
	for i, email := range []string{"ada@example.com", "ADA@example.com", "Ada@Example.com", "ada@EXAMPLE.com", "adA@example.com"} {
		if got := signIn(email, "wrong", "203.0.113.9"); got != 401 {
			t.Errorf("attempt %d: %d", i, got)
		}
	}
	if got := signIn("ada@example.com", password, "203.0.113.9"); got != 429 {
		t.Errorf("the sixth attempt on an account from a network is %d: want 429, though the password is right", got)
	}
	for range 10 { // a right password does not count as a guess
		if got := signIn("ada@example.com", password, "198.51.100.7"); got != 200 {
			t.Errorf("an attempt from elsewhere is %d", got)
		}
	}
	if got := signIn("bob@example.com", password, "203.0.113.9"); got != 200 {
		t.Errorf("another account is %d", got)
	}
	if got := ask(s, "PUT", "/api/v1/account/password", hers, sending(newPassword)); got.StatusCode != 204 {
		t.Errorf("somebody who is signed in cannot change the password because of another's attempts: %d", got.StatusCode)
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

// If all visitors have the same address, a limit per address would apply to all of them together.
func TestWhereAddressesAreHiddenThereIsNoLimitForEachAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"192.0.2.1": true, "127.0.0.1": true, "::1": true, "::ffff:192.0.2.1": true, // the gateway, the health check
		"203.0.113.9": false, "10.0.0.7": false, "2001:db8::1": false, // a neighbour in a private network has a separate address
	} {
		f := newFake(0)
		f.join("Ada")
		s, _ := newServer(t, f, nil)
		newBrowser(t, s, address).signIn("ada@example.com", "wrong")
		ask(s, "POST", "/api/v1/accounts", cameFrom(address), keyed(aKey), sending(anAccount))
		hidden := true
		for bucket, n := range f.taken {
			if strings.HasPrefix(bucket, "sign-in network ") || strings.HasPrefix(bucket, "sign-up network ") {
				hidden = false
			}
			if n != 1 {
				t.Errorf("%s: %s has %d", address, bucket, n)
			}
		}
		if hidden != want || f.taken["sign-in account ada@example.com"] != 1 || f.taken["sign-in site"] != 1 || f.taken["sign-up site"] != 1 {
			t.Errorf("%s: hidden %t, want %t; buckets are %v", address, hidden, want, f.taken)
		}
	}
}

// A thief with one session must not be able to stop the owner from changing the password, because the change ends the
// thief's session.
func TestConfirmationsAreCountedByBrowser(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	thief := f.join("Ada")
	s, _ := newServer(t, f, nil)
	owner := newBrowser(t, s, "203.0.113.9")
	if owner.signIn("ada@example.com", password) != 200 {
		t.Fatal("not signed in")
	}
	for i := range 8 {
		want := 422
		if i >= 5 {
			want = 429
		}
		if r := ask(s, "POST", "/api/v1/account/deletion", thief, cameFrom("203.0.113.9"), sending(`{"password":"wrong"}`)); r.StatusCode != want {
			t.Errorf("guess %d is %d", i+1, r.StatusCode)
		}
	}
	if r := owner.ask("PUT", "/api/v1/account/password", sending(newPassword)); r.StatusCode != 204 {
		t.Errorf("the owner's change is %d", r.StatusCode)
	}
	if r := ask(s, "GET", "/api/v1/session", thief); !strings.Contains(body(t, r), "false") {
		t.Error("the thief is still signed in")
	}
}

// Each sign-in gives a browser a new token, and each new password gives it a new session. Neither must restart the
// count of attempts.
func TestWhatAnAccountMakesTheSiteHashIsBounded(t *testing.T) {
	t.Parallel()
	for name, work := range map[string]func(b *browser, old, new string) int{
		"signing in, in a browser that is known": func(b *browser, _, _ string) int { return b.signIn("ada@example.com", password) },
		"new passwords": func(b *browser, old, new string) int {
			return b.ask("PUT", "/api/v1/account/password", sending(fmt.Sprintf(`{"current":%q,"new":%q}`, old, new))).StatusCode
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(0)
			f.join("Ada")
			s, _ := newServer(t, f, nil)
			b := newBrowser(t, s, "203.0.113.9")
			if b.signIn("ada@example.com", password) != 200 {
				t.Fatal("not signed in")
			}
			current := password
			for i := range 61 {
				next := fmt.Sprintf("an engine of thought %d", i)
				got := work(b, current, next)
				if (got == 429) != (i == 60) {
					t.Fatalf("time %d is %d", i+1, got)
				}
				current = next
			}
			f.now += 10 * time.Second
			if got := work(b, "an engine of thought 59", "an engine of thought 60"); got >= 300 {
				t.Errorf("after a while it is %d", got)
			}
		})
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

func TestANewPasswordEndsEverySessionButThisOneWhichGetsANewToken(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	f.join("Ada")
	s, _ := newServer(t, f, nil)
	here, there := newBrowser(t, s, "203.0.113.9"), newBrowser(t, s, "203.0.113.9")
	for _, b := range []*browser{here, there} {
		if b.signIn("ada@example.com", password) != 200 {
			t.Fatal("not signed in")
		}
	}
	old := here.cookies["session"]
	if r := here.ask("PUT", "/api/v1/account/password", sending(newPassword)); r.StatusCode != 204 {
		t.Fatalf("got %d %s", r.StatusCode, body(t, r))
	}
	for name, test := range map[string]struct {
		response *http.Response
		want     string
	}{
		"here":               {here.ask("GET", "/api/v1/session"), "true"},
		"there":              {there.ask("GET", "/api/v1/session"), "false"},
		"with the old token": {ask(s, "GET", "/api/v1/session", with("Cookie", "session="+old)), "false"},
	} {
		if text := body(t, test.response); !strings.Contains(text, `"signed_in":`+test.want) {
			t.Errorf("%s: %s", name, text)
		}
	}
	if there.signIn("ada@example.com", password) != 401 {
		t.Error("the old password is still right")
	}
	if r := here.ask("POST", "/api/v1/account/deletion", sending(`{"password":"another horse battery"}`)); r.StatusCode != 204 || len(here.cookies) != 0 || len(f.sessions) != 0 {
		t.Errorf("deletion with the new password is %d, cookies are %v", r.StatusCode, here.cookies)
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	his := f.join("Bob")
	f.join("Ada")
	delete(f.sessions, firstOf(f.sessions, 2))
	s, _ := newServer(t, f, nil)
	here, there := newBrowser(t, s, "203.0.113.9"), newBrowser(t, s, "198.51.100.7")
	for b, agent := range map[*browser]string{here: "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", there: "<script>alert(1)</script>"} {
		if r := b.ask("PUT", "/api/v1/session", sending(credentials), set("User-Agent", agent)); r.StatusCode != 200 {
			t.Fatal("not signed in")
		}
	}
	list := func(b *browser) (all []openSession) {
		var got openSessions
		text := body(t, b.ask("GET", "/api/v1/sessions"))
		if err := json.Unmarshal([]byte(text), &got); err != nil || strings.Contains(text, b.cookies["session"]) {
			t.Fatalf("%v: %s", err, text)
		}
		return got.Sessions
	}
	all := list(here)
	if len(all) != 2 {
		t.Fatalf("the list is %+v", all)
	}
	for _, one := range all {
		if want := map[bool]string{true: "Firefox on Linux", false: ""}[one.Current]; one.Browser != want || one.CreatedAt == "" || one.UsedAt == "" {
			t.Errorf("%+v, want %q", one, want)
		}
	}
	other := all[0]
	if other.Current {
		other = all[1]
	}
	if r := ask(s, "DELETE", "/api/v1/sessions/"+other.ID, his); r.StatusCode != 404 || len(f.sessions) != 3 {
		t.Errorf("somebody else ends it: %d", r.StatusCode)
	}
	for _, id := range []string{"x", "0", strings.Repeat("0", 32), strings.ToUpper(other.ID) + "X", other.ID[:31]} {
		if r := here.ask("DELETE", "/api/v1/sessions/"+id); r.StatusCode != 404 {
			t.Errorf("%s is %d", id, r.StatusCode)
		}
	}
	if r := here.ask("DELETE", "/api/v1/sessions/"+other.ID); r.StatusCode != 204 || here.cookies["session"] == "" {
		t.Errorf("got %d, cookies %v", r.StatusCode, here.cookies)
	}
	if text := body(t, there.ask("GET", "/api/v1/session")); !strings.Contains(text, "false") {
		t.Errorf("the other browser is %s", text)
	}
	if left := list(here); len(left) != 1 || !left[0].Current {
		t.Fatalf("left are %+v", left)
	}
	if r := here.ask("DELETE", "/api/v1/sessions/"+list(here)[0].ID); r.StatusCode != 204 || here.cookies["session"] != "" {
		t.Errorf("to end one's own is %d, cookies %v", r.StatusCode, here.cookies)
	}
}

func firstOf(sessions map[app.Digest]uint64, user uint64) app.Digest {
	for token, id := range sessions {
		if id == user {
			return token
		}
	}
	return app.Digest{}
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

// A digest of a password that is quick to compute would defeat the slow hash. Anyone who reads the database could try
// passwords against the digest. If the key is known or can be guessed, so could anyone who repeats the request with
// other passwords and compares the answers.
func TestWhatIsKeptOfARequestHelpsNobodyGuessAPassword(t *testing.T) {
	t.Parallel()
	kept := func(key, email, password string) (app.Digest, app.Digest) {
		f := newFake(0)
		s, _ := newServer(t, f, nil)
		if r := ask(s, "POST", "/api/v1/accounts", keyed(key), sending(`{"email":"`+email+`","name":"New","password":"`+password+`"}`)); r.StatusCode != 201 {
			t.Fatalf("got %d %s", r.StatusCode, body(t, r))
		}
		for key, d := range f.done {
			return key, d.request
		}
		t.Fatal("nothing is kept")
		return app.Digest{}, app.Digest{}
	}
	key, request := kept(aKey, "new@example.com", password)
	if k, r := kept(aKey, "NEW@example.com", "something else"); k != key || r != request {
		t.Error("what is kept depends on the password")
	}
	if k, r := kept(aKey+"1", "new@example.com", password); k == key || r == request {
		t.Error("what is kept does not depend on the key")
	}
	if k, _ := kept(aKey, "other@example.com", password); k == key {
		t.Error("a stranger who has the same key is in the way")
	}

	f := newFake(0)
	s, _ := newServer(t, f, nil)
	for _, p := range []string{password, "something else"} { // the answer reveals no more
		if r := ask(s, "POST", "/api/v1/accounts", keyed(aKey), sending(`{"email":"new@example.com","name":"New","password":"`+p+`"}`)); r.StatusCode != 201 {
			t.Errorf("got %d %s", r.StatusCode, body(t, r))
		}
	}
	if r := ask(s, "PUT", "/api/v1/session", sending(`{"email":"new@example.com","password":"something else"}`)); r.StatusCode != 401 {
		t.Errorf("the second sign-up changed the password: %d", r.StatusCode)
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

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every request that another site makes a browser send is refused and has no effect.
func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	kept := v.write("Kept")
	path := fmt.Sprintf("/api/v1/posts/%d", kept.ID)
	requests := []struct {
		method, path string
		body         any
	}{
		{"POST", "/api/v1/posts", object{"title": "From elsewhere", "body": v.word}},
		{"PUT", path, object{"title": "From elsewhere", "body": v.word}},
		{"DELETE", path, nil},
		{"POST", "/api/v1/accounts", object{"email": "elsewhere-" + v.email, "name": v.name, "password": v.password}},
		{"PUT", "/api/v1/session", object{"email": v.email, "password": v.password}},
		{"DELETE", "/api/v1/session", nil},
		{"PATCH", "/api/v1/account", object{"name": "From elsewhere"}},
		{"PUT", "/api/v1/account/password", object{"current": v.password, "new": "from elsewhere"}},
		{"POST", "/api/v1/account/deletion", object{"password": v.password}},
	}
	for name, fields := range map[string][]string{
		"from another site":                        {"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"},
		"from a neighbour under the same domain":   {"Sec-Fetch-Site: same-site", "Origin: http://other.foobar.com"},
		"by an old browser that only sends Origin": {"Origin: https://evil.example"},
		"from nowhere":                             {"Origin: null"},
		"from an origin that begins like ours":     {"Origin: http://www.foobar.com.evil.example"},
		"as a form, which needs no preflight":      {"Sec-Fetch-Site: cross-site", "Content-Type: text/plain"},
	} {
		for _, request := range requests {
			got := v.ask(request.method, request.path, request.body, append(fields, "Idempotency-Key: "+rand.Text())...)
			if got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" {
				t.Errorf("%s %s %s: %d, Set-Cookie %q: %s; want 403", request.method, request.path, name, got.status, got.header.Get("Set-Cookie"), got.body)
			}
		}
	}
	if got := decode[post](v, http.StatusOK, v.ask("GET", path, nil)); got != kept {
		t.Errorf("the post is %+v, was %+v", got, kept)
	}
	if got := v.found(); len(got) != 1 {
		t.Errorf("the search finds %+v", got)
	}
	if got := site.rows(t, "users WHERE email = 'elsewhere-"+v.email+"'"); got != 0 {
		t.Error("an account was created")
	}
	if who := v.signedIn(); who == nil || who.Name != v.name {
		t.Errorf("signed in as %+v", who)
	}
	// our own pages, and programs, which no other site can control
	for _, fields := range [][]string{{"Sec-Fetch-Site: same-origin", "Origin: http://www.foobar.com"}, {"Sec-Fetch-Site: none"}, {"Origin: http://www.foobar.com"}, nil} {
		v.want(http.StatusOK, v.ask("PATCH", "/api/v1/account", object{"name": v.name}, fields...))
	}
	// a name with the trailing dot and the same name without it are two origins
	for _, test := range []struct {
		host, origin string
		status       int
	}{
		{"www.foobar.com.", "http://www.foobar.com.", http.StatusNoContent}, {"www.foobar.com.:8080", "http://www.foobar.com.:8080", http.StatusNoContent},
		{"www.foobar.com.", "http://www.foobar.com", http.StatusForbidden}, {"www.foobar.com", "http://www.foobar.com.", http.StatusForbidden},
	} {
		received, err := site.raw("DELETE /api/v1/session HTTP/1.1\r\nHost: " + test.host + "\r\nOrigin: " + test.origin + "\r\nConnection: close\r\n\r\n")
		if want := fmt.Sprintf("HTTP/1.1 %d ", test.status); err != nil || !strings.HasPrefix(string(received), want) {
			t.Errorf("%s, from %s: %.300q, %v; want %d", test.host, test.origin, received, err, test.status)
		}
	}
}

// The session cookie is sent only with this site's own requests, and no script can read it. If the visitor's connection is
// encrypted, which only a trusted proxy is believed to report, the cookie is sent only over TLS.
func TestTheSessionCookieIsGuarded(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	v.signUp()
	body := fmt.Sprintf(`{"email": %q, "password": %q}`, v.email, v.password)
	const address = "http://app:8080/api/v1/session"
	curl := []string{"curl", "--silent", "--show-error", "--max-time", "10", "--dump-header", "-", "--request", "PUT", "--json", body}
	fromProxy := func(fields ...string) string {
		args := append([]string{"exec", "--no-TTY", "web"}, curl...)
		for _, field := range fields {
			args = append(args, "--header", field)
		}
		out, err := site.compose(t.Context(), append(args, address)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	fromNeighbour := func() string {
		out, err := site.output(t.Context(), "docker", append(append([]string{"run", "--rm", "--network", site.project + "_default", "--entrypoint", "curl", "nginx:1.30"}, curl[1:]...),
			"--header", "X-Forwarded-Proto: https", address)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	through := v.ask("PUT", "/api/v1/session", object{"email": v.email, "password": v.password}, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: on", "Forwarded: proto=https")
	v.want(http.StatusOK, through)
	for _, test := range []struct {
		name, header string
		secure       bool
	}{
		{"through Nginx, whatever the visitor says", "set-cookie: " + through.header.Get("Set-Cookie") + "\n", false},
		{"http, says the trusted proxy", fromProxy("X-Forwarded-Proto: http"), false},
		{"https, says the trusted proxy", fromProxy("X-Forwarded-Proto: https"), true},
		{"https, says somebody else", fromNeighbour(), false},
	} {
		line := regexp.MustCompile(`(?im)^set-cookie: (\S+?)=([^;]*)(.*?)\r?$`).FindStringSubmatch(test.header)
		if line == nil {
			t.Errorf("%s: no cookie in %s", test.name, test.header)
			continue
		}
		name, token := line[1], line[2]
		var attributes []string
		for attribute := range strings.SplitSeq(line[3], ";") {
			if attribute = strings.ToLower(strings.TrimSpace(attribute)); attribute != "" && !strings.HasPrefix(attribute, "expires=") {
				attributes = append(attributes, attribute)
			}
		}
		slices.Sort(attributes)
		wantName, want := "session", []string{"httponly", "max-age=2592000", "path=/", "samesite=lax"}
		if test.secure {
			wantName, want = "__Host-session", append(want, "secure")
		}
		if name != wantName || !slices.Equal(attributes, want) {
			t.Errorf("%s: the cookie is %s with %v, want %s with %v", test.name, name, attributes, wantName, want)
		}
		if raw, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(raw) != 32 {
			t.Errorf("%s: the token %q is not 32 random bytes: %v", test.name, token, err)
		}
	}
}

// Each sign-in gives the session a new token; an earlier token, or a planted one, is worthless.
func TestSessionsAreRotated(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	v.signUp()
	planted := "session=" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	v.cookie = planted
	v.signIn()
	first := v.cookie
	v.signIn()
	second := v.cookie
	if first == planted || second == first {
		t.Errorf("planted %s, then %s, then %s", planted, first, second)
	}
	for cookie, valid := range map[string]bool{planted: false, first: false, second: true} {
		v.cookie = cookie
		if who := v.signedIn(); (who != nil) != valid {
			t.Errorf("%s is signed in as %+v", cookie, who)
		}
	}
	for _, cookie := range []string{"session=", "session=x", "session=" + strings.Repeat("A", 43), "session=" + strings.Repeat("A", 4000), second + "A", second + "; " + planted,
		"session=%00", `session="` + strings.TrimPrefix(second, "session=")[1:] + `"`, "__Host-" + planted} {
		v.cookie = cookie
		if cookie == second+"; "+planted {
			v.want(http.StatusOK, v.ask("GET", "/api/v1/session", nil)) // whichever of the two it takes
			continue
		}
		if who := v.signedIn(); who != nil {
			t.Errorf("the cookie %.60s is signed in as %+v", cookie, who)
		}
	}
}

// A session ends a week after the last request and a month after the sign-in, whatever the browser still sends.
func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"idle":     "used_at = used_at - INTERVAL 169 HOUR",
		"absolute": "created_at = created_at - INTERVAL 721 HOUR, expires_at = expires_at - INTERVAL 721 HOUR",
	} {
		t.Run(name, func(t *testing.T) {
			v := newMember(t, site)
			who := v.signedIn()
			if who == nil {
				t.Fatal("not signed in")
			}
			if _, err := site.sql(t.Context(), "app", fmt.Sprintf("UPDATE foobar.sessions SET %s WHERE user_id = %d", change, who.ID)); err != nil {
				t.Fatal(err)
			}
			if who := v.signedIn(); who != nil {
				t.Errorf("signed in as %+v", who)
			}
			v.want(http.StatusUnauthorized, v.ask("POST", "/api/v1/posts", object{"title": "Late", "body": v.word}))
		})
	}
}

// Nothing in the database or the logs lets anybody sign in.
func TestPasswordsAndTokensAreKeptOnlyAsHashes(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	v.want(http.StatusUnauthorized, v.elsewhere().ask("PUT", "/api/v1/session", object{"email": v.email, "password": "wrong " + v.password}))
	v.ask("PUT", "/api/v1/session", `{"email": "`+v.email+`", "password": "`+v.password+`", "extra": 1}`) // refused, and logged
	last := v.ask("GET", "/api/v1/session", nil)

	token := strings.TrimPrefix(v.cookie, "session=")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	dump := site.dump(t)
	digests := 0
	for _, of := range [][]byte{raw, []byte(token)} { // of the bytes or of their text
		digest := sha256.Sum256(of)
		digests += strings.Count(strings.ToLower(dump), hex.EncodeToString(digest[:]))
	}
	if digests != 1 {
		t.Errorf("the database holds the token's digest %d times", digests)
	}
	hash, err := site.sql(t.Context(), "app", "SELECT password_hash FROM foobar.users WHERE email = '"+v.email+"'")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the password is kept as %q (%v)", hash, err)
	}
	newScenario(t, site).Then(10*time.Second, logsRequest("app", last.header.Get("X-Request-ID"), site.subnet+".1"))
	logs, err := site.compose(t.Context(), "logs", "--no-color", "--no-log-prefix")
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"the token": token, "the token in hexadecimal": hex.EncodeToString(raw), "the password": v.password, "the hash": hash} {
		for where, text := range map[string]string{"the database": strings.ToLower(dump), "a log": strings.ToLower(logs)} {
			if strings.Contains(text, strings.ToLower(secret)) && !(name == "the hash" && where == "the database") {
				t.Errorf("%s is in %s", name, where)
			}
		}
	}
}

// Guessing passwords is slowed down for each account. The right password is then refused like any other, except from a
// browser that has signed in before, and other accounts are not affected.
func TestGuessingPasswordsIsSlowed(t *testing.T) {
	t.Parallel()
	for name, guess := range map[string]func(v *visitor) (reply, error){
		"at the sign-in": func(v *visitor) (reply, error) {
			return v.elsewhere().try(v.Context(), "PUT", "/api/v1/session", object{"email": strings.ToUpper(v.email), "password": rand.Text()})
		},
		"at the sign-in of an address without an account": func(v *visitor) (reply, error) {
			return v.elsewhere().try(v.Context(), "PUT", "/api/v1/session", object{"email": "nobody-" + v.email, "password": rand.Text()})
		},
		"at the change of the password": func(v *visitor) (reply, error) {
			one := *v
			return one.try(v.Context(), "PUT", "/api/v1/account/password", object{"current": rand.Text(), "new": rand.Text()})
		},
		"at the deletion": func(v *visitor) (reply, error) {
			one := *v
			return one.try(v.Context(), "POST", "/api/v1/account/deletion", object{"password": rand.Text()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newMember(t, site)
			const guesses = 12 // at the same time, to pass any check that only looks before it counts
			var all sync.WaitGroup
			answers := make([]reply, guesses)
			errs := make([]error, guesses)
			for i := range guesses {
				all.Go(func() { answers[i], errs[i] = guess(v) })
			}
			all.Wait()
			compared := 0
			for i, got := range answers {
				switch wait, err := strconv.Atoi(got.header.Get("Retry-After")); {
				case errs[i] != nil:
					t.Fatal(errs[i])
				case got.status == http.StatusUnauthorized || got.status == http.StatusUnprocessableEntity:
					compared++
				case got.status != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 600:
					t.Errorf("%d, Retry-After %q: %s", got.status, got.header.Get("Retry-After"), got.body)
				}
			}
			if compared < 3 || compared > 5 { // signing in was an attempt too
				t.Errorf("%d of %d passwords were compared, want about 5", compared, guesses)
			}
			if !strings.Contains(name, "without") {
				right := v.elsewhere().ask("PUT", "/api/v1/session", object{"email": v.email, "password": v.password})
				if strings.Contains(name, "sign-in") && right.status != http.StatusTooManyRequests {
					t.Errorf("then the right password: %d %s", right.status, right.body)
				}
				v.signIn() // others' guesses lock nobody out of a known browser
			}
			newMember(t, site) // somebody else
		})
	}
}

// A sign-in does not reveal whether an address has an account: not by its answer, not by its header, not by the work that it
// takes.
func TestASignInDoesNotTellWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	v.signUp()
	words := regexp.MustCompile(`"(request_id|instance)": ?"[^"]*"`)
	same := func(what string, known, unknown reply) {
		t.Helper()
		if known.status != unknown.status || words.ReplaceAllString(known.body, "") != words.ReplaceAllString(unknown.body, "") {
			t.Errorf("%s: an address with an account gets %d %s, another gets %d %s", what, known.status, known.body, unknown.status, unknown.body)
		}
		if with, without := slices.Sorted(maps.Keys(known.header)), slices.Sorted(maps.Keys(unknown.header)); !slices.Equal(with, without) {
			t.Errorf("%s: an address with an account gets the fields %v, another gets %v", what, with, without)
		}
	}
	signIn := func(email string) reply {
		return v.elsewhere().ask("PUT", "/api/v1/session", object{"email": email, "password": rand.Text()})
	}
	least := map[bool]float64{true: 1e9, false: 1e9} // of several, since a busy machine makes some slower but none faster
	for i := range 4 {
		known, unknown := signIn(v.email), signIn(fmt.Sprintf("%d-%s", i, v.email))
		same("signing in", known, unknown)
		for has, got := range map[bool]reply{true: known, false: unknown} {
			milliseconds, _ := got.timed("app")
			least[has] = min(least[has], milliseconds)
		}
	}
	t.Logf("signing in takes app %.1f ms with an account, %.1f ms without one", least[true], least[false])
	if least[true] < least[false]/2 || least[false] < least[true]/2 {
		t.Errorf("signing in takes %.1f ms with an account and %.1f ms without one", least[true], least[false])
	}
}

// A sign-up with an address that is taken is told so, since this could not be hidden without sending mail, and the account
// stays as it is.
func TestASignUpWithATakenAddressChangesNothing(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	v.signUp()
	taken := v.elsewhere().ask("POST", "/api/v1/accounts", object{"email": strings.ToUpper(v.email), "name": "Somebody else", "password": rand.Text()}, "Idempotency-Key: "+rand.Text())
	if got := decode[problem](v, http.StatusConflict, taken); !got.names("email") {
		t.Errorf("signing up with an address that is taken: %+v", got)
	}
	v.signIn() // with the password that the account had
	if who := v.signedIn(); who == nil || who.Name != v.name {
		t.Errorf("signed in as %+v", who)
	}
}

// What only operators should see has no address for visitors. (TestContainersAreHardened checks which ports they can reach.)
func TestWhatIsForOperatorsIsNotForVisitors(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	id := v.ask("GET", "/api/v1/session", nil).header.Get("X-Request-ID")
	for _, path := range []string{"/metrics", "/requests", "/requests/" + id, "/api/metrics", "/api/v1/metrics", "/api/requests/" + id, "/api/v1/requests/" + id,
		"/debug/pprof/", "/api/debug/pprof/", "/livez", "/readyz", "/api/livez", "/api/../metrics", "/api/v1/posts/../../../etc/passwd", "/api/%2e%2e/metrics", "//metrics", "/api//metrics"} {
		if got := v.ask("GET", path, nil); got.status < 400 || got.status >= 500 {
			t.Errorf("%s: %d %.200s", path, got.status, got.body)
		}
	}
}

// Hostile input is answered as the client's mistake, with problem details that name the field, and never with a server
// error, a stack trace or a word of SQL.
func TestHostileInputIsRefused(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	kept := v.write("Kept")
	path := fmt.Sprintf("/api/v1/posts/%d", kept.ID)
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	type input struct {
		name, body string
		status     int
		field      string
	}
	inputs := []input{
		{"nothing", "", 400, ""},
		{"null", "null", 0, ""},
		{"a list", "[]", 0, ""},
		{"a text", `"title"`, 0, ""},
		{"no field", "{}", 422, "title"},
		{"an empty title", `{"title":"","body":"b"}`, 422, "title"},
		{"a blank title", `{"title":"  \t ","body":"b"}`, 422, "title"},
		{"a title over the limit", `{"title":"` + strings.Repeat("t", 201) + `","body":"b"}`, 422, "title"},
		{"a title of two lines", `{"title":"a\nb","body":"b"}`, 422, "title"},
		{"a body over the limit", `{"title":"t","body":"` + strings.Repeat("b", 20_001) + `"}`, 422, "body"},
		{"a number for a text", `{"title":1,"body":"b"}`, 422, "title"},
		{"null for a text", `{"title":null,"body":"b"}`, 422, "title"},
		{"an object for a text", `{"title":{"$gt":""},"body":"b"}`, 422, "title"},
		{"an unknown field", `{"title":"t","body":"b","author_id":1}`, 422, "author_id"},
		{"a NUL", `{"title":"a\u0000b","body":"b"}`, 422, "title"},
		{"half of a surrogate pair", `{"title":"\ud800","body":"b"}`, 0, ""},
		{"broken UTF-8", "{\"title\":\"\xff\xfe\",\"body\":\"b\"}", 400, ""},
		{"overlong UTF-8", "{\"title\":\"\xc0\xaf\",\"body\":\"b\"}", 400, ""},
		{"a byte order mark", "\ufeff{\"title\":\"t\",\"body\":\"b\"}", 400, ""},
		{"two documents", `{"title":"t","body":"b"}{"title":"t","body":"b"}`, 400, ""},
		{"half a document", `{"title":"t","body"`, 400, ""},
		{"a comment", `{"title":"t",/**/"body":"b"}`, 400, ""},
		{"the same field twice", `{"title":"t","title":"u","body":"b"}`, 0, ""},
		{"the field in capitals", `{"TITLE":"t","body":"b"}`, 422, ""},
		{"20,000 levels deep", deep, 0, ""},
		{"20,000 brackets", strings.Repeat("[", 20_000), 400, ""},
		{"an endless number", `{"title":` + strings.Repeat("9", 10_000) + `,"body":"b"}`, 0, ""},
		{"larger than Nginx accepts", `{"title":"` + strings.Repeat("t", 200<<10) + `","body":"b"}`, 413, ""},
		{"XML", `<post><title>t</title></post>`, 400, ""},
	}
	for _, target := range []struct{ method, path string }{{"POST", "/api/v1/posts"}, {"PUT", path}} {
		for _, input := range inputs {
			got := v.ask(target.method, target.path, input.body)
			what := target.method + " " + input.name
			refusal(t, what, got)
			var said problem
			if got.status >= 400 {
				said = decode[problem](v, got.status, got)
			}
			if input.status != 0 && got.status != input.status || got.status < 400 {
				t.Errorf("%s: %d %.300s; want %d", what, got.status, got.body, input.status)
			}
			if input.field != "" && !said.names(input.field) {
				t.Errorf("%s does not name %s: %.300s", what, input.field, got.body)
			}
		}
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/json; charset=utf-16", "nonsense", ""} {
		got := v.ask("POST", "/api/v1/posts", `{"title":"t","body":"b"}`, "Content-Type: "+kind)
		refusal(t, "the content type "+kind, got)
		if got.status != http.StatusUnsupportedMediaType {
			t.Errorf("the content type %q: %d %s; want 415", kind, got.status, got.body)
		}
	}
	accounts := []input{
		{"no @", `{"email":"nobody","name":"N","password":"long enough"}`, 422, "email"},
		{"two lines", `{"email":"a@b.example\r\nBcc: c@d.example","name":"N","password":"long enough"}`, 422, "email"},
		{"an address over the limit", `{"email":"` + strings.Repeat("a", 250) + `@example.com","name":"N","password":"long enough"}`, 422, "email"},
		{"a short password", `{"email":"a@b.example","name":"N","password":"short"}`, 422, "password"},
		{"a password over the limit", `{"email":"a@b.example","name":"N","password":"` + strings.Repeat("p", 257) + `"}`, 422, "password"},
		{"an empty name", `{"email":"a@b.example","name":" ","password":"long enough"}`, 422, "name"},
		{"a name over the limit", `{"email":"a@b.example","name":"` + strings.Repeat("n", 51) + `","password":"long enough"}`, 422, "name"},
		{"an administrator", `{"email":"a@b.example","name":"N","password":"long enough","id":1}`, 422, "id"},
	}
	for _, input := range accounts {
		got := v.ask("POST", "/api/v1/accounts", input.body)
		refusal(t, input.name, got)
		if got.status != input.status || !decode[problem](v, got.status, got).names(input.field) {
			t.Errorf("%s: %d %s; want %d that names %s", input.name, got.status, got.body, input.status, input.field)
		}
	}
	for name, path := range map[string]string{
		"an injection by id": "/api/v1/posts/1%20OR%201=1", "an injection by search": "/api/v1/search?q=" + v.word + "%27%29%20OR%201=1%20--%20", "a union": "/api/v1/search?q=%27+UNION+SELECT+password_hash+FROM+users--+",
		"operators only": "/api/v1/search?q=%2B-*%22()~%3C%3E@", "an unclosed quotation": "/api/v1/search?q=%22aaa", "a star": "/api/v1/search?q=aaa*", "a distance": "/api/v1/search?q=%22aaa+bbb%22@8",
		"a NUL in a search": "/api/v1/search?q=a%00b", "broken UTF-8 in a search": "/api/v1/search?q=%ff%fe", "a broken escape": "/api/v1/search?q=%zz", "semicolons": "/api/v1/search?q=a;limit=1",
		"no search": "/api/v1/search", "an empty search": "/api/v1/search?q=", "a long search": "/api/v1/search?q=" + strings.Repeat("a", 101), "many words": "/api/v1/search?q=" + strings.Repeat("a+", 50),
		"two searches": "/api/v1/search?q=a&q=b", "stop words": "/api/v1/search?q=the+of", "a short word": "/api/v1/search?q=a", "Chinese": "/api/v1/search?q=%E6%97%A5%E6%9C%AC",
		"limit 0": "/api/v1/posts?limit=0", "limit -1": "/api/v1/posts?limit=-1", "limit 101": "/api/v1/posts?limit=101", "limit 1e2": "/api/v1/posts?limit=1e2", "limit 0x10": "/api/v1/posts?limit=0x10", "limit of 400 digits": "/api/v1/posts?limit=" + strings.Repeat("1", 400),
		"two limits": "/api/v1/posts?limit=1&limit=2", "an unknown parameter": "/api/v1/posts?offset=10", "before 0": "/api/v1/posts?before=0", "before 2^64": "/api/v1/posts?before=18446744073709551616", "before 2^64-1": "/api/v1/posts?before=18446744073709551615", "before 2^63": "/api/v1/posts?before=9223372036854775808",
		"post 0": "/api/v1/posts/0", "post -1": "/api/v1/posts/-1", "post +1": "/api/v1/posts/+1", "post 01": "/api/v1/posts/01", "post 2^64-1": "/api/v1/posts/18446744073709551615", "post 2^64": "/api/v1/posts/18446744073709551616", "post NUL": "/api/v1/posts/%00", "post slash": "/api/v1/posts/1%2f2", "a trailing slash": "/api/v1/posts/",
		"parent folders, escaped": "/api/v1/posts/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
	} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"} {
			got := v.ask(method, path, nil)
			refusal(t, method+" "+name, got)
			if method == "GET" && strings.Contains(got.body, "$argon2id") {
				t.Errorf("%s shows a hash: %s", name, got.body)
			}
		}
	}
	for _, field := range []string{"Accept: application/xml", "Accept-Encoding: br", "Range: bytes=0-1", "If-None-Match: *", "Expect: 100-continue", "X-HTTP-Method-Override: DELETE", "Authorization: Bearer x", "X-Forwarded-Host: evil.example"} {
		refusal(t, field, v.ask("POST", "/api/v1/posts", `{}`, field))
	}
	if got := v.found(); len(got) != 1 || got[0].ID != kept.ID {
		t.Errorf("afterwards there are the posts %+v", got)
	}
	if got := decode[post](v, http.StatusOK, v.ask("GET", path, nil)); got != kept {
		t.Errorf("afterwards the post is %+v, was %+v", got, kept)
	}
}

// ours matches words that reveal an internal error, the programs behind the answer, or SQL.
var ours = regexp.MustCompile(`(?i)goroutine|panic|\.go:\d|gorm|mysql|\bSELECT\b|\bINSERT\b|\bUPDATE \w+ SET\b|\bFROM \w+ WHERE\b|Error \d{4}|huma|reflect|runtime`)

// refusal: an answer is not a server error and reveals nothing internal. It may repeat what the visitor sent.
func refusal(t *testing.T, what string, got reply) {
	t.Helper()
	if got.status >= 500 && got.status != http.StatusNotImplemented || got.status < 200 {
		t.Errorf("%s: %d %.300s", what, got.status, got.body)
	}
	if got.status >= 400 {
		if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/problem+json") {
			t.Errorf("%s: the content type is %q: %.200s", what, kind, got.body)
		}
		if word := ours.FindString(got.body); word != "" {
			t.Errorf("%s: the answer says %q: %.300s", what, word, got.body)
		}
	}
}

// pages maps the file of each page in services/web to an address that shows it.
var pages = map[string]string{
	"index.html": "/", "sign-up.html": "/sign-up", "sign-in.html": "/sign-in", "account.html": "/account", "search.html": "/search",
	"post.html": "/posts/1", "api-docs.html": "/api-docs", "errors/error.html": "/nothing",
}

// No page contains an inline script or style, so the policy that forbids them can be strict on every page.
func TestPagesHoldNoScriptAndNoStyle(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "services/web/*.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if pages[filepath.Base(file)] == "" {
			t.Errorf("%s is a page that the tests do not know", file)
		}
	}
	policy := map[string]string{}
	for file, address := range pages {
		if _, err := os.Stat(filepath.Join(root, "services/web", file)); err != nil {
			t.Error(err)
			continue
		}
		got := newVisitor(t, site).ask("GET", address, nil)
		if want := map[bool]int{true: http.StatusNotFound, false: http.StatusOK}[address == "/nothing"]; got.status != want {
			t.Errorf("%s: %d, want %d", address, got.status, want)
		}
		for _, forbidden := range []string{`<script(?:\s[^>]*)?>\s*[^<\s]`, `<style`, `<[^>]+\sstyle\s*=`, `<[^>]+\son\w+\s*=`, `(?:href|src|action)\s*=\s*["']?\s*(?:javascript|data):`, `(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'>]*\.(?:js|css)`} {
			if found := regexp.MustCompile(`(?i)` + forbidden).FindString(got.body); found != "" {
				t.Errorf("%s contains %q", address, found)
			}
		}
		said := got.header.Values("Content-Security-Policy")
		if len(said) != 1 {
			t.Errorf("%s: Content-Security-Policy %q", address, said)
			continue
		}
		for directive := range strings.SplitSeq(said[0], ";") {
			name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
			policy[name] = sources
		}
		for directive, want := range map[string]string{"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'"} {
			if policy[directive] != want {
				t.Errorf("%s: %s is %q, want %q", address, directive, policy[directive], want)
			}
		}
	}
}

// The answer to an internal error says that there was one, but nothing about what the application tried.
func TestAVisitorNeverSeesSQL(t *testing.T) {
	v := newMember(t, site)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := site.sql(ctx, "root", "RENAME TABLE foobar.hidden TO foobar.posts"); err != nil {
			t.Error(err)
		}
	})
	newScenario(t, site).When("a table is missing, which could only be our fault", func(ctx context.Context, c *copyOfStack) error {
		_, err := c.sql(ctx, "root", "RENAME TABLE foobar.posts TO foobar.hidden")
		return err
	})
	for _, request := range []struct {
		method, path string
		body         any
	}{{"GET", "/api/v1/posts?limit=7", nil}, {"GET", "/api/v1/posts/1", nil}, {"GET", "/api/v1/search?q=" + v.word, nil}, {"POST", "/api/v1/posts", object{"title": "t", "body": "b"}}, {"PUT", "/api/v1/posts/1", object{"title": "t", "body": "b"}}, {"DELETE", "/api/v1/posts/1", nil}} {
		got := v.ask(request.method, request.path, request.body)
		if got.status < 500 || !strings.HasPrefix(got.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s %s: %d %s; want a server error as problem details", request.method, request.path, got.status, got.body)
		}
		said := strings.ReplaceAll(got.body, request.path, "")
		if word := ours.FindString(said); word != "" || strings.Contains(said, "foobar.") {
			t.Errorf("%s %s reveals internals (%q): %s", request.method, request.path, word, got.body)
		}
	}
}

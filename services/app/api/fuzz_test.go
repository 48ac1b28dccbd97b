package api

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"oneserver/app"
)

// These tests check that no request causes an internal error. An ordinary test run tries only the seeds.

// bodies are seeds for every operation that takes a body.
var bodies = []string{
	``, `{`, `{}`, `[]`, `null`, `"x"`, `1e999`, aDraft, anAccount, aPassword, credentials, newPassword,
	`{"title":null,"body":7}`, `{"title":{"a":[1,{}]},"body":true}`, `{"Title":"a","BODY":"b"}`,
	`{"title":"a","title":"b"}`, `{"title":"\ud800","body":"\u0000"}`, "{\"title\":\"\xff\",\"body\":\"\xc0\x80\"}",
	`{"name":" \u200b "}`, `{"email":"a@b","name":"\n","password":"` + strings.Repeat("é", 300) + `"}`,
	`{"email":"\"a\"@b.c","password":""}`, `{"":{"":""}}`, "\ufeff{}", `{} {}`, strings.Repeat("[", 1000),
}

func fuzzBody(f *testing.F, method, target string) {
	for _, seed := range bodies {
		f.Add([]byte(seed))
	}
	store := newFake(1)
	s, lines := newServer(f, store, nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		theirs := store.join("Ada")
		noFault(t, lines, ask(s, method, target, theirs, keyed(aKey), sending(string(text))))
	})
}

func noFault(t *testing.T, lines *logLines, response *http.Response) {
	t.Helper()
	text := body(t, response)
	if response.StatusCode >= 500 || response.StatusCode == http.StatusNotFound || !utf8.ValidString(text) {
		t.Errorf("got %d %s", response.StatusCode, text)
	}
	if log := lines.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log has %s", log)
	}
	lines.mu.Lock()
	lines.buf.Reset()
	lines.mu.Unlock()
}

func FuzzCreatePost(f *testing.F)     { fuzzBody(f, "POST", "/api/v1/posts") }
func FuzzUpdatePost(f *testing.F)     { fuzzBody(f, "PUT", "/api/v1/posts/1") }
func FuzzCreateAccount(f *testing.F)  { fuzzBody(f, "POST", "/api/v1/accounts") }
func FuzzRenameAccount(f *testing.F)  { fuzzBody(f, "PATCH", "/api/v1/account") }
func FuzzChangePassword(f *testing.F) { fuzzBody(f, "PUT", "/api/v1/account/password") }
func FuzzDeleteAccount(f *testing.F)  { fuzzBody(f, "POST", "/api/v1/account/deletion") }
func FuzzSignIn(f *testing.F)         { fuzzBody(f, "PUT", "/api/v1/session") }

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=20&before=3", "limit=0", "limit=-1", "limit=5&limit=6", "before=18446744073709551616",
		"limit=%zz", "a=1;b=2", "=", "&&&", "limit=%00", "limit=\xff", "before=٣",
		"q=a", "q=", "q=%ff", "q=%00", "q=+", "q=a&q=b", "q=" + strings.Repeat("é", 101), "q=%22%2B*~()%3C%3E@",
	} {
		f.Add(seed)
	}
	s, lines := newServer(f, newFake(3), nil)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/api/v1/posts", "/api/v1/search", "/api/v1/posts/1"} {
			noFault(t, lines, ask(s, "GET", path, func(r *http.Request) { r.URL.RawQuery = query }))
		}
	})
}

func FuzzCookie(f *testing.F) {
	for _, seed := range []string{
		"", "session=", "session=x; session=y", `session="x"`, ";;;", "=", "session", "session=\x00", "session=\xff",
		"session=" + strings.Repeat("A", 43), "__Host-session=" + strings.Repeat("A", 43), strings.Repeat("a=b;", 1000),
	} {
		f.Add(seed)
	}
	s, lines := newServer(f, newFake(1), nil)
	f.Fuzz(func(t *testing.T, cookie string) {
		noFault(t, lines, ask(s, "GET", "/api/v1/session", with("Cookie", cookie)))
	})
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", aKey, `"` + aKey + `"`, `"`, `""`, `"\"`, `"\\0123456789abcdef"`, "0123456789abcd\xff", strings.Repeat("k", 129)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		key, err := parseKey([]string{value})
		if err != nil {
			if app.AsError(err).Code != app.Invalid {
				t.Errorf("%q: %v is not the sender's fault", value, err)
			}
			return
		}
		if len(key) < minKey || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q gives the key %q", value, key)
		}
	})
}

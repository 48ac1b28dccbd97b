package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestWhatIsEmptyIsSaidToBe(t *testing.T) {
	t.Parallel()
	for _, title := range []string{"", " "} {
		f := newFake(0)
		s, _ := newServer(t, f, nil)
		text := body(t, ask(s, "POST", "/api/v1/posts", f.join("Ada"), keyed(aKey), sending(`{"title":"`+title+`","body":"b"}`)))
		if !strings.Contains(text, `{"field":"title","detail":"must not be empty"}`) {
			t.Errorf("a title of %q: %s", title, text)
		}
	}
}

func TestHostileInputIsTheSendersFault(t *testing.T) {
	t.Parallel()
	nested := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	for _, test := range []struct {
		name, body string
		status     int
		fields     string // in any order
	}{
		{"nothing", ``, 400, ""},
		{"no JSON", `title=a`, 400, ""},
		{"half", `{"title":"a","bod`, 400, ""},
		{"trailing bytes", aDraft + `x`, 400, ""},
		{"two values", aDraft + aDraft, 400, ""},
		{"a trailing newline is none", aDraft + "\n", 201, ""},
		{"a byte order mark", "\ufeff" + aDraft, 400, ""},
		{"null", `null`, 422, ""},
		{"an array", `[]`, 422, ""},
		{"text", `"title"`, 422, ""},
		{"a number beyond measure", `1e999999`, 422, ""},
		{"an empty object", `{}`, 422, "title body"},
		{"a member is missing", `{"title":"a"}`, 422, "body"},
		{"an unknown member", `{"title":"a","body":"b","id":7}`, 422, "id"},
		{"a member in another case", `{"Title":"a","body":"b"}`, 422, "title Title"},
		{"a member with a dot in its name", `{"title":"a","body":"b","a.b":1}`, 422, "a.b"},
		{"a member without a name", `{"title":"a","body":"b","":1}`, 422, ""},
		{"a member's name beyond measure", `{"title":"a","body":"b","` + strings.Repeat("n", 100_000) + `":1}`, 422, strings.Repeat("n", 64) + "…"},
		{"a member twice", `{"title":"a","body":"b","body":"c"}`, 400, "body"},
		{"a member twice, once in escapes", `{"title":"a","body":"b","bod\u0079":"c"}`, 400, "body"},
		{"a thousand unknown members", `{` + manyMembers(1000) + `}`, 422, "*"},
		{"null for text", `{"title":null,"body":"b"}`, 422, "title"},
		{"a number for text", `{"title":7,"body":"b"}`, 422, "title"},
		{"an array for text", `{"title":["a"],"body":"b"}`, 422, "title"},
		{"an object for text", `{"title":{"a":1},"body":"b"}`, 422, "title"},
		{"nested deeply", nested, 422, "*"},
		{"nested deeply in a member", `{"title":` + nested + `,"body":"b"}`, 400, "*"},
		{"broken UTF-8", "{\"title\":\"a\xff\",\"body\":\"b\"}", 400, "title"},
		{"UTF-8 that is too long", "{\"title\":\"a\",\"body\":\"\xc0\x80\"}", 400, "body"},
		{"half a surrogate", `{"title":"\ud800","body":"b"}`, 400, "title"},
		{"a NUL", `{"title":"a\u0000","body":"b"}`, 422, "title"},
		{"a raw NUL", "{\"title\":\"a\x00\",\"body\":\"b\"}", 400, "title"},
		{"a NUL in a body", `{"title":"a","body":"b\u0000"}`, 422, "body"},
		{"an escape in a body", `{"title":"a","body":"b\u001b[31m"}`, 422, "body"},
		{"a carriage return in a body", `{"title":"a","body":"b\r\nc"}`, 422, "body"},
		{"a C1 control", `{"title":"a\u0085b","body":"b"}`, 422, "title"},
		{"newlines and tabs in a body", `{"title":"a","body":"b\n\n\tc"}`, 201, ""},
		{"two lines in a title", `{"title":"a\nb","body":"b"}`, 422, "title"},
		{"two lines of another kind", `{"title":"a\u2028b","body":"b"}`, 422, "title"},
		{"an empty title", `{"title":"","body":"b"}`, 422, "title"},
		{"a title of spaces", `{"title":" \u00a0\u3000","body":"b"}`, 422, "title"},
		{"a title that shows nothing", `{"title":"\u200b\u200e","body":"b"}`, 422, "title"},
		{"a body of newlines", `{"title":"a","body":"\n\n"}`, 422, "body"},
		{"the longest title", `{"title":"` + strings.Repeat("😀", 200) + `","body":"b"}`, 201, ""},
		{"a title that is too long", `{"title":"` + strings.Repeat("a", 201) + `","body":"b"}`, 422, "title"},
		{"the longest body", `{"title":"a","body":"` + strings.Repeat("é", 20_000) + `"}`, 201, ""},
		{"a body that is too long", `{"title":"a","body":"` + strings.Repeat("a", 20_001) + `"}`, 422, "body"},
		{"all that is wrong at once", `{"title":7,"extra":1}`, 422, "title body extra"},
		{"as much as there may be", aDraft + strings.Repeat(" ", bodyLimit-len(aDraft)), 201, ""},
		{"one byte more", aDraft + strings.Repeat(" ", bodyLimit-len(aDraft)+1), 413, ""},
		{"SQL", `{"title":"'; DROP TABLE posts; --","body":"\\' OR 1=1"}`, 201, ""},
		{"HTML", `{"title":"<script>alert(1)</script>","body":"</script>"}`, 201, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(0)
			hers := f.join("Ada")
			s, lines := newServer(t, f, nil)
			response := ask(s, "POST", "/api/v1/posts", hers, keyed(aKey), sending(test.body))
			text := body(t, response)
			if response.StatusCode != test.status {
				t.Fatalf("got %d %.500s\nwant %d; log: %.2000s", response.StatusCode, text, test.status, lines)
			}
			if test.status < 300 {
				return
			}
			if len(f.posts) > 0 {
				t.Errorf("was kept: %+v", f.posts)
			}
			if len(text) > 4000 {
				t.Errorf("the answer has %d bytes", len(text))
			}
			if test.fields == "*" {
				return
			}
			var got problem
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			named := map[string]bool{}
			for _, e := range got.Errors {
				named[e.Field] = true
			}
			for _, name := range strings.Fields(test.fields) {
				if !named[name] {
					t.Errorf("%s is not named: %s", name, text)
				}
				delete(named, name)
			}
			delete(named, "")
			if len(named) > 0 {
				t.Errorf("%v should not be named: %s", named, text)
			}
		})
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":%d,`, i, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func TestTheHeaderOfABodyMustFit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change change
		status int
	}{
		{"JSON", with("X-Nothing", ""), 201},
		{"JSON in UTF-8", set("Content-Type", "application/json; charset=UTF-8"), 201},
		{"JSON in capitals", set("Content-Type", "Application/JSON"), 201},
		{"JSON in another charset", set("Content-Type", "application/json; charset=utf-16"), 415},
		{"no type", func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"an empty type", set("Content-Type", ""), 415},
		{"a form", form, 415},
		{"text", set("Content-Type", "text/plain"), 415},
		{"a kind of JSON", set("Content-Type", "application/merge-patch+json"), 415},
		{"two types", with("Content-Type", "text/plain"), 415},
		{"garbage", set("Content-Type", ";;;"), 415},
		{"compressed", with("Content-Encoding", "gzip"), 415},
		{"a wish for another answer", with("Accept", "text/html;q=0.9, */*;q=x"), 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(0)
			hers := f.join("Ada")
			s, _ := newServer(t, f, nil)
			response := ask(s, "POST", "/api/v1/posts", hers, keyed(aKey), sending(aDraft), test.change)
			if response.StatusCode != test.status {
				t.Errorf("got %d %s, want %d", response.StatusCode, body(t, response), test.status)
			}
		})
	}
}

func set(name, value string) change {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestTextsOfAccounts(t *testing.T) {
	t.Parallel()
	account := func(email, name, password string) string {
		b, err := json.Marshal(map[string]string{"email": email, "name": name, "password": password})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	domainOf64 := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63)
	for _, test := range []struct {
		name, body string
		status     int
		field      string
	}{
		{"as it should be", account("ada@example.com", "Ada", "a word 78"), 201, ""},
		{"a tag, dots and capitals", account("Ada.King+site@mail.Example.co.uk", "Ada", "a word 78"), 201, ""},
		{"a domain of other letters, encoded", account("ada@xn--bcher-kva.example", "Ada", "a word 78"), 201, ""},
		{"the longest address", account(strings.Repeat("a", 64)+"@"+domainOf64+"."+strings.Repeat("c", 61), "Ada", "a word 78"), 201, ""},
		{"an address that is too long", account(strings.Repeat("a", 64)+"@"+domainOf64+"."+strings.Repeat("c", 62), "Ada", "a word 78"), 422, "email"},
		{"no address", account("", "Ada", "a word 78"), 422, "email"},
		{"no @", account("ada.example.com", "Ada", "a word 78"), 422, "email"},
		{"two @", account("ada@b@example.com", "Ada", "a word 78"), 422, "email"},
		{"no domain", account("ada@", "Ada", "a word 78"), 422, "email"},
		{"a domain without a dot", account("ada@localhost", "Ada", "a word 78"), 422, "email"},
		{"an address of a machine", account("ada@[127.0.0.1]", "Ada", "a word 78"), 422, "email"},
		{"a number of a machine", account("ada@127.0.0.1", "Ada", "a word 78"), 422, "email"},
		{"a domain that ends in a dot", account("ada@example.com.", "Ada", "a word 78"), 422, "email"},
		{"a domain with a hyphen at the edge", account("ada@-example.com", "Ada", "a word 78"), 422, "email"},
		{"a name with the address", account("Ada <ada@example.com>", "Ada", "a word 78"), 422, "email"},
		{"brackets", account("<ada@example.com>", "Ada", "a word 78"), 422, "email"},
		{"a comment", account("ada(x)@example.com", "Ada", "a word 78"), 422, "email"},
		{"quotes", account(`"ada"@example.com`, "Ada", "a word 78"), 422, "email"},
		{"a space before it", account(" ada@example.com", "Ada", "a word 78"), 422, "email"},
		{"a header in it", account("ada@example.com\r\nBcc: all@example.com", "Ada", "a word 78"), 422, "email"},
		{"letters that look alike", account("аda@example.com", "Ada", "a word 78"), 422, "email"},
		{"two addresses", account("ada@example.com,bob@example.com", "Ada", "a word 78"), 422, "email"},
		{"a name of spaces", account("ada@example.com", "  ", "a word 78"), 422, "name"},
		{"a name of two lines", account("ada@example.com", "A\nda", "a word 78"), 422, "name"},
		{"the longest name", account("ada@example.com", strings.Repeat("é", 50), "a word 78"), 201, ""},
		{"a name that is too long", account("ada@example.com", strings.Repeat("é", 51), "a word 78"), 422, "name"},
		{"a password that is too short", account("ada@example.com", "Ada", "1234567"), 422, "password"},
		{"a short password of long letters", account("ada@example.com", "Ada", "ééééééé"), 422, "password"},
		{"a password of spaces", account("ada@example.com", "Ada", strings.Repeat(" ", 16)), 422, "password"},
		{"a password with spaces", account("ada@example.com", "Ada", " two words  of mine "), 201, ""},
		{"a password of smileys", account("ada@example.com", "Ada", "😀🎉🚀🌍🍞🎸🦊🧀"), 201, ""},
		{"the longest password", account("ada@example.com", "Ada", strings.Repeat("😀", 256)), 201, ""},
		{"a password that is too long", account("ada@example.com", "Ada", strings.Repeat("a", 257)), 422, "password"},
		{"a password with a NUL", account("ada@example.com", "Ada", "1234567\x00"), 422, "password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(0)
			s, lines := newServer(t, f, nil)
			response := ask(s, "POST", "/api/v1/accounts", keyed(aKey), sending(test.body))
			text := body(t, response)
			named := test.field == "" || strings.Contains(text, `"errors":[{"field":"`+test.field+`"`) && strings.Count(text, `"field"`) == 1
			if response.StatusCode != test.status || !named {
				t.Errorf("got %d %s\nwant %d and the field %q", response.StatusCode, text, test.status, test.field)
			}
			if log := lines.String(); strings.Contains(log, "a word 78") || strings.Contains(log, "example.com") {
				t.Errorf("what was sent is in the log: %s", log)
			}
		})
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		keys []string
		want string // "" if it is refused
	}{
		{"as it is", []string{"0123456789abcdef"}, "0123456789abcdef"},
		{"a string of the draft", []string{`"0123456789abcdef"`}, "0123456789abcdef"},
		{"a string with escapes", []string{`"0123456789\"\\abcd"`}, `0123456789"\abcd`},
		{"the longest", []string{strings.Repeat("k", 128)}, strings.Repeat("k", 128)},
		{"the longest, quoted", []string{`"` + strings.Repeat("k", 128) + `"`}, strings.Repeat("k", 128)},
		{"none", nil, ""},
		{"empty", []string{""}, ""},
		{"too short", []string{"0123456789abcde"}, ""},
		{"too short without its quotes", []string{`"0123456789abcd"`}, ""},
		{"too long", []string{strings.Repeat("k", 129)}, ""},
		{"two", []string{"0123456789abcdef", "0123456789abcdef"}, ""},
		{"not ASCII", []string{"0123456789abcdéf"}, ""},
		{"a control character", []string{"0123456789abc\tdef"}, ""},
		{"a quote that is not closed", []string{`"0123456789abcdef`}, ""},
		{"a quote within", []string{`"0123456789"abcdef"`}, ""},
		{"an escape of nothing", []string{`"0123456789abcdef\`}, ""},
		{"an escape of something else", []string{`"0123456789\abcdef"`}, ""},
		{"a parameter", []string{`"0123456789abcdef";a=1`}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseKey(test.keys)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
			if err != nil && fieldsOf(err) != "Idempotency-Key" {
				t.Errorf("names %q", fieldsOf(err))
			}
		})
	}
}

// Whatever path is requested, the log line is short and contains only printable characters.
func TestThePathInTheLogIsPrintable(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/%0d%0a%1b%5b2J", "/api/%7f", "/api/%c2%9b2J", "/api/%e2%80%ae", "/api/%ff", "/api/\x7f", "/api/\u009b", "/api/\xff", "/api/" + strings.Repeat("%01", 2000)} {
		s, lines := newServer(t, newFake(0), nil)
		ask(s, "GET", "/api/", func(r *http.Request) {
			u, err := url.ParseRequestURI(strings.ReplaceAll(path, "\x7f", "%7f"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(path, "\x7f") {
				u.RawPath = path
			}
			r.URL = u
		})
		line := strings.ReplaceAll(lines.String(), "…", "")
		if line == "" || len(line) > 2000 || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%.100q is logged with %d bytes as %.1000q", path, len(line), line)
		}
	}
}

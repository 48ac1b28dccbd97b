package api

import (
	"net/http/httptest"
	"strings"
	"testing"

	"oneserver/app"
)

// Nginx compresses answers, even over TLS. An attacker who can make a browser repeat a request with words of their
// choice, and can see how long the answers are, can guess letter by letter what else is in those answers (BREACH). So
// no answer with personal data repeats any part of the request, and no answer contains a secret that signs somebody in.
func TestNoAnswerHoldsBothWhatIsSomebodysAndWhatARequestSays(t *testing.T) {
	t.Parallel()
	const mark = "MaRk5577"
	personal, repeating := 0, 0
	seen := map[string]bool{}
	for _, o := range outcomes {
		if seen[o.operation] || o.body != "" || !strings.HasPrefix(o.operation, "get") && !strings.HasPrefix(o.operation, "list") && !strings.HasPrefix(o.operation, "search") {
			continue // another site can make a browser send only GET and HEAD (refuseCrossOrigin)
		}
		seen[o.operation] = true
		path, query, _ := strings.Cut(o.target, "?")
		for _, target := range []string{o.target, path + "?" + mark, path + "?" + query + "&x=" + mark, path + "?q=" + mark, path + "/" + mark, path + "?before=" + mark} {
			f := newFake(3)
			hers := f.join("Ada")
			signedInElsewhere(f)
			f.add(1, app.Draft{Title: mark, Body: mark}) // the search has results, on more than one page
			f.add(1, app.Draft{Title: mark, Body: mark})
			s, _ := newServer(t, f, nil)
			signedIn := httptest.NewRequest("GET", target, nil)
			hers(signedIn)
			_, token, _ := strings.Cut(signedIn.Header.Get("Cookie"), "=")
			response := ask(s, "GET", target, hers, with("User-Agent", "Firefox/"+mark), with("Referer", "http://evil.example/"+mark),
				with("Origin", "http://evil.example/"+mark), with("Accept-Language", mark), with("X-Request-ID", mark+mark), with("Idempotency-Key", mark+mark))
			text := body(t, response)
			// Posts are public, including those with the mark.
			text = strings.ReplaceAll(text, `"title":"`+mark+`","body":"`+mark+`"`, "")
			holds := strings.Contains(text, "ada@example.com") || strings.Contains(text, aSession)
			repeats := strings.Contains(text, mark)
			if holds {
				personal++
			}
			if repeats {
				repeating++
			}
			if holds && repeats {
				t.Errorf("GET %s: the answer contains both Ada's data and part of the request: %s", target, text)
			}
			if strings.Contains(text, token) {
				t.Errorf("GET %s: the answer contains a secret that signs her in: %s", target, text)
			}
		}
	}
	if personal < 2 || repeating < 2 {
		t.Errorf("%d answers contain personal data, %d repeat the request: the test covers too little", personal, repeating)
	}
}

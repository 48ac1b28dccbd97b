package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"oneserver/app"
)

func from(client string) change { return set("X-Forwarded-For", client) }

// Each of these visitors has a search running. What happens to one more search?
func TestASearchWaitsForNoMoreThanOneOfEachVisitor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		running []string // who is signed in, and from where: "Ada 203.0.113.7", "- 203.0.113.7"
		next    string
		status  int
	}{
		{"the first", nil, "- 203.0.113.7", 200},
		{"a second of the same stranger", []string{"- 203.0.113.7"}, "- 203.0.113.7", 429},
		{"another stranger's", []string{"- 203.0.113.7"}, "- 203.0.113.8", 200},
		{"a second from the same household", []string{"- 2001:db8::1"}, "- 2001:db8::2", 429},
		{"another household's", []string{"- 2001:db8::1"}, "- 2001:db8:0:1::1", 200},
		{"a second of the same account, from elsewhere", []string{"Ada 203.0.113.7"}, "Ada 203.0.113.8", 429},
		{"another account's in the same network", []string{"Ada 203.0.113.7"}, "Bob 203.0.113.7", 200},
		{"a stranger's in the network of an account", []string{"Ada 203.0.113.7"}, "- 203.0.113.7", 200},
		{"one account too many in a network", []string{"Ada 203.0.113.7", "Bob 203.0.113.7", "- 203.0.113.7"}, "Eve 203.0.113.7", 429},
		{"strangers who cannot be told apart", []string{"- 192.0.2.1", "- 192.0.2.1", "- 192.0.2.1", "- 192.0.2.1"}, "- 192.0.2.1", 200},
		{"an account's second, where addresses are hidden", []string{"Ada 192.0.2.1"}, "Ada 192.0.2.1", 429},
		{"another account's, where addresses are hidden", []string{"Ada 192.0.2.1"}, "Bob 192.0.2.1", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(1)
			cookies := map[string]change{"-": func(*http.Request) {}}
			for _, name := range []string{"Ada", "Bob", "Eve"} {
				cookies[name] = f.join(name)
			}
			s, _ := newServer(t, f, nil)
			begun, end := make(chan struct{}), make(chan struct{})
			f.searching = func() {
				begun <- struct{}{}
				<-end
			}
			search := func(who string) *http.Response {
				name, client, _ := strings.Cut(who, " ")
				return ask(s, "GET", "/api/v1/search?q=text", cookies[name], from(client))
			}
			var all sync.WaitGroup
			for _, who := range test.running {
				all.Go(func() {
					if response := search(who); response.StatusCode != 200 {
						t.Errorf("one that runs is answered with %s", response.Status)
					}
				})
			}
			for range test.running {
				<-begun
			}
			go func() { // lets the next one through, if it gets that far
				<-begun
				close(end)
			}()
			response := search(test.next)
			if response.StatusCode == 429 {
				close(end)
				if text := body(t, response); !strings.Contains(text, "Another search of yours is still running") || response.Header.Get("Retry-After") != "1" {
					t.Errorf("the refusal is %s, Retry-After %q", text, response.Header.Get("Retry-After"))
				}
			}
			all.Wait()
			if response.StatusCode != test.status {
				t.Errorf("one more is answered with %s, want %d", response.Status, test.status)
			}
			if len(s.searches.of) > 0 {
				t.Errorf("when all have ended, these still count: %v", s.searches.of)
			}
		})
	}
}

func TestSignUpsOfADayAreBoundedForTheSiteAndForANetwork(t *testing.T) {
	t.Parallel()
	signUps := func(s *Server, client string, n int) (made int, last *http.Response) {
		for i := range n {
			last = ask(s, "POST", "/api/v1/accounts", from(client), keyed(fmt.Sprintf("%s of %s", aKey, client)),
				sending(fmt.Sprintf(`{"email":"n%d@%s.example.com","name":"N","password":%q}`, i, strings.NewReplacer(".", "-", ":", "-").Replace(client), password)))
			if last.StatusCode < 300 || last.StatusCode == http.StatusUnprocessableEntity { // the key is the same
				made++
			}
		}
		return made, last
	}
	f := newFake(0)
	s, _ := newServer(t, f, nil)
	s.Quotas = app.Quotas{SiteAccounts: 30}
	made, last := signUps(s, "203.0.113.7", 5)
	if retry, _ := strconv.Atoi(last.Header.Get("Retry-After")); made != 3 || last.StatusCode != 429 || retry < 3600 {
		t.Errorf("one network makes %d accounts, want a tenth of 30; then it gets %s, Retry-After %d", made, last.Status, retry)
	}
	if made, last := signUps(s, "192.0.2.1", 30); made != 27 || last.StatusCode != 429 {
		t.Errorf("with hidden addresses, the site makes %d more accounts, want 27; then %s", made, last.Status)
	}
	if made, _ := signUps(s, "203.0.113.8", 1); made != 0 {
		t.Error("another network makes an account, although the site has reached its limit")
	}
}

func TestASignUpThatMakesNoAccountIsNotCounted(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	s, _ := newServer(t, f, nil)
	s.Quotas = app.Quotas{SiteAccounts: 30}
	signUp := func(key, email, name string) int {
		return ask(s, "POST", "/api/v1/accounts", from("203.0.113.7"), keyed(key),
			sending(fmt.Sprintf(`{"email":%q,"name":%q,"password":%q}`, email, name, password))).StatusCode
	}
	if status := signUp(aKey, "ada@example.com", "Ada"); status != http.StatusCreated {
		t.Fatal(status)
	}
	for range 5 { // more than the network may make
		if status := signUp(aKey, "ada@example.com", "Another"); status != http.StatusUnprocessableEntity {
			t.Errorf("with the key of another request: %d", status)
		}
		if status := signUp(aKey+" again", "ada@example.com", "Ada"); status != http.StatusConflict {
			t.Errorf("with an address that has an account: %d", status)
		}
	}
	f.full = true
	for range 5 {
		signUp(aKey+" again", "bob@example.com", "Bob")
	}
	f.full = false
	if status := signUp(aKey+" again", "bob@example.com", "Bob"); status != http.StatusCreated {
		t.Errorf("the next account: %d", status)
	}
}

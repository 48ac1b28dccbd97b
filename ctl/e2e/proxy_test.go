package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A proxy that TRUSTED_PROXIES names, and nobody else, is believed about the visitor's address and scheme and the request's
// id. One container in the stack's network has the address of such a proxy, another does not. What web believed shows in its
// log and in the redirect of the bare domain.
func TestOnlyANamedProxySpeaksForItsVisitors(t *testing.T) {
	t.Parallel()
	proxy, stranger := site.subnet+".90", site.subnet+".91"
	tests := []struct {
		name, from string
		fields     []string
		address    string // of the visitor, as web sees it
		scheme     string
		id         bool // whether the id that was passed on is accepted
	}{
		{"a stranger", stranger, []string{"X-Forwarded-For: 192.0.2.88", "X-Forwarded-Proto: https", "Forwarded: for=192.0.2.88;proto=https", "X-Real-IP: 192.0.2.88"}, stranger, "http", false},
		{"a stranger who claims to come through the proxy", stranger, []string{"X-Forwarded-For: 192.0.2.88, " + proxy, "X-Forwarded-Proto: https"}, stranger, "http", false},
		{"a stranger who claims a loopback address", stranger, []string{"X-Forwarded-For: 127.0.0.1"}, stranger, "http", false},
		{"the proxy", proxy, []string{"X-Forwarded-For: 192.0.2.88", "X-Forwarded-Proto: https"}, "192.0.2.88", "https", true},
		{"the proxy, over http", proxy, []string{"X-Forwarded-For: 192.0.2.88", "X-Forwarded-Proto: http"}, "192.0.2.88", "http", true},
		{"the proxy without a visitor's address", proxy, nil, proxy, "http", true},
		{"the proxy for a visitor with IPv6", proxy, []string{"X-Forwarded-For: 2001:db8:7::1", "X-Forwarded-Proto: https"}, "2001:db8:7::1", "https", true},
		{"the proxy with the visitor's port", proxy, []string{"X-Forwarded-For: [2001:db8:7::1]:1234"}, "2001:db8:7::1", "http", true},
		{"a visitor who made up an address", proxy, []string{"X-Forwarded-For: 127.0.0.1, 192.0.2.88"}, "192.0.2.88", "http", true},
		{"a visitor who added a field", proxy, []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 192.0.2.88"}, "192.0.2.88", "http", true},
		{"a visitor who wrote nonsense", proxy, []string{"X-Forwarded-For: unknown, , 300.1.1.1, \xff, 192.0.2.88"}, "192.0.2.88", "http", true},
		{"two proxies", proxy, []string{"X-Forwarded-For: 192.0.2.88, 198.51.100.4"}, "192.0.2.88", "http", true},
		{"two proxies, the outer with IPv6", proxy, []string{"X-Forwarded-For: 203.0.113.9, 192.0.2.88, 2001:db8:1::4"}, "192.0.2.88", "http", true},
		{"two proxies, and the outer one is not named", proxy, []string{"X-Forwarded-For: 192.0.2.88, 203.0.113.4"}, "203.0.113.4", "http", true},
		{"nonsense from the proxy", proxy, []string{"X-Forwarded-For: unknown", "X-Forwarded-Proto: gopher"}, proxy, "http", true},
		{"the schemes of a chain", proxy, []string{"X-Forwarded-For: 192.0.2.88", "X-Forwarded-Proto: https, http"}, "192.0.2.88", "http", true},
		{"a scheme followed by more", proxy, []string{"X-Forwarded-For: 192.0.2.88", "X-Forwarded-Proto: https://example.com"}, "192.0.2.88", "http", true},
	}
	// Two requests for each case, all from the same address in one container, since starting a container takes longer than
	// the requests.
	requests := map[string]string{}
	for i, test := range tests {
		for _, host := range []string{"foobar.com", "www.foobar.com"} {
			requests[test.from] += fmt.Sprintf("url = http://%s.80/\nheader = \"Host: %s\"\nheader = \"X-Request-ID: from-a-proxy-%02d\"\n", site.subnet, host, i)
			for _, field := range test.fields {
				requests[test.from] += fmt.Sprintf("header = \"%s\"\n", field)
			}
			requests[test.from] += "max-time = 20\noutput = /dev/null\nwrite-out = \"%{redirect_url} %header{x-request-id}\\n\"\nnext\n"
		}
	}
	answers := map[string][]string{}
	for from, config := range requests {
		answers[from] = strings.Split(askFrom(t, from, config), "\n")
	}
	for i, test := range tests {
		redirect, direct := answers[test.from][0], answers[test.from][1]
		answers[test.from] = answers[test.from][2:]
		if to, _, _ := strings.Cut(redirect, " "); to != test.scheme+"://www.foobar.com/" {
			t.Errorf("%s is sent to %q with %s", test.name, to, test.scheme)
		}
		id := strings.TrimSpace(direct)
		if handedOn := fmt.Sprintf("from-a-proxy-%02d", i); (id == handedOn) != test.id {
			t.Errorf("%s: the request has the id %q; %q was passed on", test.name, id, handedOn)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := comesTrue(ctx, site, logsRequest("web", id, test.address)); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		cancel()
	}

	// The application learns the same.
	for from, want := range map[string]string{proxy: "__Host-session", stranger: "session"} {
		v := newVisitor(t, site)
		v.signUp()
		got := askFrom(t, from, fmt.Sprintf("url = http://%s.80/api/v1/session\nheader = \"Host: www.foobar.com\"\nheader = \"X-Forwarded-For: 192.0.2.88\"\nheader = \"X-Forwarded-Proto: https\"\n"+
			"header = \"Content-Type: application/json\"\nrequest = PUT\ndata = %q\nmax-time = 20\nwrite-out = \"%%header{set-cookie}\"\n", site.subnet, fmt.Sprintf(`{"email": %q, "password": %q}`, v.email, v.password)))
		if !strings.Contains(got, "\n"+want+"=") {
			t.Errorf("signing in from %s sets no cookie %s: %s", from, want, got)
		}
	}
}

// askFrom runs curl with this configuration (its --config) in a container that has this address, and returns what it
// printed.
func askFrom(t *testing.T, address, config string) string {
	t.Helper()
	cmd := site.command(t.Context(), "docker", "run", "--rm", "--interactive", "--network", site.project+"_default", "--ip", address,
		"--entrypoint", "curl", "nginx:1.30", "--silent", "--config", "-")
	cmd.Stdin = strings.NewReader(strings.TrimSuffix(config, "next\n"))
	out, err := combined(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The limits for each address count the address that a named proxy reports (for IPv6, the household's /64), never the
// proxy's own. They do not apply to the stack's own network, where all visitors would count as one.
func TestLimitsCountTheAddressThatAProxyTells(t *testing.T) {
	t.Parallel()
	const many = 400 // 100 are answered immediately, 100 wait, and 50 more are let in each second
	tests := []struct {
		name, ip, forwarded string // with %d or %x, another in nearly every request
		limited             bool
	}{
		{"one visitor", "92", "192.0.2.8", true},
		{"one household", "92", "2001:db8:8::%x", true},
		{"many visitors", "92", "192.0.3.%d", false},
		{"many visitors, in IPv6 notation", "92", "::ffff:192.0.4.%d", false},
		{"one visitor, in IPv6 notation", "92", "::ffff:192.0.5.8", true},
		{"a visitor with an address of the stack's network", "92", site.subnet + ".1", true},
		{"the proxy without a visitor's address", "92", "", false},
		{"somebody in the stack's own network", "93", "192.0.2.9", false},
	}
	for _, test := range tests {
		var requests strings.Builder
		for i := range many {
			address := test.forwarded
			if strings.Contains(address, "%") {
				address = fmt.Sprintf(address, i%200) // in IPv4, at most 255
			}
			fmt.Fprintf(&requests, "url = http://%s.80/api/nothing\nheader = \"Host: www.foobar.com\"\nheader = \"X-Forwarded-For: %s\"\noutput = /dev/null\nwrite-out = \"%%{http_code} \"\nmax-time = 20\nnext\n",
				site.subnet, address)
		}
		out := askFrom(t, site.subnet+"."+test.ip, "parallel\nparallel-immediate\nparallel-max = 300\n"+requests.String())
		answered, refused := strings.Count(out, "404 "), strings.Count(out, "429 ")
		if answered+refused != many || (refused > 0) != test.limited {
			t.Errorf("%s: %d of %d requests were refused; limited %t", test.name, refused, many, test.limited)
		}
	}
}

// A client that asks again as soon as it is answered is made to wait rather than refused, since a refusal would cost as much
// as an answer.
func TestWhoAsksTooFastWaitsAndIsNotRefused(t *testing.T) {
	t.Parallel()
	const many = 200 // 100 are answered immediately
	one := fmt.Sprintf("url = http://%s.80/api/nothing\nheader = \"Host: www.foobar.com\"\nheader = \"X-Forwarded-For: 192.0.2.77\"\noutput = /dev/null\nwrite-out = \"%%{http_code} %%{time_total}\\n\"\nmax-time = 20\nnext\n",
		site.subnet)
	out := askFrom(t, site.subnet+".94", "parallel\nparallel-immediate\nparallel-max = 32\n"+strings.Repeat(one, many))
	answered, waited := 0, 0
	for line := range strings.Lines(out) {
		var status int
		var seconds float64
		if _, err := fmt.Sscan(line, &status, &seconds); err == nil && status == 404 {
			answered++
			if seconds > 0.2 {
				waited++
			}
		}
	}
	if answered != many || waited < 20 {
		t.Errorf("of %d requests, %d were answered, %d of them after a while", many, answered, waited)
	}
}

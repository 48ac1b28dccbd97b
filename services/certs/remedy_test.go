package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// Every kind of problem that an authority can name, with some words of its remedy.
var kinds = map[string]string{
	// RFC 8555, section 6.7
	"accountDoesNotExist": "new account", "alreadyRevoked": "report it", "badCSR": "another authority", "badNonce": "a proxy",
	"badPublicKey": "another authority", "badRevocationReason": "report it", "badSignatureAlgorithm": "another authority", "caa": "CAA record",
	"compound": "the authority's message", "connection": "firewall", "dns": "A record", "externalAccountRequired": "ACME_EAB_KID",
	"incorrectResponse": "this server alone", "invalidContact": "ACME_EMAIL", "malformed": "make sense", "orderNotReady": "new order",
	"rateLimited": "staging", "rejectedIdentifier": "DOMAIN", "serverInternal": "fault of its own", "tls": "to https",
	"unauthorized": "this server alone", "unsupportedContact": "ACME_EMAIL", "unsupportedIdentifier": "DOMAIN", "userActionRequired": "by hand",
	// RFC 9773, section 7.4
	"alreadyReplaced": "new order",
	// draft-ietf-acme-profiles, section 4
	"invalidProfile": "ACME_PROFILE",
	// a kind that is not known yet
	"somethingNew": "in the authority's documentation",
}

func TestEachProblemOfAnAuthorityHasARemedy(t *testing.T) {
	t.Parallel()
	for kind, want := range kinds {
		problem := acme.Problem{Type: acme.ProblemTypeNamespace + kind, Status: 403, Detail: "as it is"}
		for form, err := range map[string]error{
			"alone":         problem,
			"of an order":   fmt.Errorf("final order is invalid: %w", &problem),
			"deep within":   &waitError{fmt.Errorf("have the certificate issued: %w", fmt.Errorf("attempt 1: %w", problem)), time.Hour},
			"of one name":   acme.Problem{Type: acme.ProblemTypeCompound, Subproblems: []acme.Subproblem{{Problem: problem}}},
			"of the latter": acme.Problem{Type: acme.ProblemTypeNamespace + "other", Subproblems: []acme.Subproblem{{}, {Problem: problem}}},
		} {
			want := want
			if kind == "somethingNew" && form == "of one name" {
				want = kinds["compound"]
			}
			if got := advise(err); !strings.Contains(got, want) {
				t.Errorf("%s %s: %q, want %q", kind, form, got, want)
			}
		}
	}
	// Only kinds that an authority can name are listed.
	for _, one := range remedies {
		for _, kind := range strings.Split(one.of, "`") {
			if _, known := kinds[kind]; strings.HasPrefix(one.of, "`") && strings.Trim(kind, ", ") != "" && !known {
				t.Errorf("%q is listed, and no RFC has it", kind)
			}
		}
	}
}

// The page has a row for each remedy, in the same words and in the same order.
func TestThePageHasTheSameRemedies(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, one := range remedies {
		fmt.Fprintf(&rows, "| %s | %s |\n", one.of, one.do)
	}
	if !strings.Contains(string(text), "\n|---|---|\n"+rows.String()+"\n") {
		t.Errorf("docs/troubleshooting.md should have this table:\n%s", rows.String())
	}
}

// authority starts an authority that answers with handler.
func authority(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // about clients that do not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// The causes that keep an authority from answering are distinguished, and recorded where the health check finds them.
func TestAnAuthorityThatDoesNotAnswerIsExplained(t *testing.T) {
	t.Parallel()
	well := authority(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html>")
	})
	ill := authority(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<h1>we are away</h1>", http.StatusServiceUnavailable)
	})
	gone := authority(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	ended := make(chan struct{})
	slow := authority(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	t.Cleanup(func() { close(ended) })
	closed := authority(t, nil)
	closed.Close()

	trusting := func(server *httptest.Server, change func(*http.Transport)) http.RoundTripper {
		transport := server.Client().Transport.(*http.Transport).Clone()
		if change != nil {
			change(transport)
		}
		return transport
	}
	for _, test := range []struct {
		name      string
		directory string
		transport http.RoundTripper
		says      string
	}{
		{"a name that is not there", "https://authority.invalid/", &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "authority.invalid", IsNotFound: true}}
		}}, "typing error"},
		{"nobody listens", closed.URL, trusting(closed, nil), "reach port 443"},
		{"it hangs", slow.URL, trusting(slow, nil), "status page"},
		{"its certificate is nobody's", well.URL, http.DefaultTransport, "in its place"},
		{"its certificate is another's", well.URL, trusting(well, func(t *http.Transport) { t.TLSClientConfig.ServerName = "authority.test" }), "in its place"},
		{"this server's clock is years ahead", well.URL, trusting(well, func(t *http.Transport) {
			t.TLSClientConfig.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
		}), "timedatectl"},
		{"this server's clock begins in 1970", well.URL, trusting(well, func(t *http.Transport) {
			t.TLSClientConfig.Time = func() time.Time { return time.Unix(0, 0).Add(-24 * time.Hour) }
		}), "timedatectl"},
		{"a page", well.URL, trusting(well, nil), "URL of the directory"},
		{"nothing there", gone.URL, trusting(gone, nil), "URL of the directory"},
		{"a fault without a problem", ill.URL, trusting(ill, nil), "status page"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := time.Now()
			k := newTestKeeper(t, &at)
			k.directory, k.transport, k.patience = test.directory, test.transport, 200*time.Millisecond
			look(t, k) // which serves the stack's own certificate whatever the authority does
			err := healthcheck(t.Context(), k.settings)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), " -> ") {
				t.Errorf("it says %v, want %q", err, test.says)
			}
		})
	}
	if got := advise(&url.Error{Op: "Post", Err: errors.Join(errWeb, context.DeadlineExceeded)}); !strings.Contains(got, "make ps") {
		t.Errorf("where web is late: %q", got)
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Authorities query CAA and TXT records, and treat a failed query as a refusal.
func TestRecordsOfAPublicCertificateComeAndGoWithIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	want := func(what string, answers map[string]string) {
		t.Helper()
		s.eventually(t, 4*time.Second, what, func() error {
			for asked, want := range answers {
				name, kind, _ := strings.Cut(asked, " ")
				got := s.mustAsk(t, "udp", "", question(name, dns.StringToType[kind]))
				if got.Rcode != dns.RcodeSuccess || !got.Authoritative || text(got.Answer) != want {
					return fmt.Errorf("%s is %q, %s", asked, text(got.Answer), dns.RcodeToString[got.Rcode])
				}
			}
			return nil
		})
	}
	none := map[string]string{
		"foobar.com. HTTPS": "", "foobar.com. CAA": "", "foobar.com. TXT": "",
		"www.foobar.com. HTTPS": "www.foobar.com. CNAME foobar.com.", "www.foobar.com. CAA": "www.foobar.com. CNAME foobar.com.",
	}
	want("have no such record", none)

	s.replace(t, "public", "https://ca.example/directory\nca.example\nother.example\nno name \"\\\n")
	want("have them", map[string]string{
		"foobar.com. HTTPS":     `foobar.com. HTTPS 1 . alpn="h3,h2"`,
		"www.foobar.com. HTTPS": `www.foobar.com. CNAME foobar.com., foobar.com. HTTPS 1 . alpn="h3,h2"`,
		"foobar.com. CAA":       `foobar.com. CAA 0 issue "ca.example", foobar.com. CAA 0 issue "other.example"`,
		"foobar.com. TXT":       "", "www.foobar.com. A": chain,
	})
	s.replace(t, "public", "https://ca.example/directory\n") // a marker that names no authority forbids none
	want("follow the certificate", map[string]string{"foobar.com. CAA": ""})
	if err := os.Remove(filepath.Join(s.folder, "public")); err != nil {
		t.Fatal(err)
	}
	want("have none again", none)
}

func TestAnotherPortThan443HasNoHTTPSRecord(t *testing.T) {
	t.Parallel()
	s := start(t, "HTTPS_PORT=8443")
	s.replace(t, "public", "https://ca.example/directory\nca.example\n")
	s.eventually(t, 4*time.Second, "have a CAA record", func() error {
		if got := text(s.mustAsk(t, "udp", "", question("foobar.com.", dns.TypeCAA)).Answer); got != `foobar.com. CAA 0 issue "ca.example"` {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	if got := text(s.mustAsk(t, "udp", "", question("foobar.com.", dns.TypeHTTPS)).Answer); got != "" {
		t.Errorf("it has %q", got)
	}
}

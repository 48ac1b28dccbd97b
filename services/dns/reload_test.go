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

// answers returns a check that the server answers the question for name and kind with want.
func (s *server) answers(name string, kind uint16, want string) func() error {
	return func() error {
		got, err := s.ask("udp", "", question(name, kind))
		if err != nil {
			return err
		}
		if answer := text(got.Answer); answer != want {
			return fmt.Errorf("%s is answered with %s and %q, want %q", name, dns.RcodeToString[got.Rcode], answer, want)
		}
		return nil
	}
}

func (s *server) logs(line string) func() error {
	return func() error {
		if !strings.Contains(s.log.String(), line) {
			return fmt.Errorf("no %q in the log", line)
		}
		return nil
	}
}

func TestChangedZoneIsServedWithoutLosingAQuery(t *testing.T) {
	t.Parallel()
	zone := read(t, "zone/site.zone")
	tests := []struct {
		name   string
		change func(s *server, t *testing.T, name, text string)
	}{
		{"saved by renaming", (*server).replace},
		{"saved in place", (*server).write},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			before := s.serial(t)
			s.underQueries(t, map[string]int{"udp": 1, "tcp": 1}, func() {
				test.change(s, t, "zone/site.zone", zone+"new IN A 192.0.2.1\n")
				s.eventually(t, 3*time.Second, "serve the new record", s.answers("new.foobar.com.", dns.TypeA, "new.foobar.com. A 192.0.2.1"))
			})
			if after := s.serial(t); after <= before {
				t.Errorf("the serial went from %d to %d", before, after)
			}
		})
	}
}

// A secondary server takes a new zone only if the serial has grown, so the serial must grow even if the time of the
// file goes back.
func TestSerialGrowsWhenAnOlderFileIsPutBack(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := s.serial(t)
	s.write(t, "older", read(t, "zone/site.zone")+"old IN A 192.0.2.1\n")
	older := filepath.Join(s.folder, "older")
	if err := os.Chtimes(older, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(older, filepath.Join(s.folder, "zone/site.zone")); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, 3*time.Second, "serve the older file", s.answers("old.foobar.com.", dns.TypeA, "old.foobar.com. A 192.0.2.1"))
	if after := s.serial(t); after <= before {
		t.Errorf("the serial went from %d to %d", before, after)
	}
}

func (s *server) serial(t *testing.T) uint32 {
	t.Helper()
	return s.mustAsk(t, "udp", "", question("foobar.com.", dns.TypeSOA)).Answer[0].(*dns.SOA).Serial
}

func TestWrongZoneIsReportedOnceAndTheOldOneKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	zone := read(t, "zone/site.zone")
	s.replace(t, "zone/site.zone", zone+"new IN A 1.2.3\n")
	s.eventually(t, 3*time.Second, "report the error", s.logs("foobar.com. keeps the zone that it has: "))
	if err := s.answers("www.foobar.com.", dns.TypeA, chain)(); err != nil {
		t.Error(err)
	}
	s.replace(t, "zone/site.zone", zone+"new IN A 192.0.2.1\n")
	s.eventually(t, 3*time.Second, "serve the repaired zone", s.answers("new.foobar.com.", dns.TypeA, "new.foobar.com. A 192.0.2.1"))
	if reports := strings.Count(s.log.String(), "foobar.com. keeps"); reports != 1 {
		t.Errorf("the error was reported %d times", reports)
	}
}

func TestZoneFileThatGoesAwayIsReportedAndTheZoneKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.remove(t, "zone/site.zone")
	s.eventually(t, 3*time.Second, "report it", s.logs("no such file"))
	if err := s.answers("www.foobar.com.", dns.TypeA, chain)(); err != nil {
		t.Error(err)
	}
}

func TestAliasOfAnotherDomainIsLeftToTheResolver(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.replace(t, "zone/site.zone", read(t, "zone/site.zone")+"cdn IN CNAME www.example.com.\nshort IN CNAME www\ndead IN CNAME nothing\n")
	s.eventually(t, 3*time.Second, "serve the aliases", s.answers("cdn.foobar.com.", dns.TypeA, "cdn.foobar.com. CNAME www.example.com."))
	got := s.mustAsk(t, "udp", "", question("cdn.foobar.com.", dns.TypeA))
	if got.Rcode != dns.RcodeSuccess || !got.Authoritative || len(got.Ns) != 0 {
		t.Errorf("an alias of another domain: %v", got)
	}
	if err := s.answers("short.foobar.com.", dns.TypeA, "short.foobar.com. CNAME www.foobar.com., "+chain)(); err != nil {
		t.Error(err)
	}
	got = s.mustAsk(t, "udp", "", question("dead.foobar.com.", dns.TypeA))
	if got.Rcode != dns.RcodeNameError || types(got.Answer) != "CNAME" || types(got.Ns) != "SOA" {
		t.Errorf("an alias of a name that is not there: %v", got)
	}
}

// A new Corefile means a new server on the same sockets. The old one closes its TCP connections, even one whose
// question is still on its way; that client asks again, as RFC 7766, section 6.2.4, expects.
func TestChangedCorefileIsTakenOverWithoutLosingAQuery(t *testing.T) {
	t.Parallel()
	s := start(t)
	corefile := s.corefile(t)
	size := func(want uint16) func() error {
		return func() error {
			got, err := s.ask("udp", "", question("www.foobar.com.", dns.TypeA).SetEdns0(4096, false))
			if err != nil {
				return err
			}
			if size := got.IsEdns0().UDPSize(); size != want {
				return fmt.Errorf("the EDNS size is %d, want %d", size, want)
			}
			return nil
		}
	}
	s.underQueries(t, map[string]int{"udp": 1, "tcp": 2}, func() {
		s.write(t, "corefile", strings.ReplaceAll(corefile, "bufsize 1232", "bufsize 1"))
		s.eventually(t, 5*time.Second, "report the wrong Corefile", s.logs("[ERROR] plugin/reload: Corefile changed but reload failed"))
		s.write(t, "corefile", strings.ReplaceAll(corefile, "bufsize 1232", "bufsize 900"))
		s.eventually(t, 5*time.Second, "take over the repaired Corefile", size(900))
	})
	s.replace(t, "zone/site.zone", read(t, "zone/site.zone")+"new IN A 192.0.2.1\n")
	s.eventually(t, 3*time.Second, "still watch the zone", s.answers("new.foobar.com.", dns.TypeA, "new.foobar.com. A 192.0.2.1"))
}

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	chain = "www.foobar.com. CNAME foobar.com., foobar.com. A 8.8.8.8"
	host  = "foobar.com. A 8.8.8.8"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := start(t)
	tests := []struct {
		name      string
		question  *dns.Msg
		rcode     int
		aa        bool
		answer    string
		authority string // types
	}{
		{"www is an alias of the domain", question("www.foobar.com.", dns.TypeA), dns.RcodeSuccess, true, chain, ""},
		{"the alias alone", question("www.foobar.com.", dns.TypeCNAME), dns.RcodeSuccess, true, "www.foobar.com. CNAME foobar.com.", ""},
		{"the domain", question("foobar.com.", dns.TypeA), dns.RcodeSuccess, true, host, ""},
		{"its name server", question("foobar.com.", dns.TypeNS), dns.RcodeSuccess, true, "foobar.com. NS ns1.foobar.com.", ""},
		{"the name server's address", question("ns1.foobar.com.", dns.TypeA), dns.RcodeSuccess, true, "ns1.foobar.com. A 8.8.8.8", ""},
		{"no such name", question("nothing.foobar.com.", dns.TypeA), dns.RcodeNameError, true, "", "SOA"},
		{"no such name below one that is there", question("a.b.www.foobar.com.", dns.TypeA), dns.RcodeNameError, true, "", "SOA"},
		{"no IPv6 address", question("foobar.com.", dns.TypeAAAA), dns.RcodeSuccess, true, "", "SOA"},
		{"no IPv6 address behind the alias", question("www.foobar.com.", dns.TypeAAAA), dns.RcodeSuccess, true, "www.foobar.com. CNAME foobar.com.", "SOA"},
		{"no mail", question("foobar.com.", dns.TypeMX), dns.RcodeSuccess, true, "", "SOA"},
		{"no DS record", question("foobar.com.", dns.TypeDS), dns.RcodeSuccess, true, "", "SOA"},
		{"ANY gets one record", question("foobar.com.", dns.TypeANY), dns.RcodeSuccess, true, `foobar.com. HINFO "RFC8482" ""`, ""},
		{"ANY of an alias gets the alias", question("www.foobar.com.", dns.TypeANY), dns.RcodeSuccess, true, "www.foobar.com. CNAME foobar.com.", ""},
		{"ANY of no name", question("nothing.foobar.com.", dns.TypeANY), dns.RcodeNameError, true, "", "SOA"},
		{"ANY outside the zone", question("example.com.", dns.TypeANY), dns.RcodeRefused, false, "", ""},
		{"mixed case comes back as it was", question("WwW.fOoBaR.cOm.", dns.TypeCNAME), dns.RcodeSuccess, true, "WwW.fOoBaR.cOm. CNAME foobar.com.", ""},
		{"another domain", question("example.com.", dns.TypeA), dns.RcodeRefused, false, "", ""},
		{"a domain that ends alike", question("notfoobar.com.", dns.TypeA), dns.RcodeRefused, false, "", ""},
		{"the domain above", question("com.", dns.TypeNS), dns.RcodeRefused, false, "", ""},
		{"the root", question(".", dns.TypeNS), dns.RcodeRefused, false, "", ""},
		{"a transfer", question("foobar.com.", dns.TypeAXFR), dns.RcodeRefused, false, "", ""},
		{"an incremental transfer", question("foobar.com.", dns.TypeIXFR), dns.RcodeRefused, false, "", ""},
		{"the version", inClass(dns.ClassCHAOS, question("version.bind.", dns.TypeTXT)), dns.RcodeRefused, false, "", ""},
		{"the version, asked of the zone", inClass(dns.ClassCHAOS, question("foobar.com.", dns.TypeTXT)), dns.RcodeRefused, false, "", ""},
		{"a notification", withOpcode(dns.OpcodeNotify, question("foobar.com.", dns.TypeSOA)), dns.RcodeNotImplemented, false, "", ""},
		{"an update", withOpcode(dns.OpcodeUpdate, question("foobar.com.", dns.TypeSOA)), dns.RcodeNotImplemented, false, "", ""},
		{"a later EDNS", withEDNSVersion(1, question("foobar.com.", dns.TypeA)), dns.RcodeBadVers, false, "", ""},
	}
	for _, test := range tests {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(test.name+" over "+network, func(t *testing.T) {
				t.Parallel()
				got := s.mustAsk(t, network, "", test.question.Copy())
				if got.Rcode != test.rcode || got.Authoritative != test.aa || got.RecursionAvailable || got.Truncated {
					t.Errorf("%s, aa %t, ra %t, tc %t; want %s, aa %t and no other", dns.RcodeToString[got.Rcode],
						got.Authoritative, got.RecursionAvailable, got.Truncated, dns.RcodeToString[test.rcode], test.aa)
				}
				if got.Opcode != dns.OpcodeUpdate && (len(got.Question) != 1 || got.Question[0] != test.question.Question[0]) {
					t.Errorf("question %v, want %v", got.Question, test.question.Question)
				}
				if answer := text(got.Answer); answer != test.answer {
					t.Errorf("answer %q, want %q", answer, test.answer)
				}
				if authority := types(got.Ns); authority != test.authority {
					t.Errorf("authority %q, want %q", authority, test.authority)
				}
			})
		}
	}
}

func TestDenialsAreRememberedForAMinuteAtMost(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, q := range []*dns.Msg{question("nothing.foobar.com.", dns.TypeA), question("www.foobar.com.", dns.TypeAAAA)} {
		soa := s.mustAsk(t, "udp", "", q).Ns[0].(*dns.SOA)
		if ttl := min(soa.Hdr.Ttl, soa.Minttl); ttl == 0 || ttl > 60 {
			t.Errorf("%s: %d s by %v", q.Question[0].String(), ttl, soa)
		}
	}
}

func TestSOASerialIsTheTimeOfTheZoneFile(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.mustAsk(t, "udp", "", question("foobar.com.", dns.TypeSOA))
	if text := text(got.Answer); !strings.HasPrefix(text, "foobar.com. SOA ns1.foobar.com. hostmaster.foobar.com. ") {
		t.Fatalf("answer %q", text)
	}
	if age := time.Since(time.Unix(int64(got.Answer[0].(*dns.SOA).Serial), 0)); age < 0 || age > time.Minute {
		t.Errorf("the serial is a time %v ago; the file was written just now", age)
	}
}

// One zone file gives two views: inside the stack's own network, names lead to its containers; everywhere else, to
// SERVER_IP.
func TestViews(t *testing.T) {
	t.Parallel()
	s := start(t)
	tests := []struct{ name, from, web, dns string }{
		{"a container", "127.28.0.130", "127.28.0.80", "127.28.0.53"},
		{"web itself", "127.28.0.80", "127.28.0.80", "127.28.0.53"},
		{"an address that begins like the gateway's", "127.28.0.10", "127.28.0.80", "127.28.0.53"},
		{"the gateway, for which the host asks", "127.28.0.1", "8.8.8.8", "8.8.8.8"},
		{"the network beside it", "127.28.1.130", "8.8.8.8", "8.8.8.8"},
		{"the server itself", "127.0.0.1", "8.8.8.8", "8.8.8.8"},
	}
	for _, test := range tests {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(test.name+" over "+network, func(t *testing.T) {
				t.Parallel()
				want := "www.foobar.com. CNAME foobar.com., foobar.com. A " + test.web
				if got := text(s.mustAsk(t, network, test.from, question("www.foobar.com.", dns.TypeA)).Answer); got != want {
					t.Errorf("www: %q, want %q", got, want)
				}
				want = "ns1.foobar.com. A " + test.dns
				if got := text(s.mustAsk(t, network, test.from, question("ns1.foobar.com.", dns.TypeA)).Answer); got != want {
					t.Errorf("ns1: %q, want %q", got, want)
				}
			})
		}
	}
}

func TestDatagramsNeedNoFragments(t *testing.T) {
	t.Parallel()
	s := start(t)
	for asked, want := range map[uint16]uint16{4096: 1232, 1232: 1232, 512: 512} {
		got := s.mustAsk(t, "udp", "", question("www.foobar.com.", dns.TypeA).SetEdns0(asked, false)).IsEdns0()
		if got == nil || got.UDPSize() != want {
			t.Errorf("asked with %d: %v, want a size of %d", asked, got, want)
		}
	}
	if got := s.mustAsk(t, "udp", "", question("www.foobar.com.", dns.TypeA)).IsEdns0(); got != nil {
		t.Errorf("asked without EDNS: %v", got)
	}
}

// An answer that does not fit is truncated and marked as truncated; over TCP it is complete.
func TestLongAnswersGoOverTCP(t *testing.T) {
	t.Parallel()
	s := start(t)
	var long string
	for _, letter := range []string{"a", "b", "c", "d", "e", "f"} {
		long += "long IN TXT " + strings.Repeat(letter, 250) + "\n"
	}
	s.replace(t, "zone/site.zone", read(t, "zone/site.zone")+long)
	ask := question("long.foobar.com.", dns.TypeTXT).SetEdns0(4096, false)
	s.eventually(t, 3*time.Second, "serve the new records", func() error {
		if got := s.mustAsk(t, "tcp", "", ask); len(got.Answer) != 6 {
			return fmt.Errorf("answered with %v", got)
		}
		return nil
	})
	got := s.mustAsk(t, "udp", "", ask)
	if size := got.Len(); !got.Truncated || size > 1232 {
		t.Errorf("over UDP: %d bytes, truncated %t", size, got.Truncated)
	}
}

func TestSurvivesMalformedPackets(t *testing.T) {
	t.Parallel()
	s := start(t)
	packets := map[string]string{
		"empty":                        "",
		"one byte":                     "\x00",
		"a header alone":               "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00",
		"no question":                  "\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"counts that lie":              "\x12\x34\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff",
		"a name that points to itself": "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01",
		"a label that runs out":        "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fabc",
		"an answer, not a question":    "\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x06foobar\x03com\x00\x00\x01\x00\x01",
		"noise":                        strings.Repeat("\xa5\x5a", 256),
	}
	for name, packet := range packets {
		for _, network := range []string{"udp", "tcp"} {
			connection, err := net.Dial(network, "127.0.0.1:"+s.port)
			if err != nil {
				t.Fatal(err)
			}
			if network == "tcp" {
				packet = string(binary.BigEndian.AppendUint16(nil, uint16(len(packet)))) + packet
			}
			if _, err := io.WriteString(connection, packet); err != nil {
				t.Errorf("%s over %s: %v", name, network, err)
			}
			if got := text(s.mustAsk(t, network, "", question("www.foobar.com.", dns.TypeA)).Answer); got != chain {
				t.Errorf("after %s over %s: %q", name, network, got)
			}
			connection.Close()
		}
	}
	if log := s.log.String(); strings.Contains(log, "panic") {
		t.Error("it panicked")
	}
}

func inClass(class uint16, m *dns.Msg) *dns.Msg {
	m.Question[0].Qclass = class
	return m
}

func withOpcode(opcode int, m *dns.Msg) *dns.Msg {
	m.Opcode = opcode
	return m
}

func withEDNSVersion(version uint8, m *dns.Msg) *dns.Msg {
	m.SetEdns0(1232, false).IsEdns0().SetVersion(version)
	return m
}

func types(records []dns.RR) string {
	names := make([]string, len(records))
	for i, record := range records {
		names[i] = dns.TypeToString[record.Header().Rrtype]
	}
	return strings.Join(names, " ")
}

// This server must be useless for amplifying a flood: whatever a query with a forged sender asks, the answer that goes
// to that sender is at most a few times as long as the query. (RFC 8482 is about ANY, the worst case.)
func TestAnswersOverUDPAmplifyLittle(t *testing.T) {
	t.Parallel()
	s := start(t)
	const most = 4 // times the size of the query
	for _, name := range []string{"foobar.com.", "www.foobar.com.", "ns1.foobar.com.", "nothing.foobar.com.", "example.com.", ".", strings.Repeat(strings.Repeat("a", 60)+".", 3) + "foobar.com."} {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeDNSKEY, dns.TypeRRSIG, dns.TypeANY, dns.TypeAXFR} {
			ask := question(name, kind).SetEdns0(4096, true)
			asked, err := ask.Pack()
			if err != nil {
				t.Fatal(err)
			}
			connection, err := net.Dial("udp", "127.0.0.1:"+s.port)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if err := connection.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := connection.Write(asked); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, 65_535)
			size, err := connection.Read(answer)
			if err != nil {
				t.Fatalf("%s %s: %v", name, dns.TypeToString[kind], err)
			}
			if size > most*len(asked) {
				t.Errorf("%s %s: a query of %d bytes is answered with %d", name, dns.TypeToString[kind], len(asked), size)
			}
		}
	}
}

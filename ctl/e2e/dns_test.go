package e2e

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestDNSAnswersAsAnAuthoritativeServerShould(t *testing.T) {
	t.Parallel()
	const chain = "www.foobar.com. CNAME foobar.com. · foobar.com. A 8.8.8.8"
	tests := []struct {
		name      string
		ask       *dns.Msg
		rcode     int
		answer    string // owner, type, data of the answer section, in order
		authority string // types in the authority section
		aa        bool
	}{
		{"www is a CNAME to the domain, whose address follows", question("www.foobar.com.", dns.TypeA), dns.RcodeSuccess, chain, "", true},
		{"the domain has the server's address", question("foobar.com.", dns.TypeA), dns.RcodeSuccess, "foobar.com. A 8.8.8.8", "", true},
		{"the CNAME itself can be asked for", question("www.foobar.com.", dns.TypeCNAME), dns.RcodeSuccess, "www.foobar.com. CNAME foobar.com.", "", true},
		{"names keep the case they were asked in", question("wWw.FoObAr.CoM.", dns.TypeCNAME), dns.RcodeSuccess, "wWw.FoObAr.CoM. CNAME foobar.com.", "", true},
		{"a name that does not exist gets NXDOMAIN with the SOA", question("nothing.foobar.com.", dns.TypeA), dns.RcodeNameError, "", "SOA", true},
		{"a type that does not exist gets NODATA with the SOA", question("foobar.com.", dns.TypeAAAA), dns.RcodeSuccess, "", "SOA", true},
		{"AAAA of www gets the CNAME and NODATA", question("www.foobar.com.", dns.TypeAAAA), dns.RcodeSuccess, "www.foobar.com. CNAME foobar.com.", "SOA", true},
		{"another domain is refused, not looked up", question("example.com.", dns.TypeA), dns.RcodeRefused, "", "", false},
		{"the root is refused", question(".", dns.TypeNS), dns.RcodeRefused, "", "", false},
	}
	for _, test := range tests {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(test.name+" over "+network, func(t *testing.T) {
				t.Parallel()
				got := mustAsk(t, network, test.ask.Copy())
				if got.Rcode != test.rcode || got.Authoritative != test.aa {
					t.Errorf("rcode %s, aa %t; want %s, %t", dns.RcodeToString[got.Rcode], got.Authoritative, dns.RcodeToString[test.rcode], test.aa)
				}
				if got.RecursionAvailable {
					t.Error("it offers recursion")
				}
				if answer := records(got.Answer); answer != test.answer {
					t.Errorf("answer %q, want %q", answer, test.answer)
				}
				if authority := types(got.Ns); test.authority != "" && authority != test.authority {
					t.Errorf("authority %q, want %q", authority, test.authority)
				}
			})
		}
	}
}

func TestDNSNamesItsOwnServer(t *testing.T) {
	t.Parallel()
	soa := mustAsk(t, "udp", question("foobar.com.", dns.TypeSOA))
	if types(soa.Answer) != "SOA" || !soa.Authoritative {
		t.Fatalf("SOA: %v", soa)
	}
	ns := mustAsk(t, "udp", question("foobar.com.", dns.TypeNS))
	if len(ns.Answer) == 0 || types(ns.Answer[:1]) != "NS" {
		t.Fatalf("NS: %v", ns)
	}
	name := ns.Answer[0].(*dns.NS).Ns
	address := mustAsk(t, "udp", question(name, dns.TypeA))
	if got := records(address.Answer); got != name+" A 8.8.8.8" {
		t.Errorf("the name server %s has the address %q", name, got)
	}
}

// The SOA record's own TTL limits how long a resolver may remember that something does not exist (RFC 2308, section 5).
func TestDNSIsNotForgottenLongAsAbsent(t *testing.T) {
	t.Parallel()
	for _, ask := range []*dns.Msg{question("nothing.foobar.com.", dns.TypeA), question("foobar.com.", dns.TypeMX)} {
		got := mustAsk(t, "udp", ask)
		if len(got.Ns) != 1 {
			t.Fatalf("%s: %v", ask.Question[0].String(), got)
		}
		soa, isSOA := got.Ns[0].(*dns.SOA)
		if !isSOA || min(soa.Hdr.Ttl, soa.Minttl) > 60 {
			t.Errorf("%s is denied by %v; want a SOA that lets resolvers remember this for at most 60 s", ask.Question[0].String(), got.Ns[0])
		}
	}
}

func TestDNSGivesTheZoneToNobody(t *testing.T) {
	t.Parallel()
	for _, kind := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		got := mustAsk(t, "tcp", question("foobar.com.", kind))
		if len(got.Answer) > 0 {
			t.Errorf("%s is answered with %s", dns.TypeToString[kind], records(got.Answer))
		}
	}
}

// RFC 8482, section 4.2: ANY is answered with one synthesised HINFO record instead of everything there is.
func TestDNSAnswersANYSparingly(t *testing.T) {
	t.Parallel()
	got := mustAsk(t, "udp", question("foobar.com.", dns.TypeANY))
	if types(got.Answer) != "HINFO" {
		t.Errorf("ANY is answered with %q", records(got.Answer))
	}
}

// An answer must fit a datagram that no network needs to fragment, whatever size the client claims to accept.
func TestDNSLimitsItsDatagrams(t *testing.T) {
	t.Parallel()
	ask := question("www.foobar.com.", dns.TypeA).SetEdns0(4096, false)
	opt := mustAsk(t, "udp", ask).IsEdns0()
	if opt == nil || opt.UDPSize() > 1232 {
		t.Errorf("EDNS in the answer: %v; want a size of at most 1232", opt)
	}
}

func TestDNSKeepsItsVersionToItself(t *testing.T) {
	t.Parallel()
	ask := question("version.bind.", dns.TypeTXT)
	ask.Question[0].Qclass = dns.ClassCHAOS
	if got := mustAsk(t, "udp", ask); len(got.Answer) > 0 {
		t.Errorf("version.bind is answered with %s", records(got.Answer))
	}
}

func TestDNSSurvivesMalformedPackets(t *testing.T) {
	process := mainProcess(t, "dns")
	packets := map[string]string{
		"empty":                        "",
		"one byte":                     "\x00",
		"a header with false counts":   "\x12\x34\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff",
		"a name that points to itself": "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01",
		"a label that is cut short":    "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fabc",
		"an answer":                    "\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x06foobar\x03com\x00\x00\x01\x00\x01",
		"noise":                        strings.Repeat("\xa5\x5a", 256),
	}
	for name, packet := range packets {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(name+" over "+network, func(t *testing.T) {
				connection, err := net.DialTimeout(network, "127.0.0.1:"+site.dnsPort, 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				defer connection.Close()
				if network == "tcp" {
					packet = string([]byte{byte(len(packet) >> 8), byte(len(packet))}) + packet
				}
				if _, err := connection.Write([]byte(packet)); err != nil {
					t.Fatal(err)
				}
				newScenario(t, site).Then(5*time.Second, resolves())
			})
		}
	}
	if now := mainProcess(t, "dns"); now != process {
		t.Errorf("dns was process %d and is %d: a packet killed it, and it was restarted", process, now)
	}
}

// Inside the network, the same name leads to web itself, so a container that uses dns as its name server goes all the way:
// it looks up www.foobar.com, connects to the address, and gets the page.
func TestDNSLeadsContainersToWeb(t *testing.T) {
	t.Parallel()
	out, err := site.output(t.Context(), "docker", "run", "--rm", "--network", site.project+"_default", "--dns", site.subnet+".53",
		"--entrypoint", "curl", "nginx:1.30", "--silent", "--show-error", "--max-time", "10", "--output", "/dev/null",
		"--write-out", "%{remote_ip} %{http_code}", "http://www.foobar.com/")
	if err != nil {
		t.Fatal(err)
	}
	if want := site.subnet + ".80 200"; out != want {
		t.Errorf("curl in a container reached %q, want %q", out, want)
	}
}

// mainProcess returns the id of a service's main process, according to the engine; a different one means that the service
// was restarted.
func mainProcess(t *testing.T, service string) int {
	t.Helper()
	containers, err := site.containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return containers[service].State.Pid
}

// mustAsk repeats a question until it is answered, since a datagram can be late or lost on a busy machine.
func mustAsk(t *testing.T, network string, message *dns.Msg) *dns.Msg {
	t.Helper()
	var answer *dns.Msg
	newScenario(t, site).Then(10*time.Second, check{"dns answers", []string{"dns"}, func(ctx context.Context, c *copyOfStack) (err error) {
		answer, err = c.ask(ctx, network, message)
		return err
	}})
	return answer
}

func types(list []dns.RR) string {
	names := make([]string, len(list))
	for i, record := range list {
		names[i] = dns.TypeToString[record.Header().Rrtype]
	}
	return strings.Join(names, " ")
}

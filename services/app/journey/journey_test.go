package journey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameServer starts a DNS server that answers with answer, and returns its address. A nil answer is not sent.
func nameServer(t *testing.T, answer func(question *dns.Msg) *dns.Msg) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		if message := answer(question); message != nil {
			w.WriteMsg(message)
		}
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { socket.Close() })
	return socket.LocalAddr().String()
}

// zone answers as the stack's name server does inside the network.
func zone(t *testing.T) func(*dns.Msg) *dns.Msg {
	var records []dns.RR
	for _, text := range []string{"www.foobar.com. 300 IN CNAME foobar.com.", "foobar.com. 300 IN A 172.28.0.80"} {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	return func(question *dns.Msg) *dns.Msg {
		if q := question.Question[0]; q.Name != "www.foobar.com." || q.Qtype != dns.TypeA {
			return new(dns.Msg).SetRcode(question, dns.RcodeRefused)
		}
		message := new(dns.Msg).SetReply(question)
		message.Answer = records
		return message
	}
}

func database(context.Context) (string, error) { return "9.7.4", nil }

func TestAllPartsAreShownWithTheirVersions(t *testing.T) {
	t.Parallel()
	s := New(Config{Domain: "foobar.com", DNSAddress: nameServer(t, zone(t)), Replica: "the-replica", DatabaseVersion: database})
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `# TYPE coredns_build_info gauge
coredns_build_info{goversion="go1.26.3",revision="",version="1.15.0"} 1`)
	}))
	defer metrics.Close()
	s.metrics = metrics.URL

	j := s.Look(t.Context(), "1.30.6")
	if j.DNS.Duration <= 0 || j.DNS.Duration > 1000 {
		t.Errorf("DNS took %v ms", j.DNS.Duration)
	}
	j.DNS.Duration = 0
	if want := (DNS{Question: "www.foobar.com. A", View: "inside", Records: []Record{
		{"www.foobar.com.", "CNAME", 300, "foobar.com."}, {"foobar.com.", "A", 300, "172.28.0.80"},
	}}); !reflect.DeepEqual(j.DNS, want) {
		t.Errorf("DNS is\n%+v, want\n%+v", j.DNS, want)
	}
	j.Parts[2].Version, j.Parts[2].Detail = "", "" // a test binary is built without Gin
	if want := []Part{
		{"dns", "CoreDNS", "1.15.0", "", true, ""},
		{"web", "Nginx", "1.30.6", "", true, ""},
		{"app", "Gin", "", "the-replica", true, ""},
		{"db", "MySQL", "9.7.4", "", true, ""},
	}; !reflect.DeepEqual(j.Parts, want) {
		t.Errorf("the parts are\n%+v, want\n%+v", j.Parts, want)
	}
}

func TestAPartThatIsAwayIsShown(t *testing.T) {
	t.Parallel()
	nobody := nameServer(t, func(*dns.Msg) *dns.Msg { return nil })
	rcode := func(rcode int) func(*dns.Msg) *dns.Msg {
		return func(question *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(question, rcode) }
	}
	stranger := func(question *dns.Msg) *dns.Msg { // an answer to another question, as a forger would send
		message := zone(t)(question)
		message.Id++
		return message
	}
	for _, test := range []struct{ name, address, want string }{
		{"silent", nobody, "no answer within 1s"},
		{"nothing listens", "127.0.0.1:1", "it cannot be reached"},
		{"refusing", nameServer(t, rcode(dns.RcodeRefused)), "it answers REFUSED"},
		{"failing", nameServer(t, rcode(dns.RcodeServerFailure)), "it answers SERVFAIL"},
		{"without the name", nameServer(t, rcode(dns.RcodeNameError)), "it answers NXDOMAIN"},
		{"without an address", nameServer(t, rcode(dns.RcodeSuccess)), "it knows no address for the name"},
		{"a forger", nameServer(t, stranger), "no answer within 1s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := New(Config{Domain: "foobar.com", DNSAddress: test.address,
				DatabaseVersion: func(ctx context.Context) (string, error) {
					<-ctx.Done()
					return "", errors.New("Access denied for user 'app'")
				}})
			began := time.Now()
			j := s.Look(t.Context(), "<b>")
			if took := time.Since(began); took > lookLimit+500*time.Millisecond {
				t.Errorf("took %s", took)
			}
			if j.DNS.Error != test.want || j.DNS.Records == nil {
				t.Errorf("DNS is %+v, want the error %q and no null", j.DNS, test.want)
			}
			for _, part := range j.Parts {
				if healthy := part.Name == "app"; part.Healthy != healthy || !healthy && (part.Detail == "" || part.Version != "") ||
					strings.Contains(part.Detail, "denied") {
					t.Errorf("got %+v", part)
				}
			}
		})
	}
}

func TestManyVisitorsAreOneLook(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := New(Config{Domain: "foobar.com", DNSAddress: nameServer(t, zone(t)), DatabaseVersion: func(ctx context.Context) (string, error) {
		asked.Add(1)
		return "9.7.4", ctx.Err()
	}})
	gone, leave := context.WithCancel(t.Context())
	leave() // a visitor who leaves must not affect the others
	var visitors sync.WaitGroup
	for range 50 {
		visitors.Go(func() {
			if db := s.Look(gone, "1.30.6").Parts[3]; !db.Healthy {
				t.Errorf("got %+v", db)
			}
		})
	}
	visitors.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the database was asked %d times, want once", n)
	}
	s.lastAt = time.Now().Add(-2 * keep)
	if s.Look(t.Context(), ""); asked.Load() != 2 {
		t.Errorf("after %s the database was asked %d times, want twice", 2*keep, asked.Load())
	}
}

// Answers share their parts, but one visitor must not be shown the Nginx version of another visitor's request.
func TestWebIsSaidForEachRequest(t *testing.T) {
	t.Parallel()
	s := New(Config{Domain: "foobar.com", DNSAddress: "127.0.0.1:1", DatabaseVersion: database})
	for _, version := range []string{"1.30.6", "", "1.31.0"} {
		if web := s.Look(t.Context(), version).Parts[1]; web.Version != version || web.Healthy != (version != "") {
			t.Errorf("Nginx %q is shown as %+v", version, web)
		}
	}
}

package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestHealthcheckPassesOnTheRealServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	check := prepare(t, settingsOfTests, "healthcheck")
	check.command.Env = append(check.command.Env, "TEST_DNS_PORT="+s.port)
	if err := check.command.Run(); err != nil || check.log.String() != "" {
		t.Errorf("%v: %s", err, check.log)
	}
	other := prepare(t, strings.Replace(settingsOfTests, "foobar.com", "example.com", 1), "healthcheck")
	other.command.Env = append(other.command.Env, "TEST_DNS_PORT="+s.port)
	other.wantFailure(t, "REFUSED")
	prepare(t, settingsOfTests, "healthcheck").wantFailure(t, "connection refused")
}

func TestHealthcheckIsNotFooled(t *testing.T) {
	t.Parallel()
	record := func(text string) dns.RR {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return rr
	}
	soa, address := record("foobar.com. 60 SOA ns1.foobar.com. hostmaster.foobar.com. 1 3600 600 604800 60"), record("foobar.com. A 8.8.8.8")
	tests := []struct {
		name    string
		network []string // on which the server listens
		answer  func(m *dns.Msg)
		wrong   string
	}{
		{"sound", []string{"udp", "tcp"}, func(m *dns.Msg) { m.Answer = []dns.RR{soa} }, ""},
		{"UDP alone", []string{"udp"}, func(m *dns.Msg) { m.Answer = []dns.RR{soa} }, "over tcp"},
		{"TCP alone", []string{"tcp"}, func(m *dns.Msg) { m.Answer = []dns.RR{soa} }, "over udp"},
		{"without the record", []string{"udp", "tcp"}, func(m *dns.Msg) {}, "want that record"},
		{"another record", []string{"udp", "tcp"}, func(m *dns.Msg) { m.Answer = []dns.RR{address} }, "want that record"},
		{"not authoritative", []string{"udp", "tcp"}, func(m *dns.Msg) { m.Answer, m.Authoritative = []dns.RR{soa}, false }, "authoritative false"},
		{"an error", []string{"udp", "tcp"}, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, "SERVFAIL"},
		{"silence", []string{"udp", "tcp"}, nil, "timeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:" + freePort(t)
			for _, network := range test.network {
				fake(t, network, address, test.answer)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := healthcheck(ctx, address, "foobar.com.")
			if test.wrong == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
				t.Errorf("said %v, want %q", err, test.wrong)
			}
		})
	}
}

// fake starts a name server that answers as answer says, or not at all if answer is nil.
func fake(t *testing.T, network, address string, answer func(m *dns.Msg)) {
	t.Helper()
	server := dns.Server{Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if answer == nil {
			return
		}
		m := new(dns.Msg).SetReply(r)
		m.Authoritative = true
		answer(m)
		if err := w.WriteMsg(m); err != nil {
			t.Logf("the fake server: %v", err)
		}
	})}
	var err error
	if network == "tcp" {
		server.Listener, err = net.Listen(network, address)
	} else {
		server.PacketConn, err = net.ListenPacket(network, address)
	}
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go server.ActivateAndServe()
	<-started
	t.Cleanup(func() { server.Shutdown() })
}

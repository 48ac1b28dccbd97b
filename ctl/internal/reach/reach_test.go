package reach_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"oneserver/ctl/internal/reach"
	"oneserver/ctl/internal/stack"
)

// site runs the handlers on free ports, and returns the settings that lead to them. If a handler is nil, its ports are
// closed.
func site(t *testing.T, web http.HandlerFunc, name dns.HandlerFunc) stack.Settings {
	t.Helper()
	settings := stack.Settings{"BIND": "127.0.0.1", "DOMAIN": "example.org"}
	server, secure := httptest.NewServer(web), httptest.NewUnstartedServer(web)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, "www.example.org")}}
	secure.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(secure.Close)
	_, settings["HTTP_PORT"], _ = net.SplitHostPort(server.Listener.Addr().String())
	_, settings["HTTPS_PORT"], _ = net.SplitHostPort(secure.Listener.Addr().String())
	if web == nil {
		server.Close()
		secure.Close()
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	_, settings["DNS_PORT"], _ = net.SplitHostPort(packets.LocalAddr().String())
	connections, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Skip(err) // another program has the port
	}
	t.Cleanup(func() { connections.Close() })
	if name == nil {
		packets.Close()
		connections.Close()
		return settings
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: name}, {Listener: connections, Handler: name}} {
		go server.ActivateAndServe() //nolint:errcheck // the server ends with its socket
	}
	return settings
}

func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "www.example.org" {
			code = http.StatusMisdirectedRequest
		}
		w.WriteHeader(code)
	}
}

func authority(rcode int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetRcode(question, rcode)
		answer.Authoritative = rcode == dns.RcodeSuccess
		w.WriteMsg(answer)
	}
}

func TestWhatAVisitorIsNotAnsweredIsTold(t *testing.T) {
	t.Parallel()
	well := authority(dns.RcodeSuccess)
	// the third question is for the application, which is unavailable
	away := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	silent := func(w http.ResponseWriter, _ *http.Request) { // accepts the connection and sends nothing
		connection, _, _ := w.(http.Hijacker).Hijack()
		connection.Close()
	}
	for _, c := range []struct {
		what string
		web  http.HandlerFunc
		name dns.HandlerFunc
		want string // how each question was answered
	}{
		{"all is well", status(200), well, "ok, ok, ok, ok, ok"},
		{"the page is gone", status(404), well, "ok, ok, ok, ok, ok"},
		{"the page is elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusPermanentRedirect)
		}, well, "ok, ok, ok, ok, ok"},
		{"another site", status(421), well, "the answer is 421 Misdirected Request, the answer is 421 Misdirected Request, the answer is 421 Misdirected Request, ok, ok"},
		{"the application is away", away, well, "ok, ok, the answer is 503 Service Unavailable, ok, ok"},
		{"nobody listens for web", nil, well, "dead: connection refused, dead: connection refused, dead: connection refused, ok, ok"},
		{"somebody listens and says nothing", silent, well, "dead: EOF, dead: EOF, dead: EOF, ok, ok"},
		{"nobody listens for dns", status(200), nil, "ok, ok, ok, dead: connection refused, dead: connection refused"},
		{"the name server has no such zone", status(200), authority(dns.RcodeRefused), "ok, ok, ok, the answer is REFUSED, the answer is REFUSED"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			answers, err := reach.Ask(t.Context(), site(t, c.web, c.name), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, answer := range answers {
				said := "ok"
				if answer.Err != nil {
					said = answer.Err.Error()
				}
				if answer.Dead {
					said = "dead: " + said
				}
				got = append(got, said)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("the answers are %q, want %q", strings.Join(got, ", "), c.want)
			}
		})
	}
}

// If what answers on the port for https is not the site over TLS, the remedy differs from that for a dead port.
func TestAnAnswerThatIsNoTLSOfThisSiteIsTold(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		start func(*httptest.Server)
		want  string
	}{
		"another name's certificate": {(*httptest.Server).StartTLS, "x509: certificate is valid for example.com"},
		"http":                       {(*httptest.Server).Start, "server gave HTTP response to HTTPS client"},
		"no certificate": {func(server *httptest.Server) {
			server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("there is none yet") }}
			server.StartTLS()
		}, "tls: internal error"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			settings := site(t, status(200), authority(dns.RcodeSuccess))
			other := httptest.NewUnstartedServer(status(200))
			c.start(other)
			t.Cleanup(other.Close)
			_, settings["HTTPS_PORT"], _ = net.SplitHostPort(other.Listener.Addr().String())
			answers, err := reach.Ask(t.Context(), settings, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, answer := range answers {
				if of := answer.Setting == "HTTPS_PORT"; of != (answer.Err != nil) || answer.Dead || of && !strings.Contains(answer.Err.Error(), c.want) {
					t.Errorf("%s at %s: %v, dead: %t; want %q of the port for https alone", answer.What, answer.Port, answer.Err, answer.Dead, c.want)
				}
			}
		})
	}
}

func TestWhatIsOnlyLateIsAskedAgain(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	late := func(w http.ResponseWriter, _ *http.Request) {
		if time.Since(begun) < 500*time.Millisecond {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, "here I am")
	}
	answers, err := reach.Ask(t.Context(), site(t, late, authority(dns.RcodeSuccess)), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range answers {
		if answer.Err != nil {
			t.Errorf("%s at %s: %v", answer.What, answer.Port, answer.Err)
		}
	}
}

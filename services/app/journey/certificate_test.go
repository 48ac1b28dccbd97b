package journey

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

func TestTheCertificateIsTheOneThatIsShown(t *testing.T) {
	t.Parallel()
	quiet := func(server *httptest.Server) *httptest.Server {
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(server.Close)
		return server
	}
	var asked string
	secure := quiet(httptest.NewUnstartedServer(http.NotFoundHandler()))
	secure.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		asked = hello.ServerName
		return nil, nil
	}}
	secure.StartTLS()
	plain := quiet(httptest.NewUnstartedServer(http.NotFoundHandler()))
	plain.Start()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	s := New(Config{Domain: "example.com", DNSAddress: "127.0.0.1:1", WebAddress: secure.Listener.Addr().String(), DatabaseVersion: database})
	got := s.Look(t.Context(), "1.30.6").Certificate
	leaf := secure.Certificate()
	if asked != "www.example.com" || !slices.Contains(got.Names, "example.com") || !slices.Contains(got.Names, "127.0.0.1") || got.Issuer != "Acme Co" ||
		got.Until != leaf.NotAfter.UTC().Format(time.DateOnly) || got.DaysLeft < 365 || got.Error != "" {
		t.Errorf("asked for %q, told %+v", asked, got)
	}
	if left := describeCertificate(leaf, leaf.NotAfter.Add(-47*time.Hour)).DaysLeft; left != 1 {
		t.Errorf("47 hours before its end %d whole days are left", left)
	}

	for address, want := range map[string]string{
		"":                             "no web server stands in front",
		"127.0.0.1:1":                  "web cannot be reached",
		plain.Listener.Addr().String(): "web shows none",
		silent.Addr().String():         "no answer in time",
	} {
		s := New(Config{Domain: "example.com", DNSAddress: "127.0.0.1:1", WebAddress: address, DatabaseVersion: database})
		if got := s.Look(t.Context(), "").Certificate; got.Error != want || got.Names == nil || got.Until != "" {
			t.Errorf("%q: %+v, want the error %q and no null", address, got, want)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var bothNames = []string{"foobar.com", "www.foobar.com"}

// webServes serves the certificate that is in the file, as web does, until the test ends.
func webServes(t *testing.T, k *keeper) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		text, err := os.ReadFile(k.places.site())
		if err != nil {
			return nil, err
		}
		both, err := tls.X509KeyPair(text, text)
		return &both, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				_ = connection.(*tls.Conn).Handshake() // the other side reports the outcome
			}()
		}
	}()
	k.webTLS = listener.Addr().(*net.TCPAddr).Port
}

// The authority is down while the certificate is about to expire. Visitors are still served. Every failure is logged,
// and the health check reports them in the last week.
func TestACertificateThatCannotBeRenewedIsServedAndItsEndIsSaid(t *testing.T) {
	t.Parallel()
	down := authority(t, nil)
	down.Close()
	for _, test := range []struct {
		name   string
		left   time.Duration
		logged bool   // that no certificate came
		says   string // what the health check says; empty if all is well
	}{
		{"it is not time yet", 40 * day, false, ""},
		{"it is time, and there is time", 20 * day, true, ""},
		{"it ends within a week", 5 * day, true, "ends in 5.0 days"},
		{"it has ended", -day, true, "ended on"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := time.Now().Round(0)
			k := newTestKeeper(t, &at)
			k.directory = down.URL
			k.transport = down.Client().Transport
			var log bytes.Buffer
			k.log = slog.New(slog.NewJSONHandler(&log, nil))
			leaf := issue(t, k, k.directory, at.Add(test.left-90*day), bothNames...)
			webServes(t, k)
			if shown, _ := look(t, k); !shown.Equal(leaf) {
				t.Error("another one is served")
			}
			served, err := k.served(t.Context())
			if err != nil || !served.Equal(leaf) {
				t.Errorf("a visitor is shown another one, or none: %v", err)
			}
			failed := strings.Contains(log.String(), `"level":"ERROR","msg":"no certificate came"`)
			told := strings.Contains(log.String(), `"remedy":"let this server reach port 443`) && strings.Contains(log.String(), `"served_until":"`+leaf.NotAfter.Format(time.RFC3339)+`"`)
			if failed != test.logged || told != test.logged {
				t.Errorf("the log says %s", log.String())
			}
			err = healthcheck(t.Context(), k.settings)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), " -> let this server reach port 443")) {
				t.Errorf("the health check says %v, want %q", err, test.says)
			}
		})
	}
}

// If the clock jumps and is set back, visitors still get the same certificate, and no wait becomes longer than
// intended.
func TestAClockThatJumpsCostsNothing(t *testing.T) {
	t.Parallel()
	down := authority(t, nil)
	down.Close()
	for _, test := range []struct {
		name string
		jump time.Duration
	}{{"years ahead", 3650 * day}, {"a month ahead", 31 * day}, {"to 1970", -56 * 365 * day}, {"a day back", -day}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now().Round(0)
			at := start
			k := newTestKeeper(t, &at)
			k.directory = down.URL
			k.transport = down.Client().Transport
			leaf := issue(t, k, k.directory, at, bothNames...)
			webServes(t, k)
			for _, moment := range []time.Time{start, start.Add(test.jump), start.Add(test.jump + time.Hour), start.Add(time.Minute)} {
				at = moment
				if shown, _ := look(t, k); !shown.Equal(leaf) {
					t.Fatalf("at %s another one is served", at)
				}
			}
			if err := healthcheck(t.Context(), k.settings); err != nil {
				t.Errorf("once it is back the health check says %v", err)
			}

			// Without a certificate, a failure or a wait recorded at the wrong time does not put off the next attempt
			// for long.
			if err := os.Remove(k.places.certificate()); err != nil {
				t.Fatal(err)
			}
			if err := remove(k.places.public()); err != nil {
				t.Fatal(err)
			}
			at = start.Add(test.jump)
			look(t, k)
			if err := k.failed(&waitError{context.DeadlineExceeded, time.Hour}, held{}); err != nil {
				t.Fatal(err)
			}
			at = start
			for range 9 * 24 {
				if k.due(t.Context(), held{}) {
					break
				}
				at = at.Add(time.Hour)
			}
			if put := at.Sub(start); put > longestWait || test.jump.Abs() > longestWait && put > 0 {
				t.Errorf("the next attempt is put off for %s", put)
			}
		})
	}
}

// Visitors do not notice the loss of a volume, and no second certificate is needed, as long as the other volume is
// there.
func TestALostVolumeIsMadeAnewFromTheOther(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		lost func(k *keeper) []string
		stay bool
	}{
		{"what web reads", func(k *keeper) []string { return []string{k.places.shared} }, true},
		{"what certs keeps", func(k *keeper) []string { return []string{k.places.own} }, true},
		{"both", func(k *keeper) []string { return []string{k.places.shared, k.places.own} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := atomic.Int64{}
			server := authority(t, func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "renewal") {
					asked.Add(1)
				}
				http.NotFound(w, r)
			})
			at := time.Now().Round(0)
			k := newTestKeeper(t, &at)
			k.directory = server.URL
			k.transport = server.Client().Transport
			leaf := issue(t, k, k.directory, at, bothNames...)
			k.advice.serial, k.advice.again = leaf.SerialNumber.String(), at.Add(time.Hour) // so the authority is not asked about it
			webServes(t, k)
			look(t, k)
			for _, folder := range test.lost(k) {
				if err := os.RemoveAll(folder); err != nil {
					t.Fatal(err)
				}
			}
			for _, folder := range []string{k.places.shared, k.places.own, k.places.challenges()} { // as run creates them in a new volume
				if err := os.MkdirAll(folder, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			shown, _ := look(t, k)
			_, public := os.Stat(k.places.public())
			if shown.Equal(leaf) != test.stay || (public == nil) != test.stay || (asked.Load() == 0) != test.stay {
				t.Errorf("it is served: %t; it counts as public: %v; the authority was asked %d times", shown.Equal(leaf), public, asked.Load())
			}
		})
	}
}

// While an authority hangs, the existing certificate is served, and stopping certs does not wait for the authority.
func TestNobodyWaitsForAnAuthorityThatHangs(t *testing.T) {
	t.Parallel()
	heard, ended := make(chan struct{}, 10), make(chan struct{})
	slow := authority(t, func(_ http.ResponseWriter, r *http.Request) {
		heard <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	t.Cleanup(func() { close(ended) })
	at := time.Now().Round(0)
	k := newTestKeeper(t, &at)
	k.directory = slow.URL
	k.transport = slow.Client().Transport
	webServes(t, k)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.run(ctx) }()
	<-heard
	if leaf, err := k.served(t.Context()); err != nil || leaf.VerifyHostname("www.foobar.com") != nil || leaf.Issuer.CommonName == "" {
		t.Errorf("a visitor meets %v", err)
	}
	if err := healthcheck(t.Context(), k.settings); err != nil {
		t.Errorf("before it has failed, the health check says %v", err)
	}
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on waiting for five seconds")
	}
}

// If web keeps serving the previous certificate, the health check, which looks at what is served, reports it.
func TestACertificateThatIsNotTakenOverIsSeen(t *testing.T) {
	t.Parallel()
	at := time.Now().Round(0)
	k := newTestKeeper(t, &at)
	k.directory = "https://ca.example/directory"
	k.next = at.Add(time.Hour)
	other := newTestKeeper(t, &at)
	look(t, other)
	webServes(t, other) // not what k writes
	k.webTLS = other.webTLS
	issue(t, k, k.directory, at, bothNames...)
	look(t, k)
	if err := healthcheck(t.Context(), k.settings); err != nil {
		t.Errorf("within the time for it: %v", err)
	}
	early := time.Now().Add(-time.Minute)
	if err := os.Chtimes(k.places.site(), early, early); err != nil {
		t.Fatal(err)
	}
	if err := healthcheck(t.Context(), k.settings); err == nil || !strings.Contains(err.Error(), "docker compose restart web") {
		t.Errorf("after a minute: %v", err)
	}
}

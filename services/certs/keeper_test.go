package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newTestKeeper returns a keeper whose files are in a temporary folder and whose clock shows the time at.
func newTestKeeper(t *testing.T, at *time.Time) *keeper {
	t.Helper()
	dir := t.TempDir()
	k := newKeeper(settings{domain: "foobar.com", web: "127.0.0.1", places: places{filepath.Join(dir, "tls"), filepath.Join(dir, "own"), dir}}, slog.New(slog.DiscardHandler))
	k.now = func() time.Time { return *at }
	for _, folder := range []string{k.places.shared, k.places.own, k.places.challenges()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// look runs one step of the keeper, and returns the certificate that web would serve and the authority that people
// trust.
func look(t *testing.T, k *keeper) (leaf, authority *x509.Certificate) {
	t.Helper()
	if _, err := k.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(k.places.site())
	if err != nil {
		t.Fatal(err)
	}
	site, err := parsePair(text)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(k.places.root())
	if err != nil {
		t.Fatal(err)
	}
	own, err := parsePair(root)
	if err != nil {
		t.Fatal(err)
	}
	return site.leaf, own.leaf
}

func TestTheOwnCertificateIsReplacedWhenTheClockSaysSo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		jump          time.Duration
		leaf, trusted bool // whether they stay
	}{
		{"a minute later", time.Minute, true, true},
		{"before a third of its life is left", 59 * day, true, true},
		{"with less than a third left", 61 * day, false, true},
		{"long after its end", 1000 * day, false, true},
		{"when the authority nears its end", 3600 * day, false, false},
		{"a clock that was wrong is set back", -365 * day, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := now
			k := newTestKeeper(t, &at)
			leaf, authority := look(t, k)
			at = at.Add(test.jump)
			nextLeaf, nextAuthority := look(t, k)
			if nextLeaf.Equal(leaf) != test.leaf || nextAuthority.Equal(authority) != test.trusted {
				t.Errorf("the certificate stays: %t, want %t; the authority stays: %t, want %t",
					nextLeaf.Equal(leaf), test.leaf, nextAuthority.Equal(authority), test.trusted)
			}
			if at.Before(nextLeaf.NotBefore) || at.After(nextLeaf.NotAfter) || nextLeaf.CheckSignatureFrom(nextAuthority) != nil {
				t.Errorf("at %s it is served from %s to %s, signed by %s", at, nextLeaf.NotBefore, nextLeaf.NotAfter, nextLeaf.Issuer)
			}
		})
	}
}

func TestDamagedFilesAreMadeAnew(t *testing.T) {
	t.Parallel()
	at := now
	k := newTestKeeper(t, &at)
	look(t, k)
	for _, damage := range []struct {
		name string
		path string
	}{{"the authority", k.places.root()}, {"the certificate", k.places.site()}, {"what people trust", k.places.authority()}} {
		for what, text := range map[string]string{"empty": "", "cut off": "-----BEGIN CERTIFICATE-----\nMIIB"} {
			if err := os.WriteFile(damage.path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			leaf, authority := look(t, k)
			if err := leaf.CheckSignatureFrom(authority); err != nil {
				t.Errorf("%s %s: %v", damage.name, what, err)
			}
			shown, err := os.ReadFile(k.places.authority())
			if err != nil || !bytes.Contains(shown, []byte("BEGIN CERTIFICATE")) || bytes.Contains(shown, []byte("KEY")) {
				t.Errorf("%s %s: people are to trust %q, %v", damage.name, what, shown, err)
			}
		}
	}
}

func TestFilesAreForThoseWhoNeedThem(t *testing.T) {
	t.Parallel()
	at := now
	k := newTestKeeper(t, &at)
	look(t, k)
	for path, want := range map[string]os.FileMode{k.places.site(): 0o640, k.places.root(): 0o600, k.places.authority(): 0o644} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has the mode %s, want %s", path, info.Mode(), want)
		}
	}
}

func TestWhatAKillLeftIsSwept(t *testing.T) {
	t.Parallel()
	at := now
	k := newTestKeeper(t, &at)
	half := filepath.Join(k.places.shared, ".new-1")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// issue stores a certificate as if an authority had issued it.
func issue(t *testing.T, k *keeper, directory string, at time.Time, names ...string) *x509.Certificate {
	t.Helper()
	authority, err := makeAuthority("foobar.com", at)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := makeLeaf(authority, names, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := keep(k.places.certificate(), issued{Directory: directory, CAA: []string{"ca.example"}, PEM: string(leaf.pem)}); err != nil {
		t.Fatal(err)
	}
	return leaf.leaf
}

func TestAnIssuedCertificateIsServedWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		directory string
		jump      time.Duration
		names     []string
		want      bool
	}{
		{"valid", "https://ca.example/directory", 0, []string{"foobar.com", "www.foobar.com"}, true},
		{"ended", "https://ca.example/directory", 100 * day, []string{"foobar.com", "www.foobar.com"}, true},
		{"not begun", "https://ca.example/directory", -10 * day, []string{"foobar.com", "www.foobar.com"}, true},
		{"of another authority than the one that is set now", "https://other.example/directory", 0, []string{"foobar.com", "www.foobar.com"}, true},
		{"no authority is set any more", "", 0, []string{"foobar.com", "www.foobar.com"}, false},
		{"for other names", "https://ca.example/directory", 0, []string{"foobar.com"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := now
			k := newTestKeeper(t, &at)
			leaf := issue(t, k, "https://ca.example/directory", at, test.names...)
			k.directory = test.directory
			k.next = at.Add(test.jump + time.Hour) // no attempt now
			at = at.Add(test.jump)
			if shown, _ := look(t, k); shown.Equal(leaf) != test.want {
				t.Errorf("it is served: %t, want %t", shown.Equal(leaf), test.want)
			}
		})
	}
}

func TestWhetherItIsTimeToAsk(t *testing.T) {
	t.Parallel()
	both := []string{"foobar.com", "www.foobar.com"}
	for _, test := range []struct {
		name string
		with func(k *keeper, at *time.Time)
		want bool
	}{
		{"none is there", func(*keeper, *time.Time) {}, true},
		{"an attempt has just failed", func(k *keeper, at *time.Time) { k.next = at.Add(time.Minute) }, false},
		{"the clock was set back by years after one failed", func(k *keeper, at *time.Time) { k.next = at.Add(3000 * day) }, true},
		{"the authority said to wait, before this start", func(k *keeper, at *time.Time) {
			_ = k.failed(&waitError{errors.New("too many"), 2 * time.Hour}, held{})
			k.next = time.Time{}
		}, false},
		{"that time is over", func(k *keeper, at *time.Time) {
			_ = k.failed(&waitError{errors.New("too many"), 2 * time.Hour}, held{})
			*at = at.Add(3 * time.Hour)
		}, true},
		{"a valid one is there", func(k *keeper, at *time.Time) {
			issue(t, k, k.directory, *at, both...)
			k.advice.again = at.Add(time.Hour)
		}, false},
		{"it has a third of its life left", func(k *keeper, at *time.Time) {
			issue(t, k, k.directory, at.Add(-61*day), both...)
			k.advice.again = at.Add(time.Hour)
		}, true},
		{"it is another authority's", func(k *keeper, at *time.Time) { issue(t, k, "https://other.example/directory", *at, both...) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := now
			k := newTestKeeper(t, &at)
			k.directory = "https://ca.example/directory"
			test.with(k, &at)
			have, err := k.stored()
			if err != nil {
				t.Fatal(err)
			}
			if have.there() {
				k.advice.serial = have.pair.leaf.SerialNumber.String() // so the authority is not asked
			}
			if got := k.due(t.Context(), have); got != test.want {
				t.Errorf("it is time: %t, want %t", got, test.want)
			}
		})
	}
}

// Let's Encrypt allows five failed validations in an hour.
func TestAttemptsThatFailAreFourInAnHourAtMost(t *testing.T) {
	t.Parallel()
	at := now
	k := newTestKeeper(t, &at)
	var attempts []time.Time
	for range 12 {
		attempts = append(attempts, at)
		if err := k.failed(errors.New("no"), held{}); err != nil {
			t.Fatal(err)
		}
		at = k.next
	}
	for i, first := range attempts {
		within := slices.IndexFunc(attempts[i:], func(other time.Time) bool { return other.Sub(first) > time.Hour })
		if within > 4 {
			t.Errorf("%d attempts within an hour of %s: %v", within, first, attempts)
		}
	}
	if pause := at.Sub(attempts[11]); pause < 6*time.Hour || pause > 8*time.Hour {
		t.Errorf("after a dozen it pauses for %s", pause)
	}
}

// A public certificate has consequences that bind visitors. They begin when web serves the certificate, not when its
// file is written.
func TestTheMarkerWaitsUntilTheCertificateIsServed(t *testing.T) {
	at := now
	k := newTestKeeper(t, &at)
	k.directory = "https://ca.example/directory"
	leaf := issue(t, k, k.directory, at, "foobar.com", "www.foobar.com")
	k.next = at.Add(time.Hour)
	look(t, k)
	if _, err := os.Stat(k.places.public()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("nothing serves it, and the marker is there: %v", err)
	}

	text, err := os.ReadFile(k.places.site())
	if err != nil {
		t.Fatal(err)
	}
	both, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{both}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.(*tls.Conn).Handshake()
			connection.Close()
		}
	}()
	k.webTLS = listener.Addr().(*net.TCPAddr).Port
	if shown, _ := look(t, k); !shown.Equal(leaf) {
		t.Fatal("another one is served")
	}
	marker, err := os.ReadFile(k.places.public())
	if err != nil || string(marker) != "https://ca.example/directory\nca.example\n" {
		t.Errorf("the marker is %q, %v", marker, err)
	}
	if _, err := os.Stat(k.places.settled()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a moment it counts as settled: %v", err)
	}
	at = at.Add(8 * day)
	k.next = at.Add(time.Hour)
	if err := os.Chtimes(k.places.public(), now, now); err != nil {
		t.Fatal(err)
	}
	look(t, k)
	if _, err := os.Stat(k.places.settled()); err != nil {
		t.Errorf("after a week: %v", err)
	}
	k.directory = ""
	look(t, k)
	for _, path := range []string{k.places.public(), k.places.settled()} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("with no authority set, %s is there: %v", path, err)
		}
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "-1": 0, "soon": 0, "99999999999999999999": 0,
		"Tue, 01 Dec 2026 13:00:00 GMT": time.Hour, "Tue, 01 Dec 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, wrong string }{
		{"DOMAIN", "FooBar.com", ""}, {"DOMAIN", "", "DOMAIN"}, {"DOMAIN", "../etc", "DOMAIN"}, {"DOMAIN", "localhost", "DOMAIN"},
		{"ACME", "https://acme-v02.api.letsencrypt.org/directory", ""}, {"ACME", "http://ca.example/", "https://"}, {"ACME", "letsencrypt", "https://"},
		{"ACME_EAB_KID", "kid", "belong together"}, {"ACME_EAB_KEY", "a2V5", "belong together"},
	} {
		values := map[string]string{"DOMAIN": "foobar.com", test.name: test.value}
		_, err := readSettings(func(name string) string { return values[name] })
		if test.wrong == "" && err != nil || test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%s=%s: %v, want %q", test.name, test.value, err, test.wrong)
		}
	}
}

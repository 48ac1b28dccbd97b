package main

import (
	"crypto/x509"
	"testing"
	"time"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func TestTheOwnAuthorityVouchesForTheDomainAndThisMachineOnly(t *testing.T) {
	t.Parallel()
	authority, err := makeAuthority("foobar.com", now)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(authority.leaf)
	verify := func(names []string, asked string) error {
		leaf, err := makeLeaf(authority, names, now)
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.leaf.Verify(x509.VerifyOptions{DNSName: asked, Roots: trusted, CurrentTime: now})
		return err
	}
	for _, name := range []string{"foobar.com", "www.foobar.com", "localhost", "127.0.0.1", "::1"} {
		if err := verify([]string{"foobar.com", "www.foobar.com"}, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Even someone with its key could not pose as another site.
	for _, name := range []string{"example.com", "notfoobar.com", "com"} {
		if err := verify([]string{name}, name); err == nil {
			t.Errorf("it vouches for %s", name)
		}
	}
	if !authority.leaf.PermittedDNSDomainsCritical || !authority.leaf.MaxPathLenZero {
		t.Errorf("constraints critical: %t, no authority below it: %t", authority.leaf.PermittedDNSDomainsCritical, authority.leaf.MaxPathLenZero)
	}
}

func TestACertificateIsRenewedWithAThirdOfItsLifeLeft(t *testing.T) {
	t.Parallel()
	for life, want := range map[int]struct{ renew, urgent time.Duration }{
		90: {60 * day, 83 * day}, 64: {64 * day * 2 / 3, 57 * day}, 45: {30 * day, 38 * day},
		6: {3 * day, 6 * day * 3 / 4}, // half, and a quarter
	} {
		certificate := &x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Duration(life) * day)}
		if got := renewalOf(certificate).Sub(now).Round(time.Second); got != want.renew.Round(time.Second) {
			t.Errorf("of %d days it is renewed after %s, want %s", life, got, want.renew)
		}
		if got := urgentFrom(certificate).Sub(now).Round(time.Second); got != want.urgent.Round(time.Second) {
			t.Errorf("of %d days it is urgent after %s, want %s", life, got, want.urgent)
		}
	}
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// served returns the certificate that web presents to a visitor of the site.
func (s settings) served(ctx context.Context) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName:         "www." + s.domain,
		InsecureSkipVerify: true, // the certificate is only inspected, and nothing is sent
	}}
	connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.web, strconv.Itoa(s.webTLS)))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// takenOverWithin is how long web may keep serving the previous certificate. nginx.conf makes it check every five
// seconds.
const takenOverWithin = 15 * time.Second

// healthcheck returns what is wrong with the certificate that web serves, even if the one in the file is fine. If web
// cannot be reached, web's own check reports it.
func healthcheck(ctx context.Context, s settings) error {
	text, err := os.ReadFile(s.places.site())
	if err != nil {
		return fmt.Errorf("%w: no certificate has been written yet", err)
	}
	wanted, err := parsePair(text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.places.site(), err)
	}
	leaf := wanted.leaf
	if shown, err := s.served(ctx); err == nil {
		leaf = shown
	}
	now := time.Now()
	if file, err := os.Stat(s.places.site()); err == nil && !leaf.Equal(wanted.leaf) && now.Sub(file.ModTime()) > takenOverWithin {
		return fmt.Errorf("web serves a certificate that ends on %s instead of the one that ends on %s: docker compose restart web",
			leaf.NotAfter.UTC().Format(time.DateOnly), wanted.leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	failure, _ := os.ReadFile(s.places.failure()) // usually there is none
	why := strings.TrimSpace(string(failure))
	switch left := leaf.NotAfter.Sub(now); {
	case left < 0:
		return fmt.Errorf("the certificate that web serves ended on %s. %s", leaf.NotAfter.UTC().Format(time.DateOnly), why)
	case now.After(urgentFrom(leaf)):
		return fmt.Errorf("the certificate that web serves ends in %.1f days. %s", left.Hours()/24, why)
	}
	if _, err := os.Stat(s.places.public()); err != nil && why != "" {
		return fmt.Errorf("visitors are warned, since web serves a certificate of the stack's own authority. %s", why)
	}
	return nil
}

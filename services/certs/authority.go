package main

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

const day = 24 * time.Hour

// Besides the domain and its subdomains, the stack's own authority covers this machine.
var (
	ownName      = "localhost"
	ownAddresses = []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
)

// ownAuthority returns the stack's own authority and reports whether it is new. An existing one is kept as long as
// possible, because people have told their browsers to trust it.
func ownAuthority(p places, domain string, now time.Time) (authority pair, isNew bool, err error) {
	text, err := os.ReadFile(p.root())
	if err == nil {
		// An authority is replaced if it can no longer be read, if it expires within 100 days, or if it was made while
		// the clock was wrong and has since been set back.
		if authority, err := parsePair(text); err == nil && now.After(authority.leaf.NotBefore) && now.Before(authority.leaf.NotAfter.Add(-100*day)) {
			return authority, false, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return pair{}, false, err
	}
	authority, err = makeAuthority(domain, now)
	if err != nil {
		return pair{}, false, err
	}
	return authority, true, replace(p.root(), authority.pem, 0o600)
}

// makeAuthority makes a root that can vouch for the domain and for this machine, and for nothing else, so trusting it
// puts no other site at risk (RFC 5280, section 4.2.1.10).
func makeAuthority(domain string, now time.Time) (pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "oneserver of " + domain + ", " + now.UTC().Format("2006-01-02")},
		NotBefore:             now.Add(-time.Hour), // a browser's clock may be behind
		NotAfter:              now.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,

		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{domain, ownName},
	}
	for _, address := range ownAddresses {
		template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: address, Mask: net.CIDRMask(8*len(address), 8*len(address))})
	}
	return sign(template, nil)
}

// makeLeaf makes the certificate that web serves until a public authority has issued one.
func makeLeaf(authority pair, names []string, now time.Time) (pair, error) {
	return sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		DNSNames:    append(slices.Clone(names), ownName),
		IPAddresses: ownAddresses,
		NotBefore:   now.Add(-time.Hour),
		NotAfter:    now.Add(90 * day),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &authority)
}

// sign makes a key and its certificate, signed by the authority, or self-signed if there is none.
func sign(template *x509.Certificate, authority *pair) (pair, error) {
	key, err := newKey()
	if err != nil {
		return pair{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pair{}, err
	}
	by := pair{leaf: template, key: key}
	if authority != nil {
		by = *authority
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.leaf, key.Public(), by.key)
	if err != nil {
		return pair{}, err
	}
	return newPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key)
}

// certificateOf returns the certificate alone, in PEM.
func certificateOf(p pair) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.leaf.Raw})
}

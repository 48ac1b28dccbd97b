package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"
)

// pair is a certificate with its chain and its key.
type pair struct {
	leaf *x509.Certificate
	key  crypto.Signer
	pem  []byte // the chain, then the key
}

// parsePair reads a pair from PEM, and refuses a key that belongs to another certificate.
func parsePair(text []byte) (pair, error) {
	both, err := tls.X509KeyPair(text, text)
	if err != nil {
		return pair{}, err
	}
	key, ok := both.PrivateKey.(crypto.Signer)
	if !ok {
		return pair{}, fmt.Errorf("a key of type %T cannot sign", both.PrivateKey)
	}
	return pair{both.Leaf, key, text}, nil
}

// newPair makes a pair from a chain in PEM and its key.
func newPair(chain []byte, key crypto.Signer) (pair, error) {
	keyText, err := encodeKey(key)
	if err != nil {
		return pair{}, err
	}
	return parsePair(append(bytes.TrimRight(chain, "\n"), append([]byte("\n"), keyText...)...))
}

// newKey makes a key on P-256, which every browser accepts and which signs quickly.
func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decodeKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// isFor reports whether the certificate covers all these names.
func isFor(certificate *x509.Certificate, names []string) bool {
	for _, name := range names {
		if certificate.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// renewalOf returns when a certificate should be renewed unless its authority says otherwise: with a third of its life
// left, or half if it lives for less than ten days (as Let's Encrypt advises).
func renewalOf(certificate *x509.Certificate) time.Time {
	life := certificate.NotAfter.Sub(certificate.NotBefore)
	left := life / 3
	if life < 10*24*time.Hour {
		left = life / 2
	}
	return certificate.NotAfter.Add(-left)
}

// urgentFrom returns the time from which somebody must act, because the certificate will soon expire: with a week left,
// or a quarter of a short life.
func urgentFrom(certificate *x509.Certificate) time.Time {
	return certificate.NotAfter.Add(-min(7*24*time.Hour, certificate.NotAfter.Sub(certificate.NotBefore)/4))
}

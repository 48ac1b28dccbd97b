package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// lifetime of the databases' certificates. A member whose certificate has ended cannot join, so none should end while anyone
// who made the cluster is not looking.
const lifetime = 10 * 365 * 24 * time.Hour

// An authority signs the databases' certificates. Its key stays on this machine: a server that is taken over cannot make
// itself another member.
type authority struct {
	certificate *x509.Certificate
	pem         []byte // the certificate
	key         *ecdsa.PrivateKey
}

// openAuthority returns the authority in a folder, and makes it if there is none.
func openAuthority(dir string) (authority, error) {
	certificatePath, keyPath := filepath.Join(dir, "authority.crt"), filepath.Join(dir, "authority.key")
	certificatePEM, err := os.ReadFile(certificatePath)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(certificatePath, keyPath)
	}
	if err != nil {
		return authority{}, err
	}
	keyPEM, err := os.ReadFile(keyPath)
	if err != nil {
		return authority{}, err
	}
	certificate, err := parseCertificate(certificatePEM)
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", certificatePath, err)
	}
	keyBlock, _ := pem.Decode(keyPEM)
	if keyBlock == nil {
		return authority{}, fmt.Errorf("%s holds no key", keyPath)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", keyPath, err)
	}
	return authority{certificate, certificatePEM, key}, nil
}

func makeAuthority(certificatePath, keyPath string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	unsigned := unsigned("oneserver databases")
	unsigned.IsCA, unsigned.BasicConstraintsValid, unsigned.MaxPathLenZero = true, true, true
	unsigned.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, unsigned, unsigned, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	keyPEM, err := keyPEM(key)
	if err != nil {
		return authority{}, err
	}
	made := authority{certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key}
	// The certificate comes last: with it there is an authority.
	if err := writeFile(keyPath, keyPEM, 0o600); err != nil {
		return authority{}, err
	}
	return made, writeFile(certificatePath, made.pem, 0o644)
}

// issue returns a new certificate and its key, both as PEM, for a database that is a server to some members and a client to
// others.
func (a authority) issue(name string) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	unsigned := unsigned(name)
	unsigned.DNSNames = []string{name}
	unsigned.KeyUsage = x509.KeyUsageDigitalSignature
	unsigned.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, unsigned, a.certificate, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, err
}

func unsigned(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // never fails
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-24 * time.Hour), // the servers' clocks may be behind this one
		NotAfter:     now.Add(lifetime),
	}
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

package journey

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// Certificate describes the certificate that web presents to visitors.
type Certificate struct {
	Names    []string `json:"names" nullable:"false" doc:"The names that it is for" example:"www.foobar.com"`
	Issuer   string   `json:"issuer" doc:"The authority that issued it" example:"oneserver of foobar.com, 2026-12-01"`
	Until    string   `json:"until" doc:"The day on which it ends; empty if there is no certificate" example:"2027-03-01"`
	DaysLeft int      `json:"days_left" doc:"Whole days until then; negative afterwards"`
	Error    string   `json:"error" doc:"Why there is no certificate; empty if there is one"`
}

// lookAtCertificate connects to web as a visitor of name does, and describes the certificate that web presents. It need
// not verify the certificate, since it sends nothing, and only browsers decide what to trust.
func lookAtCertificate(ctx context.Context, address, name string) Certificate {
	if address == "" {
		return Certificate{Names: []string{}, Error: "no web server stands in front"}
	}
	dialer := tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return Certificate{Names: []string{}, Error: whyNoCertificate(err)}
	}
	defer connection.Close()
	return describeCertificate(connection.(*tls.Conn).ConnectionState().PeerCertificates[0], time.Now())
}

// whyNoCertificate explains err without the internal addresses that err contains.
func whyNoCertificate(err error) string {
	var network *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &network) && network.Op == "dial":
		return "web cannot be reached"
	}
	return "web shows none"
}

func describeCertificate(leaf *x509.Certificate, now time.Time) Certificate {
	names := append([]string{}, leaf.DNSNames...)
	for _, address := range leaf.IPAddresses {
		names = append(names, address.String())
	}
	issuer := append(slices.Clone(leaf.Issuer.Organization), leaf.Issuer.CommonName)
	return Certificate{
		Names:    names,
		Issuer:   strings.Join(slices.DeleteFunc(issuer, func(word string) bool { return word == "" }), ", "),
		Until:    leaf.NotAfter.UTC().Format(time.DateOnly),
		DaysLeft: int(leaf.NotAfter.Sub(now).Hours() / 24),
	}
}

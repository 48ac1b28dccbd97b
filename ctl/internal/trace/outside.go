package trace

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Lookup is a question to the name server and its answer.
type Lookup struct {
	Server     string   `json:"server"`
	Question   string   `json:"question"`
	Status     string   `json:"status"` // NOERROR, REFUSED
	Flags      []string `json:"flags"`  // as dig shows them: qr aa rd
	Records    []Record `json:"records"`
	DurationMS float64  `json:"duration_ms"`
	Error      string   `json:"error,omitempty"` // why there is no answer
}

// Record is one record of an answer.
type Record struct {
	Name string `json:"name"`
	TTL  uint32 `json:"ttl"` // seconds
	Type string `json:"type"`
	Data string `json:"data"`
}

// ask asks for the address of name as a visitor's resolver would. A missing answer is only reported: the request does not
// need one, since it goes to this machine.
func ask(ctx context.Context, server, name string) Lookup {
	lookup := Lookup{Server: server, Question: name + " A", Flags: []string{}, Records: []Record{}}
	ctx, cancel := context.WithTimeout(ctx, dnsLimit)
	defer cancel()
	question := new(dns.Msg).SetQuestion(name, dns.TypeA)
	began := time.Now()
	answer, _, err := (&dns.Client{}).ExchangeContext(ctx, question, server)
	if err == nil && answer.Truncated { // as resolvers do
		answer, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, question, server)
	}
	lookup.DurationMS = milliseconds(time.Since(began))
	if err != nil {
		lookup.Error = err.Error()
		return lookup
	}
	lookup.Status = dns.RcodeToString[answer.Rcode]
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"qr", answer.Response}, {"aa", answer.Authoritative}, {"tc", answer.Truncated},
		{"rd", answer.RecursionDesired}, {"ra", answer.RecursionAvailable},
	} {
		if flag.set {
			lookup.Flags = append(lookup.Flags, flag.name)
		}
	}
	for _, record := range answer.Answer {
		header := record.Header()
		lookup.Records = append(lookup.Records, Record{
			Name: header.Name, TTL: header.Ttl, Type: dns.TypeToString[header.Rrtype],
			Data: strings.TrimPrefix(record.String(), header.String()),
		})
	}
	return lookup
}

// Exchange is a request over HTTP and its answer.
type Exchange struct {
	Address     string  `json:"address"` // the address that answered
	ConnectMS   float64 `json:"connect_ms"`
	TLS         *TLS    `json:"tls,omitempty"` // nil over http
	Request     Message `json:"request"`
	Response    Message `json:"response"`
	Status      int     `json:"status"`
	Bytes       int64   `json:"bytes"`         // the size of the body
	FirstByteMS float64 `json:"first_byte_ms"` // since the request was sent
	TotalMS     float64 `json:"total_ms"`      // from the connect to the last byte
}

// TLS says what both sides agreed on, and what the certificate contains.
type TLS struct {
	HandshakeMS float64   `json:"handshake_ms"`
	Version     string    `json:"version"`      // TLS 1.3
	KeyExchange string    `json:"key_exchange"` // X25519MLKEM768
	Cipher      string    `json:"cipher"`       // TLS_AES_128_GCM_SHA256
	Names       []string  `json:"names"`        // the names in the certificate
	Issuer      string    `json:"issuer"`
	NotAfter    time.Time `json:"not_after"`
	DaysLeft    int       `json:"days_left"`
}

// agreed returns the result of a handshake in which the certificate has been verified.
func agreed(state tls.ConnectionState, took time.Duration, now time.Time) *TLS {
	leaf := state.PeerCertificates[0]
	names := append([]string{}, leaf.DNSNames...)
	for _, address := range leaf.IPAddresses {
		names = append(names, address.String())
	}
	issuer := append(slices.Clone(leaf.Issuer.Organization), leaf.Issuer.CommonName)
	return &TLS{
		HandshakeMS: milliseconds(took),
		Version:     tls.VersionName(state.Version),
		KeyExchange: state.CurveID.String(),
		Cipher:      tls.CipherSuiteName(state.CipherSuite),
		Names:       names,
		Issuer:      strings.Join(slices.DeleteFunc(issuer, func(word string) bool { return word == "" }), ", "),
		NotAfter:    leaf.NotAfter,
		DaysLeft:    int(leaf.NotAfter.Sub(now).Hours() / 24),
	}
}

// Message is the first line of a request or a response, and the fields that matter here.
type Message struct {
	Line   string  `json:"line"`
	Fields []Field `json:"fields"`
}

// Field is one field of a header.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (m Message) header(name string) string {
	for _, field := range m.Fields {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

// shown names the header fields that a trace shows: those that say how a response was made and who may cache it. No cookie
// is among them.
var shown = []string{"Content-Type", "Content-Encoding", "Content-Length", "Location", "Cache-Control", "ETag", "Last-Modified", "Retry-After", "Allow", "Server-Timing", "X-Request-ID"}

// maxBody is how much of an answer is read, in bytes; a page of posts has a tenth of that.
const maxBody = 4 << 20

// visit sends the request like a first-time visitor: over a new connection.
func visit(ctx context.Context, to target) (Exchange, error) {
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	var exchange Exchange
	var connectBegan, handshakeBegan, sent time.Time
	began := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart: func(string, string) { connectBegan = time.Now() },
		ConnectDone: func(_, address string, _ error) {
			exchange.Address, exchange.ConnectMS = address, milliseconds(time.Since(connectBegan))
		},
		TLSHandshakeStart: func() { handshakeBegan = time.Now() },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			if now := time.Now(); err == nil {
				exchange.TLS = agreed(state, now.Sub(handshakeBegan), now)
			}
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent = time.Now() },
		GotFirstResponseByte: func() { exchange.FirstByteMS = milliseconds(time.Since(sent)) },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.url.String(), nil)
	if err != nil {
		return Exchange{}, err
	}
	request.Header.Set("User-Agent", "oneserver-trace")
	request.Header.Set("Accept", "*/*")
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a redirect is an answer to show
		Transport: &http.Transport{ // no proxy from the environment, and never another machine than this
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, to.http)
			},
			TLSClientConfig:    &tls.Config{RootCAs: to.trusted},
			ForceAttemptHTTP2:  true, // over https, as browsers do
			DisableKeepAlives:  true,
			DisableCompression: true,
		},
	}
	response, err := client.Do(request)
	if err != nil {
		return Exchange{}, err
	}
	defer response.Body.Close()
	if exchange.Bytes, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody)); err != nil {
		return Exchange{}, fmt.Errorf("read the answer: %w", err)
	}
	exchange.TotalMS = milliseconds(time.Since(began))
	exchange.Status = response.StatusCode
	exchange.Request = Message{fmt.Sprintf("GET %s %s", to.url.RequestURI(), response.Proto),
		[]Field{{"Host", to.url.Host}, {"User-Agent", "oneserver-trace"}, {"Accept", "*/*"}}}
	exchange.Response.Line = response.Proto + " " + response.Status
	for _, name := range shown {
		for _, value := range response.Header.Values(name) {
			exchange.Response.Fields = append(exchange.Response.Fields, Field{name, value})
		}
	}
	return exchange, nil
}

// milliseconds returns d in milliseconds, with a fraction.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

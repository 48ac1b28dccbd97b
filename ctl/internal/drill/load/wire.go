package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"oneserver/ctl/internal/drill/history"
)

// maxAnswer limits the size of an answer's body.
const maxAnswer = 4 << 20

// lookupTimeout is how long a stub resolver waits for one answer (resolv.conf(5)).
const lookupTimeout = 5 * time.Second

var (
	errOverload = errors.New("more requests under way than the load may have")
	errTooLarge = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
)

// visitors is how many kept connections the load has. Like a browser, each visitor sends all requests over one.
const visitors = 32

// wire sends vegeta's requests, reads their complete answers, and records in their hits how they ended.
type wire struct {
	ctx     context.Context // the run's context
	mix     *mix
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config
	kept    [visitors]*http.Transport
	slots   chan struct{} // one for each request under way
	timeout time.Duration
	dns     *dns.Client
}

func newWire(ctx context.Context, config Config, mix *mix) *wire {
	w := &wire{
		ctx: ctx,
		mix: mix,
		// Whatever a URL says, this load goes to one address only.
		dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", config.Address)
		},
		tls:     &tls.Config{ServerName: config.Host, RootCAs: config.Trusted},
		slots:   make(chan struct{}, config.InFlight),
		timeout: config.Timeout,
		dns:     &dns.Client{Timeout: min(config.Timeout, lookupTimeout)},
	}
	for i := range w.kept {
		w.kept[i] = w.browser()
	}
	return w
}

// browser returns a transport without connections.
func (w *wire) browser() *http.Transport {
	return &http.Transport{
		DialContext:       w.dial,
		TLSClientConfig:   w.tls,
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   30 * time.Second, // less than the server's
	}
}

func (w *wire) close() {
	for _, transport := range w.kept {
		transport.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	h := w.mix.find(request.URL.Fragment)
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		h.Class, h.Error = history.Overload, errOverload.Error()
		return nil, errOverload
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.timeout)
	defer cancel()
	send := w.http
	if h.Kind == history.Lookup {
		send = w.lookup
	}
	response, err := send(request.WithContext(ctx), h)
	if err != nil {
		h.Class, h.Error = classify(w.ctx, err), err.Error()
		return nil, err
	}
	return response, nil
}

// http sends a request and judges its answer.
func (w *wire) http(request *http.Request, h *hit) (*http.Response, error) {
	transport := w.kept[h.visitor]
	if h.fresh {
		transport = w.browser()
		transport.DisableKeepAlives = true
	}
	// The transport calls these from its own goroutines, even after it has returned an error.
	var mu sync.Mutex
	var reused bool
	var tries int
	trace := &httptrace.ClientTrace{
		GotConn:      func(info httptrace.GotConnInfo) { mu.Lock(); reused = info.Reused; mu.Unlock() },
		WroteHeaders: func() { mu.Lock(); tries++; mu.Unlock() },
	}
	response, err := transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	defer func() { mu.Lock(); h.Reused, h.Tries = reused, tries; mu.Unlock() }()
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	h.Status, h.Bytes = response.StatusCode, int64(len(body))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errTooLarge
	}
	w.judge(response, body, h)
	response.Body = http.NoBody // vegeta has nothing left to read, so the time that it measures ends here
	return response, nil
}

// judge decides whether the answer is the one that the request was sent to get.
func (w *wire) judge(response *http.Response, body []byte, h *hit) {
	switch {
	case response.StatusCode >= 300: // nothing that visitors ask for has moved
		h.Class = history.Status
		h.Stale = h.Kind == history.Read && h.Token != "" &&
			(response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone)
	case h.Kind == history.Write:
		location := response.Header.Get("Location")
		if response.StatusCode != http.StatusCreated || !strings.HasPrefix(location, "/") {
			h.Class, h.Error = history.Other, fmt.Sprintf("not 201 with the path of what was made: %d, Location %q", response.StatusCode, location)
			return
		}
		w.mix.acknowledged(h.Token, location)
	case h.Token != "" && !bytes.Contains(body, []byte(h.Token)):
		h.Class, h.Error, h.Stale = history.Other, "shows something else than what was written", true
	}
}

// lookup asks a DNS server for the A records of the URL's path.
func (w *wire) lookup(request *http.Request, h *hit) (*http.Response, error) {
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(strings.TrimPrefix(request.URL.Path, "/")), dns.TypeA)
	h.Tries = 1
	answer, _, err := w.dns.ExchangeContext(request.Context(), question, request.URL.Host)
	if err != nil {
		return nil, err
	}
	h.Bytes = int64(answer.Len())
	if answer.Rcode != dns.RcodeSuccess || len(answer.Answer) == 0 {
		h.Class, h.Error = history.DNS, fmt.Sprintf("%s with %d records", dns.RcodeToString[answer.Rcode], len(answer.Answer))
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: request}, nil
}

// classify returns why a request had no answer. ctx is the run's.
func classify(ctx context.Context, err error) history.Class {
	var network *net.OpError
	isNetwork := errors.As(err, &network)
	switch {
	case ctx.Err() != nil:
		return history.Aborted
	case errors.Is(err, context.DeadlineExceeded), isNetwork && network.Timeout():
		return history.Timeout
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EMFILE):
		return history.Other // this machine has reached its own limits
	case errors.Is(err, syscall.ECONNREFUSED), isNetwork && network.Op == "dial":
		return history.Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), lostHTTP2(err):
		return history.Reset
	}
	return history.Other
}

// lostHTTP2 reports whether a server gave up an HTTP/2 connection (GOAWAY) or a request on it (RST_STREAM). net/http exports
// neither of these errors.
func lostHTTP2(err error) bool {
	return strings.HasPrefix(err.Error(), "http2: ") || strings.HasPrefix(err.Error(), "stream error: ")
}

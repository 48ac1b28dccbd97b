// Package reach asks the running site what a visitor would ask, at the ports that it publishes. A container's health check
// asks inside, and says nothing about the way there. The engine's proxy for a port can end while everything behind it is
// healthy.
package reach

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

// An Answer is the outcome of one question.
type Answer struct {
	Service string // the service whose port was asked
	Setting string // the port's setting: HTTP_PORT
	Port    string // TCP 127.0.0.1:80
	What    string // what was asked for: the page
	Err     error  // nil if it was answered as it should be
	Dead    bool   // whether nothing at all came back
}

// Patience is how long one answer may take.
const Patience = 2 * time.Second

// Ask asks for the page over http and https, for the application, and for the name over UDP and TCP, all at the same time.
// It repeats the unanswered questions until the time is over.
func Ask(ctx context.Context, settings stack.Settings, within time.Duration) ([]Answer, error) {
	bind, err := settings.Reach()
	if err != nil {
		return nil, err
	}
	web, secure, name := at(bind, settings["HTTP_PORT"]), at(bind, settings["HTTPS_PORT"]), at(bind, settings["DNS_PORT"])
	domain := settings["DOMAIN"]
	questions := []struct {
		Answer
		ask func(context.Context) (dead bool, err error)
	}{
		{Answer{Service: "web", Setting: "HTTP_PORT", Port: "TCP " + web, What: "the page"}, func(ctx context.Context) (bool, error) { return askWeb(ctx, "http://"+web+"/", domain) }},
		{Answer{Service: "web", Setting: "HTTPS_PORT", Port: "TCP " + secure, What: "the page over https"}, func(ctx context.Context) (bool, error) { return askWeb(ctx, "https://"+secure+"/", domain) }},
		{Answer{Service: "web", Setting: "HTTPS_PORT", Port: "TCP " + secure, What: "the application"}, func(ctx context.Context) (bool, error) { return askWeb(ctx, "https://"+secure+site.Prefix, domain) }}, // http may redirect
		{Answer{Service: "dns", Setting: "DNS_PORT", Port: "UDP " + name, What: "the name"}, func(ctx context.Context) (bool, error) { return askName(ctx, "udp", name, domain) }},
		{Answer{Service: "dns", Setting: "DNS_PORT", Port: "TCP " + name, What: "the name"}, func(ctx context.Context) (bool, error) { return askName(ctx, "tcp", name, domain) }},
	}
	answers := make([]Answer, len(questions))
	var asking sync.WaitGroup
	for i, question := range questions {
		asking.Go(func() {
			// The error is in question.Err.
			_ = wait.Until(ctx, within, wait.Often, func(ctx context.Context) error {
				limited, cancel := context.WithTimeout(ctx, Patience)
				defer cancel()
				dead, err := question.ask(limited)
				if !errors.Is(err, errLate) || question.Err == nil { // a time limit says less than the error before it
					question.Dead, question.Err = dead, err
				}
				return err
			})
			answers[i] = question.Answer
		})
	}
	asking.Wait()
	return answers, ctx.Err()
}

func at(bind netip.Addr, port string) string { return net.JoinHostPort(bind.String(), port) }

var errLate = fmt.Errorf("no answer within %s", Patience)

// askWeb expects an answer from the site, under its name. What the answer says is up to the site's owner: a page may be
// gone, or moved to https.
func askWeb(ctx context.Context, url, domain string) (dead bool, err error) {
	www := "www." + domain
	client := http.Client{ // connects to that address, whatever proxy the environment names, and takes the first answer
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			ServerName:         www,
			InsecureSkipVerify: true, // it gets nothing that is not public; whether the certificate is trusted is for make trust and the doctor to say
			VerifyConnection:   func(to tls.ConnectionState) error { return to.PeerCertificates[0].VerifyHostname(www) },
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	request.Host = www
	response, err := client.Do(request)
	if err != nil {
		return silent(err), reason(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return true, reason(err)
	}
	if response.StatusCode >= 500 || response.StatusCode == http.StatusMisdirectedRequest {
		return false, fmt.Errorf("the answer is %s", response.Status)
	}
	return false, nil
}

// silent reports whether nothing came back. A refusal to speak TLS, or an answer that is not HTTP, is an answer.
func silent(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(reason(err), errLate) ||
		errors.As(err, &network) && network.Op != "remote error" // which is a TLS alert
}

// askName expects an answer about the zone from a server with authority over it.
func askName(ctx context.Context, network, server, domain string) (dead bool, err error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(domain), dns.TypeSOA)
	answer, _, err := (&dns.Client{Net: network}).ExchangeContext(ctx, question, server)
	if err != nil {
		return true, reason(err)
	}
	if answer.Rcode != dns.RcodeSuccess || !answer.Authoritative {
		return false, fmt.Errorf("the answer is %s", dns.RcodeToString[answer.Rcode])
	}
	return false, nil
}

// reason returns the innermost network error, since the address asked is shown already.
func reason(err error) error {
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return errLate
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err // connection refused, EOF
}

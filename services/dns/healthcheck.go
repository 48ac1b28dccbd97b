package main

import (
	"context"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// healthcheck asks the server at address for the A record of name, over UDP and over TCP, as a resolver would.
// It wants an authoritative answer with a CNAME and the address that it leads to, within a second each.
func healthcheck(ctx context.Context, address, name string) error {
	for _, network := range []string{"udp", "tcp"} {
		question := new(dns.Msg).SetQuestion(name, dns.TypeA)
		question.RecursionDesired = false
		client := dns.Client{Net: network, Timeout: time.Second}
		answer, _, err := client.ExchangeContext(ctx, question, address)
		if err != nil {
			return fmt.Errorf("ask for %s over %s: %w", name, network, err)
		}
		var alias, addr bool
		for _, record := range answer.Answer {
			switch record.(type) {
			case *dns.CNAME:
				alias = true
			case *dns.A:
				addr = true
			}
		}
		if answer.Rcode != dns.RcodeSuccess || !answer.Authoritative || !alias || !addr {
			return fmt.Errorf("asked for %s over %s and was told %s, authoritative %t, %v; want a CNAME and its address",
				name, network, dns.RcodeToString[answer.Rcode], answer.Authoritative, answer.Answer)
		}
	}
	return nil
}

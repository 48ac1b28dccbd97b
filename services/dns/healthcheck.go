package main

import (
	"context"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// healthcheck asks the server at address for the zone's SOA record, which every zone has, over UDP and over TCP. Each
// must return an authoritative answer within a second.
func healthcheck(ctx context.Context, address, zone string) error {
	for _, network := range []string{"udp", "tcp"} {
		question := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
		question.RecursionDesired = false
		client := dns.Client{Net: network, Timeout: time.Second}
		answer, _, err := client.ExchangeContext(ctx, question, address)
		if err != nil {
			return fmt.Errorf("ask for %s over %s: %w", zone, network, err)
		}
		if answer.Rcode != dns.RcodeSuccess || !answer.Authoritative || len(answer.Answer) != 1 || answer.Answer[0].Header().Rrtype != dns.TypeSOA {
			return fmt.Errorf("asked for the SOA of %s over %s and was told %s, authoritative %t, %v; want that record",
				zone, network, dns.RcodeToString[answer.Rcode], answer.Authoritative, answer.Answer)
		}
	}
	return nil
}

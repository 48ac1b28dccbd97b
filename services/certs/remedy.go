package main

import (
	"errors"

	"github.com/mholt/acmez/v3/acme"
)

// remedies say what to do about each kind of problem that an authority can report (RFC 8555, section 6.7).
var remedies = map[string]string{
	acme.ProblemTypeCAA:                     "a CAA record of the domain allows other authorities only: add this one, or remove the record, where the domain's DNS is kept",
	acme.ProblemTypeDNS:                     "the domain does not resolve for the authority: have the A record, or the NS records, lead to this server, and wait until they are known",
	acme.ProblemTypeConnection:              "the authority cannot reach port 80 of this server: open it in the firewall, publish it (BIND=0.0.0.0, HTTP_PORT=80), and have the domain lead here",
	acme.ProblemTypeUnauthorized:            "port 80 of the domain is answered by something else: have both names, the domain and www, lead to this server alone, over IPv6 too",
	acme.ProblemTypeIncorrectResponse:       "port 80 of the domain is answered by something else: have both names, the domain and www, lead to this server alone, over IPv6 too",
	acme.ProblemTypeTLS:                     "something before this server leads the authority to https: have it pass /.well-known/acme-challenge/ on as it is",
	acme.ProblemTypeRateLimited:             "wait: the authority allows no more for now; to try things out, use its staging directory",
	acme.ProblemTypeExternalAccountRequired: "the authority wants a customer's account: write ACME_EAB_KID and ACME_EAB_KEY in .env, as it gave them",
	acme.ProblemTypeInvalidContact:          "the authority does not take ACME_EMAIL: write another address in .env, or leave it out",
	acme.ProblemTypeUnsupportedContact:      "the authority does not take ACME_EMAIL: write another address in .env, or leave it out",
	acme.ProblemTypeRejectedIdentifier:      "the authority issues nothing for this DOMAIN: it must be registered, and not a name for examples or for inside",
	acme.ProblemTypeUserActionRequired:      "the authority wants something done by hand: open the address that it names",
	acme.ProblemTypeServerInternal:          "the authority has a fault of its own: wait",
	acme.ProblemTypeMalformed:               "look at DOMAIN, ACME_PROFILE and ACME_EAB_KID in .env: the authority cannot make sense of one of them",
}

// remedy says what to do about a failed attempt.
func remedy(err error) string {
	var problem acme.Problem
	if errors.As(err, &problem) {
		kinds := []string{problem.Type}
		for _, part := range problem.Subproblems {
			kinds = append(kinds, part.Type)
		}
		for _, kind := range kinds {
			if do, known := remedies[kind]; known {
				return do
			}
		}
		return "look the problem up where the authority documents it"
	}
	if errors.Is(err, errWeb) {
		return "make ps shows what keeps web from answering; it has 30 s"
	}
	return "look whether this server reaches the Internet (name resolution, firewall, clock) and whether ACME in .env is right"
}

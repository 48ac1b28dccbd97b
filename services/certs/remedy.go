package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/mholt/acmez/v3/acme"
)

// A remedy is what to do about one kind of failure. docs/troubleshooting.md has a row for each, in the same words; a
// test compares them. The doctor shows what the health check of certs reports, so it needs no separate list.
type remedy struct {
	of string // as the page names it: kinds of problem in backticks, or words
	is func(error) bool
	do string
}

var (
	errWeb       = errors.New("web does not serve the answer to the authority's challenge")
	errDirectory = errors.New("the authority cannot be asked")
)

// problemProfile is the kind of problem that a wrong profile causes (draft-ietf-acme-profiles, section 4).
const problemProfile = acme.ProblemTypeNamespace + "invalidProfile"

// remedies lists the problems that an authority can name (RFC 8555, section 6.7; RFC 9773, section 7.4), then the
// causes that can keep it from answering. The first match counts.
var remedies = []remedy{
	named("a CAA record of the domain allows other authorities only: add this one, or remove the record, where the domain's DNS is kept", "caa"),
	named("the authority cannot resolve the domain: point the A records, or the NS records, of the domain and of www to this server, and wait until the records have spread", "dns"),
	named("the authority cannot reach port 80 of this server: open it in the firewall (your provider's too), publish it (BIND=0.0.0.0, HTTP_PORT=80), and have the domain lead here, with no AAAA record that leads elsewhere", "connection"),
	named("port 80 of the domain is answered by something else: have both names, the domain and www, lead to this server alone, over IPv6 too", "incorrectResponse", "unauthorized"),
	named("something in front of this server redirects the authority to https: have it pass /.well-known/acme-challenge/ on unchanged", "tls"),
	named("wait: the authority allows no more for now; to try things out, use its staging directory", "rateLimited"),
	named("the authority requires a customer account: write ACME_EAB_KID and ACME_EAB_KEY in .env, as it gave them to you", "externalAccountRequired"),
	named("the authority does not accept ACME_EMAIL: write another address in .env, or leave it out", "invalidContact", "unsupportedContact"),
	named("the authority does not issue for this DOMAIN: it must be registered, and not a name reserved for examples or internal use", "rejectedIdentifier", "unsupportedIdentifier"),
	named("the authority has no such kind of certificate: write another ACME_PROFILE in .env, or leave it out", "invalidProfile"),
	named("the authority wants something done by hand: open the address that it names", "userActionRequired"),
	named("wait: the authority has a fault of its own", "serverInternal"),
	named("look at ACME, DOMAIN, ACME_PROFILE and ACME_EAB_KID in .env: the authority cannot make sense of one of them", "malformed"),
	named("wait: certs starts again by itself, with a new account or a new order", "accountDoesNotExist", "alreadyReplaced", "orderNotReady"),
	named("a proxy between this server and the authority answers from its cache: have it pass the authority's answers on unchanged", "badNonce"),
	named("ask another authority (ACME in .env): this one does not accept keys on P-256, which certs makes", "badCSR", "badPublicKey", "badSignatureAlgorithm"),
	named("the authority answers a question that was not asked, since certs revokes nothing: report it where this program comes from", "alreadyRevoked", "badRevocationReason"),
	named("look up the authority's message in its documentation", "compound"),
	{"another problem", func(err error) bool { _, is := problemOf(err); return is }, "look the problem up in the authority's documentation"},

	{"nothing: `web` does not serve the answer to its challenge", func(err error) bool { return errors.Is(err, errWeb) }, "make ps shows what keeps web from answering; it has 30 s"},
	{"nothing: its name is not found", as[*net.DNSError], "look at ACME in .env for a typing error, and whether this server resolves names: getent hosts, with the authority's name"},
	{"with a certificate that has ended or not begun", outdated, "set this server's clock: timedatectl shows whether it is synchronized"},
	{"with a certificate that is not trusted, or another's", strange, "something between this server and the authority answers in its place, or ACME in .env names an authority that no browser trusts: remove the one, or correct the other"},
	{"nothing: it refuses the connection, or there is no way to it", unreachable, "let this server reach port 443 of the Internet: check its firewall and its routes; if others cannot reach the authority either, wait"},
	{"too late, or nothing at all", late, "wait, if the authority is slow (its status page says so); if it always is, a firewall drops what this server sends to port 443 of the Internet"},
	{"something that is no ACME directory", noDirectory, "correct ACME in .env: it is the URL of the directory, as the authority documents it"},
	{"anything else", func(error) bool { return true }, "wait, or look at docker compose logs certs and at the authority's status page"},
}

// named returns the remedy for problems of these kinds, even when they are part of a compound one.
func named(do string, kinds ...string) remedy {
	is := func(err error) bool {
		problem, _ := problemOf(err)
		of := func(kind string) bool {
			short, ours := strings.CutPrefix(kind, acme.ProblemTypeNamespace)
			return ours && slices.Contains(kinds, short)
		}
		return of(problem.Type) || slices.ContainsFunc(problem.Subproblems, func(part acme.Subproblem) bool { return of(part.Type) })
	}
	return remedy{"`" + strings.Join(kinds, "`, `") + "`", is, do}
}

// problemOf returns the problem that the authority named. The library passes it on as a value, or as a pointer if it
// belongs to an order.
func problemOf(err error) (acme.Problem, bool) {
	var order *acme.Problem
	if errors.As(err, &order) && order != nil {
		return *order, true
	}
	var problem acme.Problem
	return problem, errors.As(err, &problem)
}

func as[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

func outdated(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

func strange(err error) bool {
	return as[x509.UnknownAuthorityError](err) || as[x509.HostnameError](err) || as[x509.CertificateInvalidError](err)
}

func unreachable(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH)
}

func late(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// noDirectory matches every failure to get the directory, unless the authority itself is at fault (a status of 5xx, which
// the library reports only as text).
func noDirectory(err error) bool {
	return errors.Is(err, errDirectory) && !strings.Contains(err.Error(), "HTTP 5")
}

// advise returns what to do about a failed attempt.
func advise(err error) string {
	for _, one := range remedies {
		if one.is(err) {
			return one.do
		}
	}
	return ""
}

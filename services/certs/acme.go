package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
	_ "golang.org/x/crypto/x509roots/fallback" // Mozilla's roots, since the image contains only this program
)

// account is an account that was opened with an authority.
type account struct {
	Directory string
	Key       string // PEM
	Location  string // empty until the authority has answered
}

// order is an order in progress. It is stored, so that after a kill the next start continues with it instead of
// ordering a second certificate.
type order struct {
	Directory string
	Location  string
	Key       string // the certificate's, PEM
}

// waitError is a refusal that names the earliest time to ask again.
type waitError struct {
	error
	after time.Duration
}

func (e *waitError) Unwrap() error { return e.error }

// client returns an ACME client for the authority, with a limit on the size of its answers.
func (k *keeper) client() *acme.Client {
	return &acme.Client{Directory: k.directory, UserAgent: "oneserver", PollTimeout: 2 * time.Minute,
		PollInterval: time.Second, HTTPClient: &http.Client{Timeout: k.patience, Transport: bounded{k.transport}}}
}

// bounded cuts off answers that are longer than any authority sends, and records the Retry-After of a refusal, which
// obtain turns into a waitError.
type bounded struct{ transport http.RoundTripper }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, 1<<20), response.Body}
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable {
		if heard, ok := request.Context().Value(refusals{}).(*time.Duration); ok {
			*heard = retryAfter(response.Header.Get("Retry-After"), time.Now())
		}
	}
	return response, nil
}

// refusals is the context key under which the last Retry-After is kept: the library does not pass it on.
type refusals struct{}

// retryAfter returns the wait that a Retry-After field asks for (RFC 9110, section 10.2.3), or zero if it gives no
// time.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// obtain gets a certificate from the authority, and stores it.
func (k *keeper) obtain(ctx context.Context, have held) (held, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	var after time.Duration
	ctx = context.WithValue(ctx, refusals{}, &after)
	got, err := k.order(ctx, have)
	if problem, _ := problemOf(err); problem.Type == acme.ProblemTypeAccountDoesNotExist { // it was deactivated, or the authority lost its accounts
		err = errors.Join(remove(k.places.account()), remove(k.places.order()))
		if err == nil {
			got, err = k.order(ctx, have)
		}
	}
	if err != nil && after > 0 {
		err = &waitError{err, after}
	}
	return got, err
}

// order gets a certificate, following the steps of RFC 8555, section 7.4. Each step saves what the next start needs to
// continue.
func (k *keeper) order(ctx context.Context, have held) (held, error) {
	client := k.client()
	directory, err := client.GetDirectory(ctx)
	if err != nil {
		return held{}, fmt.Errorf("%w: %w", errDirectory, err)
	}
	var profiles map[string]string
	if directory.Meta != nil {
		profiles = directory.Meta.Profiles
	}
	if _, offered := profiles[k.profile]; k.profile != "" && !offered {
		return held{}, acme.Problem{Type: problemProfile, Detail: fmt.Sprintf("it offers %q", slices.Sorted(maps.Keys(profiles)))}
	}
	who, err := k.openAccount(ctx, client, directory)
	if err != nil {
		return held{}, err
	}
	at, kept, err := k.openOrder(ctx, client, who, have)
	if err != nil {
		return held{}, err
	}
	got, err := k.finish(ctx, client, who, at, kept, directory)
	if problem, is := problemOf(err); err == nil || is && problem.Type != acme.ProblemTypeRateLimited && problem.Status < 500 {
		err = errors.Join(err, remove(k.places.order())) // the order is over, successful or not
	}
	return got, err
}

// openAccount returns the account with the authority, or opens one if there is none.
func (k *keeper) openAccount(ctx context.Context, client *acme.Client, directory acme.Directory) (acme.Account, error) {
	var kept account
	if _, err := load(k.places.account(), &kept); err != nil {
		k.log.Error("the ACME account cannot be read: another one is opened", "error", err)
	}
	key, err := decodeKey([]byte(kept.Key))
	if err != nil || kept.Directory != k.directory {
		if key, err = newKey(); err != nil {
			return acme.Account{}, err
		}
		text, err := encodeKey(key)
		if err != nil {
			return acme.Account{}, err
		}
		kept = account{Directory: k.directory, Key: string(text)}
		if err := keep(k.places.account(), kept); err != nil { // before its first use, so that a kill does not lead to a second account
			return acme.Account{}, err
		}
	}
	who := acme.Account{PrivateKey: key, Location: kept.Location}
	if who.Location != "" {
		return who, nil
	}
	who.TermsOfServiceAgreed = true // as .env.example says, setting ACME means agreeing
	if k.email != "" {
		who.Contact = []string{"mailto:" + k.email}
	}
	switch wanted := directory.Meta != nil && directory.Meta.ExternalAccountRequired; {
	case k.eabID != "":
		if err := who.SetExternalAccountBinding(ctx, client, acme.EAB{KeyID: k.eabID, MACKey: k.eabKey}); err != nil {
			return acme.Account{}, err
		}
	case wanted:
		return acme.Account{}, acme.Problem{Type: acme.ProblemTypeExternalAccountRequired, Detail: "it opens accounts for its customers only"}
	}
	opened, err := client.NewAccount(ctx, who)
	if err != nil {
		return acme.Account{}, fmt.Errorf("open an account: %w", err)
	}
	kept.Location = opened.Location
	k.log.Info("ACME account opened", "account", opened.Location, "terms", termsOf(directory))
	return acme.Account{PrivateKey: key, Location: opened.Location}, keep(k.places.account(), kept)
}

func termsOf(directory acme.Directory) string {
	if directory.Meta == nil {
		return ""
	}
	return directory.Meta.TermsOfService
}

// openOrder returns the order in progress, or a new one.
func (k *keeper) openOrder(ctx context.Context, client *acme.Client, who acme.Account, have held) (acme.Order, order, error) {
	var kept order
	if there, err := load(k.places.order(), &kept); err != nil {
		k.log.Error("the order that was under way cannot be read: another one is made", "error", err)
	} else if there && kept.Directory == k.directory {
		at, err := client.GetOrder(ctx, who, acme.Order{Location: kept.Location})
		problem, is := problemOf(err)
		switch {
		case err == nil && at.Status != acme.StatusInvalid:
			return at, kept, nil
		case err != nil && (!is || problem.Type == acme.ProblemTypeRateLimited || problem.Type == acme.ProblemTypeAccountDoesNotExist || problem.Status >= 500):
			return acme.Order{}, order{}, fmt.Errorf("look at the order that is under way: %w", err)
		}
	}
	key, err := newKey()
	if err != nil {
		return acme.Order{}, order{}, err
	}
	text, err := encodeKey(key)
	if err != nil {
		return acme.Order{}, order{}, err
	}
	ask := acme.Order{Profile: k.profile}
	for _, name := range k.names() {
		ask.Identifiers = append(ask.Identifiers, acme.Identifier{Type: "dns", Value: name})
	}
	if have.there() && have.Directory == k.directory && k.advice.start != (time.Time{}) { // the authority supports RFC 9773
		if ask.Replaces, err = acme.ARIUniqueIdentifier(have.pair.leaf); err != nil {
			return acme.Order{}, order{}, err
		}
	}
	at, err := client.NewOrder(ctx, who, ask)
	if problem, is := problemOf(err); ask.Replaces != "" && is && problem.Type != acme.ProblemTypeRateLimited && problem.Type != acme.ProblemTypeAccountDoesNotExist {
		ask.Replaces = "" // it helps the authority, but is not required
		at, err = client.NewOrder(ctx, who, ask)
	}
	if err != nil {
		return acme.Order{}, order{}, fmt.Errorf("order a certificate: %w", err)
	}
	kept = order{Directory: k.directory, Location: at.Location, Key: string(text)}
	return at, kept, keep(k.places.order(), kept)
}

// finish proves that the names lead to this server, has the certificate issued, and downloads and stores it.
func (k *keeper) finish(ctx context.Context, client *acme.Client, who acme.Account, at acme.Order, kept order, directory acme.Directory) (held, error) {
	key, err := decodeKey([]byte(kept.Key))
	if err != nil {
		return held{}, err
	}
	if at.Status == acme.StatusPending {
		for _, location := range at.Authorizations {
			if err := k.prove(ctx, client, who, location); err != nil {
				return held{}, err
			}
		}
	}
	if at.Status != acme.StatusValid {
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: k.names()}, key)
		if err != nil {
			return held{}, err
		}
		if at, err = client.FinalizeOrder(ctx, who, at, request); err != nil {
			return held{}, fmt.Errorf("have the certificate issued: %w", err)
		}
	}
	chains, err := client.GetCertificateChain(ctx, who, at.Certificate)
	if err != nil {
		return held{}, fmt.Errorf("download the certificate: %w", err)
	}
	got, err := newPair(chains[0].ChainPEM, key)
	if err != nil {
		return held{}, fmt.Errorf("the certificate that came: %w", err)
	}
	if !sameNames(got.leaf.DNSNames, k.names()) {
		return held{}, fmt.Errorf("the certificate that came is for %v", got.leaf.DNSNames)
	}
	one := issued{Directory: k.directory, PEM: string(got.pem)}
	if directory.Meta != nil {
		one.CAA = directory.Meta.CAAIdentities
	}
	return held{one, got}, keep(k.places.certificate(), one)
}

// tokenForm matches a valid token (RFC 8555, section 8.3). The token becomes a file name.
var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// prove completes the challenge for one name: the authority fetches a file from web, which shows that the name leads to
// this server.
func (k *keeper) prove(ctx context.Context, client *acme.Client, who acme.Account, location string) error {
	authorization, err := client.GetAuthorization(ctx, who, location)
	if err != nil {
		return err
	}
	if authorization.Status != acme.StatusPending {
		_, err := client.PollAuthorization(ctx, who, authorization) // returns why it failed
		return err
	}
	for _, challenge := range authorization.Challenges {
		if challenge.Type != acme.ChallengeTypeHTTP01 {
			continue
		}
		if !tokenForm.MatchString(challenge.Token) {
			return fmt.Errorf("the authority's token %q is none", challenge.Token)
		}
		path := filepath.Join(k.places.challenges(), challenge.Token)
		if err := replace(path, []byte(challenge.KeyAuthorization), 0o644); err != nil {
			return err
		}
		defer os.Remove(path) // a file that a kill leaves there is harmless
		if err := k.webAnswers(ctx, challenge); err != nil {
			return err
		}
		if challenge.Status == acme.StatusPending {
			if _, err := client.InitiateChallenge(ctx, who, challenge); err != nil {
				return err
			}
		}
		_, err := client.PollAuthorization(ctx, who, authorization)
		return err
	}
	return fmt.Errorf("the authority does not offer HTTP-01 for %s", authorization.Identifier.Value)
}

// webAnswers waits until web serves the answer to the challenge. Only then is the authority asked to check it, because
// the authority counts failures.
func (k *keeper) webAnswers(ctx context.Context, challenge acme.Challenge) error {
	client := &http.Client{
		Timeout:       2 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	look := func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(k.web, "80")+challenge.HTTP01ResourcePath(), nil)
		if err != nil {
			return err
		}
		request.Host = challenge.Identifier.Value
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
		if err == nil && (response.StatusCode != http.StatusOK || strings.TrimSpace(string(text)) != challenge.KeyAuthorization) {
			err = fmt.Errorf("it answers %s", response.Status)
		}
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; {
		err := look()
		if err == nil {
			return nil
		}
		if !time.Now().Before(end) {
			return fmt.Errorf("%w: %w", errWeb, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errWeb, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	lookEvery = time.Minute     // how often to check the clock, which can jump
	soon      = time.Second     // until web serves what was just written
	askAgain  = 6 * time.Hour   // when to ask about renewal again, if the authority does not say
	orderTime = 5 * time.Minute // for an order and everything that belongs to it
)

// pauses are the waits after failed attempts. They allow at most four attempts in any hour, because Let's Encrypt
// allows five failed validations.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

// longestWait limits how long an authority can make us wait, and how long a wait can last that was recorded while the
// clock was wrong.
const longestWait = 8 * day

// keeper maintains the certificate that web serves.
type keeper struct {
	settings
	log *slog.Logger
	now func() time.Time // without the monotonic clock, which does not notice a jump

	transport http.RoundTripper // to the authority
	patience  time.Duration     // for one answer from it

	failures int       // since the last success
	next     time.Time // no attempt before this time

	// The authority's advice on when to renew the certificate with this serial number.
	advice struct {
		serial string
		renew  time.Time // zero if it gives no time
		start  time.Time // of the window that renew was drawn from
		again  time.Time // when to ask again
	}
}

func newKeeper(s settings, log *slog.Logger) *keeper {
	return &keeper{settings: s, log: log, now: func() time.Time { return time.Now().Round(0) }, transport: http.DefaultTransport, patience: 30 * time.Second}
}

// issued is a certificate that an authority has issued, in the form in which it is stored.
type issued struct {
	Directory string   // of the authority
	CAA       []string // the names by which CAA records allow that authority (RFC 8659)
	PEM       string   // the chain, then the key
}

// run maintains the certificate until ctx ends. It returns an error only if it cannot write files, since it can do
// nothing then.
func (k *keeper) run(ctx context.Context) error {
	for _, folder := range []string{k.places.shared, k.places.own, k.places.challenges()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("%w: remove the volume that is mounted there if it is another program's", err)
		}
		if err := sweep(folder); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		again, err := k.step(ctx)
		if err != nil {
			return err
		}
		if attempt := k.next.Sub(k.now()); attempt > 0 {
			again = min(again, attempt)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return nil
}

// step makes web serve the best certificate available, and orders a better one if that is due. It returns how long to
// wait before the next step.
func (k *keeper) step(ctx context.Context) (time.Duration, error) {
	have, err := k.stored()
	if err != nil {
		return 0, err
	}
	again, err := k.serve(ctx, have)
	if err != nil || k.directory == "" || !k.due(ctx, have) {
		return again, err
	}
	got, err := k.obtain(ctx, have)
	if ctx.Err() != nil {
		return again, nil
	}
	if err != nil {
		return again, k.failed(err, have)
	}
	k.failures, k.next = 0, time.Time{}
	if err := errors.Join(remove(k.places.failure()), remove(k.places.wait())); err != nil {
		return 0, err
	}
	leaf := got.pair.leaf
	k.log.Info("certificate issued", "names", leaf.DNSNames, "issuer", leaf.Issuer.String(), "until", leaf.NotAfter, "directory", got.Directory)
	return k.serve(ctx, got)
}

// held is an issued certificate, parsed. Its zero value means that there is none.
type held struct {
	issued
	pair pair
}

func (h held) there() bool { return h.pair.leaf != nil }

// stored returns the certificate that was issued for this domain. A certificate that cannot be read is logged, and
// counts as missing.
func (k *keeper) stored() (held, error) {
	var one issued
	there, err := load(k.places.certificate(), &one)
	if err != nil {
		k.log.Error("the certificate that was issued cannot be read", "error", err)
	}
	if !there {
		one, there = k.shown()
	}
	if !there || k.directory == "" {
		return held{}, nil
	}
	parsed, err := parsePair([]byte(one.PEM))
	if err != nil {
		k.log.Error("the certificate that was issued cannot be read", "error", err)
		return held{}, nil
	}
	if !isFor(parsed.leaf, k.names()) {
		return held{}, nil
	}
	return held{one, parsed}, nil
}

// shown returns the certificate from a public authority that web is serving, if there is one. If the volume with the issued
// certificate has been lost, this copy takes its place, and the authority need not issue another one.
func (k *keeper) shown() (one issued, there bool) {
	marker, err := os.ReadFile(k.places.public())
	if err != nil {
		return issued{}, false
	}
	site, err := os.ReadFile(k.places.site())
	words := strings.Fields(string(marker))
	if err != nil || len(words) == 0 {
		return issued{}, false
	}
	return issued{Directory: words[0], CAA: words[1:], PEM: string(site)}, true
}

// serve makes web serve the issued certificate or, if there is none, one from the stack's own authority. It does not
// touch a certificate that is already in place. An expired certificate is still served: visitors can get past the
// warning, and having none would be worse.
func (k *keeper) serve(ctx context.Context, have held) (time.Duration, error) {
	if err := k.prepareOwn(have.there()); err != nil || !have.there() {
		return lookEvery, err
	}
	if err := k.write(have.pair); err != nil {
		return 0, err
	}
	marker := strings.Join(append([]string{have.Directory}, have.CAA...), "\n") + "\n"
	if text, err := os.ReadFile(k.places.public()); err == nil && string(text) == marker {
		return lookEvery, k.settle()
	}
	// A public certificate has consequences that bind visitors (HSTS) and other authorities (CAA). They follow from
	// this marker, which is therefore written only once web really serves the certificate.
	served, err := k.served(ctx)
	if err != nil || !served.Equal(have.pair.leaf) {
		return soon, nil
	}
	k.log.Info("web serves the certificate of a public authority: http leads to https from now on", "directory", have.Directory)
	return lookEvery, replace(k.places.public(), []byte(marker), 0o644)
}

// settle records that visitors have had a public certificate for a week, after which HSTS may bind them to https for a
// long time.
func (k *keeper) settle() error {
	if _, err := os.Stat(k.places.settled()); err == nil {
		return nil
	}
	public, err := os.Stat(k.places.public())
	if err != nil || k.now().Sub(public.ModTime()) < 7*day {
		return err
	}
	return replace(k.places.settled(), nil, 0o644)
}

// prepareOwn makes sure that the stack's own authority exists. Unless a public authority's certificate is served, it
// also makes sure that there is a certificate from the stack's own authority.
func (k *keeper) prepareOwn(public bool) error {
	authority, isNew, err := ownAuthority(k.places, k.domain, k.now())
	if err != nil {
		return err
	}
	if isNew {
		k.log.Info("made an authority of the stack's own; make trust says how to trust it", "subject", authority.leaf.Subject.String())
	}
	if text, err := os.ReadFile(k.places.authority()); err != nil || !bytes.Equal(text, certificateOf(authority)) {
		if err := replace(k.places.authority(), certificateOf(authority), 0o644); err != nil {
			return err
		}
	}
	if public {
		return nil
	}
	if err := errors.Join(remove(k.places.settled()), remove(k.places.public())); err != nil {
		return err
	}
	if text, err := os.ReadFile(k.places.site()); err == nil {
		leaf, err := parsePair(text)
		if now := k.now(); err == nil && leaf.leaf.CheckSignatureFrom(authority.leaf) == nil && isFor(leaf.leaf, k.names()) &&
			now.After(leaf.leaf.NotBefore) && now.Before(renewalOf(leaf.leaf)) {
			return nil
		}
	}
	leaf, err := makeLeaf(authority, k.names(), k.now())
	if err != nil {
		return err
	}
	return k.write(leaf)
}

// write puts a pair where web reads it. The file is readable by the group of web.
func (k *keeper) write(p pair) error {
	if text, err := os.ReadFile(k.places.site()); err == nil && bytes.Equal(text, p.pem) {
		return nil
	}
	return replace(k.places.site(), p.pem, 0o640)
}

// due reports whether to ask the authority for a certificate now.
func (k *keeper) due(ctx context.Context, have held) bool {
	now := k.now()
	if now.Before(k.next) && k.next.Sub(now) <= longestWait {
		return false
	}
	if until := k.waitsUntil(); now.Before(until) && until.Sub(now) <= longestWait {
		return false
	}
	if !have.there() || have.Directory != k.directory {
		return true
	}
	return !now.Before(k.renewal(ctx, have.pair.leaf))
}

// renewal returns when the certificate should be renewed: when its authority advises (RFC 9773), or else when renewalOf
// says.
func (k *keeper) renewal(ctx context.Context, leaf *x509.Certificate) time.Time {
	own := renewalOf(leaf)
	serial := leaf.SerialNumber.String()
	if k.advice.serial != serial {
		k.advice.serial, k.advice.renew, k.advice.start, k.advice.again = serial, time.Time{}, time.Time{}, time.Time{}
	}
	if now := k.now(); !now.Before(k.advice.again) || k.advice.again.Sub(now) > longestWait {
		k.advice.again = now.Add(askAgain + rand.N(askAgain/4))
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		switch info, err := k.client().GetRenewalInfo(ctx, leaf); {
		case err != nil:
			k.log.Warn("the authority does not say when to renew", "error", err)
		default:
			if info.RetryAfter != nil {
				k.advice.again = now.Add(min(max(info.RetryAfter.Sub(now), time.Minute), day))
			}
			if !info.SuggestedWindow.Start.Equal(k.advice.start) { // chosen at random, once for each window
				k.advice.start, k.advice.renew = info.SuggestedWindow.Start, info.SelectedTime
				k.log.Info("the authority says when to renew", "renew", k.advice.renew, "why", info.ExplanationURL)
			}
		}
	}
	if k.advice.renew.IsZero() || own.Before(k.advice.renew) && k.now().After(urgentFrom(leaf)) {
		return own
	}
	return k.advice.renew
}

// waitsUntil returns the time until which the authority wants no requests, or the zero time if it has not named one.
func (k *keeper) waitsUntil() time.Time {
	text, err := os.ReadFile(k.places.wait())
	if err != nil {
		return time.Time{}
	}
	until, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Time{}
	}
	return until
}

// failed records that no certificate was obtained, and when to try again. The pause becomes longer with each failure,
// and does not end before the authority allows a new attempt.
func (k *keeper) failed(cause error, have held) error {
	k.failures++
	now := k.now()
	pause := pauses[min(k.failures, len(pauses))-1]
	k.next = now.Add(pause + rand.N(pause/5)) // random, so that servers do not all come at the same time
	var limited *waitError
	if errors.As(cause, &limited) {
		until := now.Add(min(limited.after, longestWait))
		if until.After(k.next) {
			k.next = until
		}
		if err := replace(k.places.wait(), []byte(until.UTC().Format(time.RFC3339)+"\n"), 0o600); err != nil {
			return err
		}
	}
	about := []any{"error", cause.Error(), "remedy", advise(cause), "next", k.next}
	if have.there() {
		about = append(about, "served_until", have.pair.leaf.NotAfter)
	}
	k.log.Error("no certificate came", about...)
	says := fmt.Sprintf("%s sent no certificate: %v -> %s; next attempt at %s UTC, or at once after: docker compose restart certs\n",
		k.directory, cause, advise(cause), k.next.UTC().Format("2006-01-02 15:04"))
	if err := os.WriteFile(k.places.failure(), []byte(says), 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sameNames reports whether two lists contain the same names, in any order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

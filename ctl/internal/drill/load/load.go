// Package load puts a steady load on the site from outside, as its visitors do: over TLS and HTTP/2, and a request is sent
// when it is due, whatever became of those before it (an open loop), so that an outage counts in full.
//
// Vegeta paces and sends. The http.RoundTripper that it sends through does what Vegeta does not: it finds out why
// a request failed and which connection it used, and limits how many are under way.
package load

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"oneserver/ctl/internal/drill/history"
)

// Request describes one request.
type Request struct {
	Name   string // of the route, in the history; empty for the method and the path
	Method string // empty for GET
	Path   string // including the query
	Header http.Header
	Body   []byte
}

// Config describes the load. A zero value means the field's default, if it has one.
type Config struct {
	Address string         // host:port to connect to, a loopback address: all others are refused
	Host    string         // the name that visitors type, which the server's certificate must have
	Trusted *x509.CertPool // the authorities that visitors trust; default this machine's
	Steps   []history.Step
	Seed    uint64 // of the random mix; the same seed draws the same mix

	Reads []Request // each read is drawn from these
	// Write returns the request for a write whose result contains the token, such as a post's title; the load also sends the
	// token as the Idempotency-Key. The answer must be 201 with a Location. Write is nil for a load without writes.
	Write      func(token string) Request
	WriteShare float64 // of all requests; default 0.2, negative for none
	// ReadBackShare of the reads ask for the result of an acknowledged write, by its Location; default 0.2, negative for none.
	ReadBackShare float64

	DNSAddress  string   // host:port of the DNS server, a loopback address; empty for a load without lookups
	DNSNames    []string // the names to ask for (A over UDP), which must have an answer
	LookupShare float64  // of all requests; default 0.1 with a DNSAddress

	NewConnShare float64       // of the requests go over a connection of their own, the others over kept ones; default 0.25, negative for none
	Timeout      time.Duration // of one request, with its connection; default 15 s
	InFlight     int           // the most requests in progress; further ones that are due fail as history.Overload; default 4096
}

// These limits for one load catch typing errors.
const (
	maxRate   = 20_000
	maxLength = time.Hour
)

// prepare fills in the defaults and checks what it can.
func (c *Config) prepare() error {
	share := func(set *float64, standard float64) {
		*set = max(0, cmp.Or(*set, standard))
	}
	share(&c.WriteShare, 0.2)
	share(&c.ReadBackShare, 0.2)
	share(&c.LookupShare, 0.1)
	share(&c.NewConnShare, 0.25)
	if c.Write == nil {
		c.WriteShare, c.ReadBackShare = 0, 0
	}
	if c.DNSAddress == "" {
		c.LookupShare = 0
	}
	c.Timeout = cmp.Or(c.Timeout, 15*time.Second)
	c.InFlight = cmp.Or(c.InFlight, 4096)
	switch {
	case c.WriteShare+c.LookupShare > 1 || c.ReadBackShare > 1 || c.NewConnShare > 1:
		return errors.New("the shares of the load add up to more than all of it")
	case len(c.Reads) == 0 && c.WriteShare+c.LookupShare < 1:
		return errors.New("the load is to read, and has nothing to read")
	case c.LookupShare > 0 && len(c.DNSNames) == 0:
		return errors.New("the load is to look up names, and has none")
	case c.Timeout < 0 || c.InFlight < 0:
		return errors.New("the load's limits cannot be negative")
	}
	if err := isLoopback(c.Address); err != nil {
		return err
	}
	if c.DNSAddress != "" {
		if err := isLoopback(c.DNSAddress); err != nil {
			return err
		}
	}
	if len(c.Steps) == 0 {
		return errors.New("the load has no steps")
	}
	var length time.Duration
	for _, step := range c.Steps {
		if !(step.Rate >= 1 && step.Rate <= maxRate) || step.For <= 0 || step.For > maxLength-length {
			return fmt.Errorf("a step of %g requests a second for %s: the rate is 1 to %d, all steps together take at most %s", step.Rate, step.For, maxRate, maxLength)
		}
		length += step.For
	}
	return nil
}

// isLoopback returns an error unless address keeps packets on this machine. It refuses names too, since they can change.
func isLoopback(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the load goes to an address and a port of this machine only: %w", err)
	}
	if !ap.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("the load goes to this machine only, and %s is not a loopback address", address)
	}
	return nil
}

// Attack is a load in progress.
type Attack struct {
	schedule schedule
	mix      *mix
	began    time.Time
	requests chan history.Request
}

// Start checks the configuration and begins. Ending ctx ends the load early; requests under way are then
// history.Aborted. The caller must receive from Requests until it is closed.
func Start(ctx context.Context, config Config) (*Attack, error) {
	if err := config.prepare(); err != nil {
		return nil, err
	}
	a := &Attack{
		schedule: newSchedule(config.Steps),
		mix:      newMix(config, runPrefix()),
		requests: make(chan history.Request, 1024),
	}
	wire := newWire(ctx, config, a.mix)
	attacker := vegeta.NewAttacker(vegeta.Workers(64), vegeta.Client(&http.Client{
		Transport:     wire,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
	a.began = time.Now()
	results := attacker.Attack(a.mix.target, pacer{ctx, a.began, a.schedule}, 0, "")
	go func() {
		defer close(a.requests)
		defer wire.close()
		for result := range results {
			a.requests <- a.record(result)
		}
	}()
	return a, nil
}

// record combines what vegeta, the mix and the wire know about a request.
func (a *Attack) record(result *vegeta.Result) history.Request {
	hit := a.mix.take(result.URL)
	r := hit.Request
	r.Seq = result.Seq
	r.Due = a.schedule.due(result.Seq)
	r.Sent = result.Timestamp.Sub(a.began)
	r.Done = r.Sent + result.Latency
	return r
}

// Requests delivers each request once it is done, in the order in which they end; it is closed after the last one.
func (a *Attack) Requests() <-chan history.Request { return a.requests }

// Began returns the start of the run: all times of its requests count from it.
func (a *Attack) Began() time.Time { return a.began }

// Since returns how long the run has lasted so far, for the times of actions.
func (a *Attack) Since() time.Duration { return time.Since(a.began) }

// TokenPrefix returns the 24 characters that begin all tokens of this run and no token of another run.
func (a *Attack) TokenPrefix() string { return a.mix.prefix }

func runPrefix() string {
	var random [8]byte
	rand.Read(random[:]) // never fails, by its documentation
	return "drill-" + hex.EncodeToString(random[:]) + "-r"
}

// schedule says when each request is due.
type schedule struct {
	steps []scheduledStep
	total uint64
}

type scheduledStep struct {
	first uint64 // the sequence number of its first request
	start time.Duration
	rate  float64
}

func newSchedule(steps []history.Step) schedule {
	var s schedule
	var start time.Duration
	for _, step := range steps {
		s.steps = append(s.steps, scheduledStep{s.total, start, step.Rate})
		s.total += uint64(math.Round(step.Rate * step.For.Seconds()))
		start += step.For
	}
	return s
}

func (s schedule) due(seq uint64) time.Duration {
	i, exact := slices.BinarySearchFunc(s.steps, seq, func(step scheduledStep, seq uint64) int { return cmp.Compare(step.first, seq) })
	if !exact {
		i--
	}
	step := s.steps[i]
	return step.start + time.Duration(float64(seq-step.first)/step.rate*float64(time.Second))
}

// pacer makes vegeta keep the schedule. It reads the clock itself, because vegeta starts a moment after Attack.began.
type pacer struct {
	ctx      context.Context
	began    time.Time
	schedule schedule
}

// Pace implements vegeta.Pacer.
func (p pacer) Pace(_ time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= p.schedule.total || p.ctx.Err() != nil {
		return 0, true
	}
	return p.schedule.due(hits) - time.Since(p.began), false
}

// Rate implements vegeta.Pacer.
func (p pacer) Rate(elapsed time.Duration) float64 {
	rate := p.schedule.steps[0].rate
	for _, step := range p.schedule.steps {
		if step.start <= elapsed {
			rate = step.rate
		}
	}
	return rate
}

// Lateness says how late the generator itself was in sending.
type Lateness struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// MeasureLateness returns the percentiles of Sent − Due.
func MeasureLateness(requests []history.Request) Lateness {
	late := make([]time.Duration, len(requests))
	for i, r := range requests {
		late[i] = r.Lateness()
	}
	slices.Sort(late)
	return Lateness{P50: Percentile(late, 0.5), P99: Percentile(late, 0.99), Max: Percentile(late, 1)}
}

// Percentile returns a percentile of sorted durations; 0 if there are none.
func Percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(share*float64(len(sorted))))-1]
}

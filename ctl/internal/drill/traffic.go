package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/load"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/wait"
)

// everybody lists what visitors ask for: pages that Nginx may cache, and, for those signed in, pages that it may not.
func everybody(a *author) []load.Request { return a.all(site.Reads, site.Kept) }

// signedIn lists the requests that always reach the application and the database.
func signedIn(a *author) []load.Request { return a.all(site.Reads) }

func (a *author) all(lists ...[]site.Request) (all []load.Request) {
	for _, r := range slices.Concat(lists...) {
		all = append(all, a.asks(r))
	}
	return all
}

// traffic is a load in progress, and what has been observed of it.
type traffic struct {
	run    history.Run
	attack *load.Attack
	stop   context.CancelFunc // ends the load
	tell   *terminal.Teller
	ended  chan struct{} // closed when the last request is in

	mu       sync.Mutex
	requests []history.Request
	failures int
	failed   time.Time                  // the end of the last request that failed
	lastOK   map[history.Kind]time.Time // the end of the last one that succeeded
}

// begin adds the site's addresses and the writes to a configuration, and starts that load.
func (d *drill) begin(ctx context.Context, a *author, config load.Config) (*traffic, error) {
	config.Address, config.Host, config.Trusted = d.stack.https.String(), d.stack.host(), d.stack.trusted
	config.Seed, config.Write = d.seed, a.write
	run := history.Run{Name: d.name, Title: d.title, Machine: history.Machine(ctx), Steps: config.Steps, Seed: d.seed}
	ctx, stop := context.WithCancel(ctx)
	attack, err := load.Start(ctx, config)
	if err != nil {
		stop()
		return nil, err
	}
	run.Start = attack.Began()
	t := &traffic{run: run, attack: attack, stop: stop, ended: make(chan struct{}), lastOK: map[history.Kind]time.Time{},
		tell: d.tell.Since(attack.Began())}
	t.tell.Now("%s", d.title)
	go t.watch()
	t.tell.Say("the load is on")
	return t, nil
}

func (t *traffic) watch() {
	defer close(t.ended)
	told := time.Now()
	for r := range t.attack.Requests() {
		ended := t.run.Start.Add(r.Done)
		t.mu.Lock()
		t.requests = append(t.requests, r)
		if !r.OK() {
			t.failures, t.failed = t.failures+1, ended
		} else {
			t.lastOK[r.Kind] = ended
		}
		t.mu.Unlock()
		if t.tell.Live() {
			t.tell.Show("%s", t.progress())
		} else if time.Since(told) >= seldom {
			told = time.Now()
			t.tell.Say("%s", t.progress())
		}
	}
}

// seldom is how often progress is printed if lines cannot be overwritten.
const seldom = 10 * time.Second

func (t *traffic) progress() string {
	return fmt.Sprintf("%d requests, %d failed", len(t.requests), t.failures)
}

// awaitSteadyState waits until no request has failed for steadyTime and some of each kind have succeeded, all after the
// moment since.
func (t *traffic) awaitSteadyState(ctx context.Context, within time.Duration, since time.Time) error {
	return wait.Until(ctx, within, 20*time.Millisecond, func(context.Context) error {
		if t.isSteady(since) {
			return nil
		}
		select {
		case <-t.ended:
			return wait.Final(errors.New("the load has ended"))
		default:
			return errors.New("requests still fail or go unanswered")
		}
	})
}

func (t *traffic) isSteady(since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kind := range []history.Kind{history.Read, history.Write, history.Lookup} {
		if !t.lastOK[kind].After(since) {
			return false
		}
	}
	return time.Since(since) >= steadyTime && time.Since(t.failed) >= steadyTime
}

// end ends the load and returns its history, without actions.
func (t *traffic) end() history.History {
	length := t.attack.Since()
	t.stop()
	<-t.ended
	t.tell.End()
	t.tell.Say("%s", t.progress())
	t.tell.Since(time.Time{})
	t.run.Steps = cut(t.run.Steps, length)
	h := history.History{Run: t.run, Requests: t.requests}
	h.Sort()
	return h
}

// cut shortens a plan of steps to the part that was carried out.
func cut(steps []history.Step, length time.Duration) []history.Step {
	var done []history.Step
	for _, s := range steps {
		if length <= 0 {
			break
		}
		s.For = min(s.For, length)
		length -= s.For
		done = append(done, s)
	}
	return done
}

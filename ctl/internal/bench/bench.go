// Package bench measures the performance figures that this project states, on a private copy of the stack. The variants take
// turns on the same machine, behind the same Nginx and with the same data, unless Nginx or the data is being compared.
package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/bench/load"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	application "oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/trust"
	"oneserver/ctl/internal/wait"
)

const (
	connections = 32
	pageSize    = 20
	deepPage    = 100_000
	smallRows   = 1_000

	// MinRows is how many posts are needed for page 100,000.
	MinRows = deepPage*pageSize + 1
)

// Options say how much to measure.
type Options struct {
	Rows   int           // posts in the large table, at least MinRows
	Rounds int           // in each round, everything is measured once
	Each   time.Duration // how long each measurement takes
}

// patience is how long an answer that should come immediately may take.
const patience = 30 * time.Second

// A variant is one kind of request to one server, to be measured.
type variant struct {
	key     string
	title   string
	web     string // the server that is asked
	path    string
	visitor string // the Cookie header
	small   bool   // whether it needs the small table
	speak   load.Protocol

	method, body string // of a request that changes something; the tables are restored afterwards
	accounts     bool   // whether each request is by a different author
	compressed   bool   // whether the visitor accepts compressed answers, as every browser does
}

// somebody looks like a session cookie to Nginx, so a visitor who sends it gets no cached answers.
const somebody = "session=0123456789012345678901234567890123456789012"

func variants(rows int) []variant {
	const (
		first  = "/api/v1/posts?limit=20"
		found  = "/api/v1/search?q=00000042&limit=20"
		signIn = `{"email":"author` + load.Number + `@example.com","password":"` + password + `"}`
		draft  = `{"title":"A title of the usual length","body":"What is written here is as long as what people write, and means as much."}`
	)
	deep := fmt.Sprintf("%s&before=%d", first, rows+1-(deepPage-1)*pageSize)
	return []variant{
		{key: "bare", title: "bare database/sql and net/http", web: "web-bare", path: first, visitor: somebody},
		{key: "app", title: "a page of 20 posts", web: "web", path: first, visitor: somebody},
		{key: "dial", title: "a stack that connects for each request", web: "web-dial", path: first, visitor: somebody},
		{key: "deep", title: "page 100,000", web: "web", path: deep, visitor: somebody},
		{key: "small", title: "the page, of 1,000 posts", web: "web", path: first, visitor: somebody, small: true},
		{key: "anonymous", title: "the page, kept for anonymous visitors", web: "web", path: first},
		{key: "static", title: "a static file of the same size", web: "web", path: "/page.json"},
		{key: "script", title: "site.js, compressed", web: "web", path: "/site.js", compressed: true},
		{key: "script-bare", title: "bare Nginx, gzip_static", web: "web-nginx", path: "/site.js", compressed: true},
		{key: "search", title: "a search", web: "web", path: found, small: true},
		{key: "search-bare", title: "the same two statements, bare", web: "web-bare", path: found, small: true},
		{key: "write", title: "a new post", web: "web", path: "/api/v1/posts", visitor: signedIn, small: true, method: "POST", body: draft},
		{key: "write-bare", title: "the same statements, bare", web: "web-bare", path: "/api/v1/posts", visitor: signedIn, small: true, method: "POST", body: draft},
		{key: "sign-in", title: "a sign-in", web: "web", path: "/api/v1/session", small: true, method: "PUT", body: signIn, accounts: true},
		{key: "sign-in-bare", title: "the hash and two statements, bare", web: "web-bare", path: "/api/v1/session", small: true, method: "PUT", body: signIn, accounts: true},
		{key: "dns", title: "an address from dns", web: "dns", path: "/" + domain, speak: load.DNS},
		{key: "dns-file", title: "CoreDNS with its plugin file", web: "dns-file", path: "/" + domain, speak: load.DNS},
		{key: "http", title: "the home page over http", web: "web", path: "/"},
		{key: "https", title: "the home page over https, HTTP/2", web: "web", path: "/", speak: load.HTTP2},
		{key: "https-bare", title: "bare Nginx, HTTP/2", web: "web-nginx", path: "/", speak: load.HTTP2},
		{key: "handshake", title: "handshakes of TLS", web: "web", speak: load.Handshake},
		{key: "handshake-bare", title: "bare Nginx, handshakes", web: "web-nginx", speak: load.Handshake},
	}
}

// A sample is one measurement of a variant.
type sample struct {
	rate    float64                  // requests a second
	cpu     map[string]time.Duration // by service, for one request
	reached float64                  // how many of the requests reached app
	seconds float64
}

// stackTime returns the processor time that one request takes, without the load's share.
func (s sample) stackTime() time.Duration {
	var sum time.Duration
	for service, used := range s.cpu {
		if service != "load" {
			sum += used
		}
	}
	return sum
}

// Run starts the copy, fills it, measures, and always removes it again. It reports its progress.
func Run(ctx context.Context, of *stack.Stack, progress *os.File, options Options) (report *Report, err error) {
	if options.Rows < MinRows || options.Rounds < 1 || options.Each < time.Second {
		return nil, fmt.Errorf("at least %d rows (page 100,000 is then there), one round and one second", MinRows)
	}
	site, err := describe(of)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(site.dir)
	defer func() { err = errors.Join(err, site.Remove()) }()
	say := terminal.NewTeller(progress)
	defer say.End()

	if err := site.Remove(); err != nil { // left by a run that was killed
		return nil, err
	}
	if err := images.Ensure(ctx, site.Stack, images.NewRunner(say)); err != nil {
		return nil, err
	}
	say.Now("starting a copy of the stack")
	if err := site.start(ctx); err != nil {
		return nil, err
	}
	if err := site.fill(ctx, options.Rows, func(done int) {
		say.Now("filling it: %s of %s posts", thousands(done), thousands(options.Rows))
	}); err != nil {
		return nil, err
	}
	b, err := site.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	say.Now("waiting until the database has written what it was filled with")
	if err := b.settle(ctx); err != nil {
		return nil, err
	}
	all := variants(options.Rows)
	if err := b.register(ctx); err != nil {
		return nil, err
	}
	if err := b.check(ctx, all); err != nil {
		return nil, err
	}
	samples := map[string][]sample{}
	for round := range options.Rounds + 1 {
		order, each := slices.Clone(all), options.Each
		if round == 0 {
			each = time.Second // to warm up; not counted
		} else if round%2 == 0 {
			slices.Reverse(order) // A B B A: a drift over time favours neither
		}
		for _, v := range order {
			if round == 0 {
				say.Now("warming up: %s", v.title)
			} else {
				say.Now("round %d of %d: %s", round, options.Rounds, v.title)
			}
			one, err := b.measure(ctx, v, each)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.title, err)
			}
			if round > 0 {
				samples[v.key] = append(samples[v.key], one)
			}
		}
	}
	report = newReport(options, all, samples)
	for i, v := range all {
		say.Now("how long an answer takes at half that rate: %s", v.title)
		if err := b.waits(ctx, v, options.Each, &report.Variants[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", v.title, err)
		}
	}
	together := variant{title: "200 visitors at the same moment", web: "web", path: "/api/v1/posts/" + load.Number}
	say.Now("%s", together.title)
	var slow []float64
	for range options.Rounds {
		if err := b.place(ctx, false); err != nil {
			return nil, err
		}
		job := b.job(together)
		job.Connections, job.Moments, job.Numbers = 200, 10, int64(options.Rows)
		result, err := b.do(ctx, job)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", together.title, err)
		}
		slow = append(slow, milliseconds(result.P99))
	}
	report.together(slow)
	return report, nil
}

// bench is a copy that is ready to be measured.
type bench struct {
	site      *site
	authority []byte // the copy's own, as PEM
	meters    docker.Meters
	small     bool // whether the small table is in place

	stop    context.CancelFunc // ends the load immediately
	loadEnd func() error       // ends the load gracefully
	jobs    *json.Encoder
	results *json.Decoder
}

// open starts the load's container and finds the other containers.
func (s *site) open(ctx context.Context) (*bench, error) {
	ctx, stop := context.WithCancel(ctx)
	cmd := s.ComposeCommand(ctx, "run", "--rm", "--no-TTY", "--no-deps", "load")
	var said bytes.Buffer
	cmd.Stderr = &said
	in, out, err := docker.StartPiped(cmd)
	if err != nil {
		stop()
		return nil, err
	}
	b := &bench{site: s, meters: docker.Meters{}, stop: stop, jobs: json.NewEncoder(in), results: json.NewDecoder(out)}
	b.loadEnd = sync.OnceValue(func() error {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(said.Bytes()))
		}
		return nil
	})
	if err := b.waitForPage(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	authority, err := trust.Authority(ctx, s.Stack)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})
	// The list includes the load's container, which is not one of the services that Compose started.
	containers, err := s.List(ctx, "--filter", "label=com.docker.compose.project="+project)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	for _, c := range containers {
		if err := b.meters.Add(ctx, s.CLI, c); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// waitForPage waits until app, bare and dial answer; they have no health check here.
func (b *bench) waitForPage(ctx context.Context) error {
	for _, v := range variants(MinRows)[:3] {
		if err := wait.Until(ctx, patience, wait.Often, func(ctx context.Context) error {
			_, err := b.get(ctx, v)
			return err
		}); err != nil {
			return fmt.Errorf("%s does not answer: %w", v.title, err)
		}
	}
	return nil
}

func (b *bench) close() error {
	defer b.stop()
	return errors.Join(b.loadEnd(), b.meters.Close())
}

// do gives the load a job and returns the result.
func (b *bench) do(ctx context.Context, job load.Job) (load.Result, error) {
	late := time.AfterFunc(job.For+patience, b.stop) // ends the container, and with it the read below
	defer late.Stop()
	var result load.Result
	if err := b.jobs.Encode(job); err != nil {
		return result, fmt.Errorf("tell the load: %w", err)
	}
	if err := b.results.Decode(&result); err != nil {
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		b.stop()
		return result, fmt.Errorf("hear the load: %w", errors.Join(err, b.loadEnd()))
	}
	if result.Error != "" {
		return result, errors.New(result.Error)
	}
	return result, nil
}

// get requests a variant's page once and returns the answer's body.
func (b *bench) get(ctx context.Context, v variant) ([]byte, error) {
	result, err := b.do(ctx, b.job(v))
	return result.Body, err
}

// job describes a single request for a variant's page.
func (b *bench) job(v variant) load.Job {
	scheme := "https://"
	if v.speak == load.HTTP1 {
		scheme = "http://"
	}
	job := load.Job{Method: v.method, URL: scheme + v.web + v.path, Host: "www." + domain, Body: v.body, Header: map[string]string{}, Speak: v.speak, Authority: b.authority}
	if v.visitor != "" {
		job.Header["Cookie"] = v.visitor
	}
	if v.method != "" {
		job.Header["Idempotency-Key"] = "bench-" + load.Number
	}
	if v.accounts {
		job.Numbers = authors
	}
	if v.compressed {
		job.Header["Accept-Encoding"] = "gzip"
	}
	return job
}

// register signs up one user, so that app hashes the password that all authors then get.
func (b *bench) register(ctx context.Context) error {
	const email = "registered@example.com"
	job := b.job(variant{web: "web", path: "/api/v1/accounts", method: "POST", body: `{"email":"` + email + `","name":"Registered","password":"` + password + `"}`})
	if _, err := b.do(ctx, job); err != nil {
		return fmt.Errorf("sign up: %w", err)
	}
	return b.site.letIn(ctx, email)
}

// check makes sure that the comparisons are fair: bare and dial answer the same as app, page 100,000 is a full page, the
// static file equals the page, and the home page is the same from every server.
func (b *bench) check(ctx context.Context, all []variant) error {
	of := map[string]variant{}
	for _, v := range all {
		of[v.key] = v
	}
	page, err := b.get(ctx, of["app"])
	if err != nil {
		return err
	}
	if err := b.site.writeStatic("page.json", page); err != nil {
		return err
	}
	deepBare := of["bare"]
	deepBare.path = of["deep"].path
	for _, pair := range []struct {
		of    [2]variant
		posts int
	}{
		{[2]variant{of["app"], of["bare"]}, pageSize},
		{[2]variant{of["app"], of["dial"]}, pageSize},
		{[2]variant{of["app"], of["anonymous"]}, pageSize},
		{[2]variant{of["app"], of["static"]}, pageSize},
		{[2]variant{of["deep"], deepBare}, pageSize},
		{[2]variant{of["search"], of["search-bare"]}, 1},
	} {
		if err := b.place(ctx, pair.of[0].small); err != nil {
			return err
		}
		var answers [2]struct {
			Posts []map[string]any
			Next  string
		}
		for i, v := range pair.of {
			body, err := b.get(ctx, v)
			if err != nil {
				return fmt.Errorf("%s: %w", v.title, err)
			}
			if err := json.Unmarshal(body, &answers[i]); err != nil {
				return fmt.Errorf("%s: %w", v.title, err)
			}
		}
		if len(answers[0].Posts) != pair.posts || !reflect.DeepEqual(answers[0], answers[1]) {
			return fmt.Errorf("%s and %s (%s) do not answer the same %d posts: %.300v and %.300v",
				pair.of[0].title, pair.of[1].title, pair.of[0].path, pair.posts, answers[0], answers[1])
		}
	}
	home, err := b.get(ctx, of["http"])
	if err != nil {
		return err
	}
	for _, key := range []string{"https", "https-bare"} {
		other, err := b.get(ctx, of[key])
		if err != nil {
			return fmt.Errorf("%s: %w", of[key].title, err)
		}
		if !bytes.Equal(home, other) {
			return fmt.Errorf("%s is not the one over http: %d and %d bytes", of[key].title, len(other), len(home))
		}
	}
	return nil
}

// settle waits until only health checks use the processor: once the copy is filled, the database keeps writing for a while.
func (b *bench) settle(ctx context.Context) error {
	const quiet = 0.15 // share of a processor
	var before map[string]docker.Usage
	var begun time.Time
	return wait.Until(ctx, 2*time.Minute, 2*time.Second, func(context.Context) error {
		after, err := b.meters.Read()
		if err != nil {
			return wait.Final(err)
		}
		busy := math.Inf(1) // nothing to compare with yet
		if before != nil {
			var used time.Duration
			for service := range after {
				used += after[service].CPU - before[service].CPU
			}
			busy = used.Seconds() / time.Since(begun).Seconds()
		}
		if before, begun = after, time.Now(); busy >= quiet {
			return fmt.Errorf("the copy does not come to rest: with nothing to do it keeps %.2f processors busy", busy)
		}
		return nil
	})
}

// place puts the small or the large table in place.
func (b *bench) place(ctx context.Context, small bool) error {
	if small == b.small {
		return nil
	}
	if err := b.site.swap(ctx, small); err != nil {
		return err
	}
	b.small = small
	return nil
}

// ready prepares for a variant: its table is in place and open. Whoever changes something restores the tables afterwards.
func (b *bench) ready(ctx context.Context, v variant) error {
	if err := b.place(ctx, v.small); err != nil {
		return err
	}
	_, err := b.get(ctx, v)
	return err
}

// waits measures how long answers take at half of the variant's rate.
func (b *bench) waits(ctx context.Context, v variant, each time.Duration, into *Variant) error {
	if err := b.ready(ctx, v); err != nil {
		return err
	}
	job := b.job(v)
	job.Connections, job.For, job.Rate = connections, each, into.Rate.Median/2
	result, err := b.do(ctx, job)
	if err != nil {
		return err
	}
	into.Half, into.P99 = milliseconds(result.Half), milliseconds(result.P99)
	if v.method != "" {
		return b.site.forget(ctx)
	}
	return nil
}

// measure runs the load on one variant.
func (b *bench) measure(ctx context.Context, v variant, each time.Duration) (sample, error) {
	if err := b.ready(ctx, v); err != nil {
		return sample{}, err
	}
	reachedBefore, err := b.reached(ctx)
	if err != nil {
		return sample{}, err
	}
	before, err := b.meters.Read()
	if err != nil {
		return sample{}, err
	}
	job := b.job(v)
	job.Connections, job.For = connections, each
	result, err := b.do(ctx, job)
	if err != nil {
		return sample{}, err
	}
	after, err := b.meters.Read()
	if err != nil {
		return sample{}, err
	}
	reachedAfter, err := b.reached(ctx)
	if err != nil {
		return sample{}, err
	}
	if v.method != "" {
		if err := b.site.forget(ctx); err != nil {
			return sample{}, err
		}
	}
	one := sample{rate: result.PerSecond(), cpu: map[string]time.Duration{}, seconds: result.Elapsed.Seconds(),
		reached: (reachedAfter - reachedBefore) / float64(result.Requests)}
	for service := range after {
		one.cpu[service] = (after[service].CPU - before[service].CPU) / time.Duration(result.Requests)
	}
	return one, nil
}

// reached returns how many requests for pages of posts app has answered so far, according to app's metrics.
func (b *bench) reached(ctx context.Context) (float64, error) {
	result, err := b.do(ctx, load.Job{URL: "http://app:9090/metrics"})
	if err != nil {
		return 0, fmt.Errorf("metrics of app: %w", err)
	}
	return application.Metric(string(result.Body), "http_request_duration_seconds_count", `route="/api/v1/posts"`)
}

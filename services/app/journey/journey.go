// Package journey looks at the stack from inside the application: what its name server answers for the site, which
// certificate its web server presents, and which parts it has, with their versions and health. A part that is down is
// something to show, not an error.
package journey

import (
	"context"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

const (
	lookLimit = 1500 * time.Millisecond // for everything together
	dnsLimit  = time.Second             // for the name server's answer
	keep      = time.Second             // how old the result may be, since many visitors ask at once
)

// Journey describes what a request passes through on its way.
type Journey struct {
	DNS         DNS         `json:"dns" doc:"What the stack's name server answers"`
	Certificate Certificate `json:"certificate" doc:"What web presents to visitors over https"`
	Parts       []Part      `json:"parts" nullable:"false" doc:"dns, web, app and db, in the order in which a request meets them"`
}

// DNS is a question to the stack's name server and its answer.
type DNS struct {
	Question string   `json:"question" example:"www.foobar.com. A"`
	View     string   `json:"view" enum:"inside" doc:"Where the question was asked: inside the network, the answer is the address of web there; outside, it is the server's public address"`
	Records  []Record `json:"records" nullable:"false"`
	Duration float64  `json:"duration_ms" doc:"Milliseconds"`
	Error    string   `json:"error" doc:"Why there is no answer; empty if there is one"`
}

// Record is one record of an answer.
type Record struct {
	Name string `json:"name" example:"www.foobar.com."`
	Type string `json:"type" example:"CNAME"`
	TTL  uint32 `json:"ttl" doc:"Seconds"`
	Data string `json:"data" example:"foobar.com."`
}

// Part is one of the stack's parts.
type Part struct {
	Name     string `json:"name" enum:"dns,web,app,db"`
	Software string `json:"software" example:"CoreDNS"`
	Version  string `json:"version" doc:"Empty if unknown"`
	Replica  string `json:"replica,omitempty" doc:"Which of several replicas answered"`
	Healthy  bool   `json:"healthy"`
	Detail   string `json:"detail" doc:"What is wrong, or what else is known"`
}

// Config says where to look.
type Config struct {
	Domain     string // the site is www.Domain
	DNSAddress string // host:port of the stack's name server
	WebAddress string // host:port where web speaks TLS; empty if there is no web server in front
	Replica    string // the name of this process

	// DatabaseVersion asks the database for its version, without waiting if it is down.
	DatabaseVersion func(context.Context) (string, error)
}

// Source looks at the stack at most once a second.
type Source struct {
	config  Config
	app     Part
	metrics string // URL of the name server's metrics

	mu     sync.Mutex // held while looking, so that all callers wait for the same answer
	last   Journey    // without web
	lastAt time.Time
}

// New returns a Source, without asking anything yet.
func New(c Config) *Source {
	return &Source{config: c, app: describeApp(c.Replica), metrics: metricsURL(c.DNSAddress)}
}

// Look returns the current journey. webVersion is the version that Nginx itself reported, empty if the request did not
// come through it. Look takes at most lookLimit. It ignores the end of ctx, since other callers wait for the same
// answer.
func (s *Source) Look(ctx context.Context, webVersion string) Journey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.lastAt) > keep {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookLimit)
		defer cancel()
		s.last, s.lastAt = s.look(ctx), time.Now()
	}
	j := s.last
	j.Parts = []Part{s.last.Parts[0], describeWeb(webVersion), s.last.Parts[1], s.last.Parts[2]}
	return j
}

// look asks all parts at the same time.
func (s *Source) look(ctx context.Context) Journey {
	var (
		running sync.WaitGroup
		dns     DNS
		shown   Certificate
		version string
		db      Part
	)
	www := "www." + s.config.Domain
	running.Go(func() { dns = ask(ctx, s.config.DNSAddress, www+".") })
	running.Go(func() { shown = lookAtCertificate(ctx, s.config.WebAddress, www) })
	running.Go(func() { version = dnsVersion(ctx, s.metrics) })
	running.Go(func() { db = s.describeDatabase(ctx) })
	running.Wait()
	name := Part{Name: "dns", Software: "CoreDNS", Version: version, Healthy: dns.Error == "", Detail: dns.Error}
	return Journey{DNS: dns, Certificate: shown, Parts: []Part{name, s.app, db}}
}

func (s *Source) describeDatabase(ctx context.Context) Part {
	part := Part{Name: "db", Software: "MySQL"}
	version, err := s.config.DatabaseVersion(ctx)
	if err != nil { // the cause is for operators, in the log of whatever needed the database
		part.Detail = "it does not answer"
		return part
	}
	part.Version, part.Healthy = version, true
	return part
}

var wellFormedVersion = regexp.MustCompile(`^[0-9A-Za-z.+~-]{1,32}$`)

func describeWeb(version string) Part {
	part := Part{Name: "web", Software: "Nginx"}
	if !wellFormedVersion.MatchString(version) {
		part.Detail = "this request did not come through it"
		return part
	}
	part.Version, part.Healthy = version, true
	return part
}

// describeApp describes this process: it answers, so it is healthy.
func describeApp(replica string) Part {
	part := Part{Name: "app", Software: "Gin", Replica: replica, Healthy: true}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return part
	}
	for _, module := range build.Deps {
		if module.Path == "github.com/gin-gonic/gin" {
			part.Version = strings.TrimPrefix(module.Version, "v")
		}
	}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			part.Detail = "built from revision " + setting.Value[:min(len(setting.Value), 12)]
		}
	}
	return part
}

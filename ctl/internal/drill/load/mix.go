package load

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"oneserver/ctl/internal/drill/history"
)

// mix decides at random what each request is. With two replicas that take turns, a strict alternation of reads and writes
// would send all writes to one of them.
type mix struct {
	config Config
	prefix string // the prefix of the tokens

	mu       sync.Mutex
	random   *rand.Rand
	drawn    uint64
	writes   int
	underway map[string]*hit
	made     []made // the results of acknowledged writes: a ring of the latest
	makes    int
}

// made is the result of an acknowledged write.
type made struct{ token, path string }

// maxMade is how many acknowledged writes are kept for reading back: the latest, which the stack could most easily lose.
const maxMade = 512

// hit is a request under way. The fragment of a URL, which clients never send, says which hit belongs to one of Vegeta's
// requests and results.
type hit struct {
	history.Request
	fresh   bool // whether the request uses a connection of its own
	visitor int  // whose kept connection it uses otherwise
}

func newMix(config Config, prefix string) *mix {
	return &mix{
		config:   config,
		prefix:   prefix,
		random:   rand.New(rand.NewPCG(config.Seed, 0)),
		underway: make(map[string]*hit),
	}
}

// target implements vegeta.Targeter. It is called once for each request, in the order of their sequence numbers except for
// requests that are sent at the same moment.
func (m *mix) target(target *vegeta.Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &hit{fresh: m.random.Float64() < m.config.NewConnShare, visitor: m.random.IntN(visitors)}
	// Every request draws the same number of random values, so that the mix does not depend on what the stack acknowledged.
	kind, back, which := m.random.Float64(), m.random.Float64(), m.random.Uint64()
	var request Request
	u := &url.URL{Scheme: "https", Host: m.config.Address}
	switch {
	case kind < m.config.WriteShare:
		h.Kind = history.Write
		h.Token = fmt.Sprintf("%s%06d", m.prefix, m.writes)
		m.writes++
		request = m.config.Write(h.Token)
	case kind < m.config.WriteShare+m.config.LookupShare:
		h.Kind = history.Lookup
		name := m.config.DNSNames[which%uint64(len(m.config.DNSNames))]
		request = Request{Name: "A " + name, Path: "/" + name}
		u = &url.URL{Scheme: "dns", Host: m.config.DNSAddress}
	case back < m.config.ReadBackShare && len(m.made) > 0:
		h.Kind = history.Read
		post := m.made[which%uint64(len(m.made))]
		h.Token = post.token
		request = Request{Name: "GET what was written", Path: post.path}
	default:
		h.Kind = history.Read
		request = m.config.Reads[which%uint64(len(m.config.Reads))]
	}
	target.Method = request.Method
	if target.Method == "" {
		target.Method = http.MethodGet
	}
	h.Name = request.Name
	if h.Name == "" {
		h.Name = target.Method + " " + request.Path
	}
	u.Path, u.RawQuery, _ = strings.Cut(request.Path, "?")
	u.Fragment = strconv.FormatUint(m.drawn, 10)
	m.drawn++
	m.underway[u.Fragment] = h
	target.URL = u.String()
	target.Body = request.Body
	target.Header = request.Header.Clone()
	if target.Header == nil {
		target.Header = make(http.Header)
	}
	if h.Kind != history.Lookup {
		target.Header.Set("Host", m.config.Host)
	}
	if h.Kind == history.Write {
		target.Header.Set("Idempotency-Key", h.Token)
	}
	return nil
}

// find returns the hit of a request that is being sent.
func (m *mix) find(fragment string) *hit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.underway[fragment]
}

// take returns the hit of a result, and forgets it.
func (m *mix) take(resultURL string) *hit {
	_, fragment, _ := strings.Cut(resultURL, "#")
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.underway[fragment]
	delete(m.underway, fragment)
	return h
}

// acknowledged remembers the result of a write, to be read back.
func (m *mix) acknowledged(token, location string) {
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return // the wire has recorded it as a failure
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	post := made{token, u.Path}
	if len(m.made) < maxMade {
		m.made = append(m.made, post)
	} else {
		m.made[m.makes%maxMade] = post
	}
	m.makes++
}

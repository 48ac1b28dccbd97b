package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"oneserver/ctl/internal/bench/load"
)

func TestTheLoadTellsWhatItGot(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		switch {
		case r.Host != "www.foobar.com" || r.Header.Get("Cookie") != "session=x":
			w.WriteHeader(http.StatusMisdirectedRequest)
		case r.URL.Path == "/grows":
			w.Write(make([]byte, n))
		default:
			w.Write([]byte("a page"))
		}
	}))
	t.Cleanup(server.Close)
	do := func(job load.Job) load.Result {
		job.URL = server.URL + job.URL
		return tell(t, job)
	}
	once := load.Job{URL: "/page", Host: "www.foobar.com", Header: map[string]string{"Cookie": "session=x"}}
	if got := do(once); got.Requests != 1 || string(got.Body) != "a page" || got.Error != "" {
		t.Errorf("asked once: %+v", got)
	}
	many := once
	many.Connections, many.For = 3, 50*time.Millisecond
	before := asked.Load()
	if got := do(many); int64(got.Requests) != asked.Load()-before || got.Requests < 3 || got.Size != len("a page") || got.Elapsed < many.For || got.Error != "" {
		t.Errorf("asked for 50 ms: %+v, and the server counts %d", got, asked.Load()-before)
	}
	refused, grows := many, many
	refused.Host, grows.URL = "other", "/grows"
	if got := do(refused); !strings.Contains(got.Error, "421") {
		t.Errorf("refused: %+v", got)
	}
	if got := do(grows); !strings.Contains(got.Error, "bytes") {
		t.Errorf("answers of different lengths: %+v", got)
	}
}

// A job with a rate keeps to that rate. Its times include how long a due request had to wait for a connection.
func TestTheLoadKeepsToItsRate(t *testing.T) {
	t.Parallel()
	const delay = 40 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(delay) }))
	t.Cleanup(server.Close)
	got := tell(t, load.Job{URL: server.URL, Connections: 8, For: 500 * time.Millisecond, Rate: 100})
	if got.Error != "" || got.Requests != 49 || got.Half < delay || got.P99 < got.Half {
		t.Errorf("at 100 a second for half a second: %+v", got)
	}
	late := tell(t, load.Job{URL: server.URL, Connections: 1, For: 500 * time.Millisecond, Rate: 100})
	if late.Error != "" || late.Requests != 49 || late.P99 < 10*delay {
		t.Errorf("over one connection, which answers 25 a second: %+v", late)
	}
}

// Each request that changes something has a unique number or, if the job limits the numbers, one of those.
func TestTheLoadNumbersItsRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	keys, bodies := map[string]int{}, map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cookie") != "session=x" {
			t.Errorf("%s %s, %v", r.Method, r.Header, err)
		}
		mu.Lock()
		defer mu.Unlock()
		keys[r.Header.Get("Idempotency-Key")]++
		bodies[string(body)]++
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	job := load.Job{Method: "POST", URL: server.URL, Header: map[string]string{"Idempotency-Key": "k" + load.Number, "Cookie": "session=x"}, Body: `{"by":` + load.Number + `}`, Connections: 3, For: 50 * time.Millisecond}
	if got := tell(t, job); got.Error != "" || len(keys) != got.Requests || len(bodies) != got.Requests {
		t.Errorf("%d keys and %d bodies in %+v", len(keys), len(bodies), got)
	}
	clear(bodies)
	job.Numbers = 2
	if got := tell(t, job); got.Error != "" || len(bodies) != 2 || bodies[`{"by":1}`] == 0 || bodies[`{"by":2}`] == 0 {
		t.Errorf("%v in %+v", bodies, got)
	}
}

// The load asks for an address, and accepts only the answer to that query.
func TestTheLoadAsksDNS(t *testing.T) {
	t.Parallel()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg).SetReply(query)
		if name := query.Question[0].Name; name == "foobar.com." {
			record, err := dns.NewRR(name + " A 8.8.8.8")
			if err != nil {
				t.Error(err)
			}
			answer.Answer = append(answer.Answer, record)
		}
		if err := w.WriteMsg(answer); err != nil {
			t.Error(err)
		}
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	job := load.Job{URL: "dns://" + socket.LocalAddr().String() + "/foobar.com", Speak: load.DNS, Connections: 3, For: 50 * time.Millisecond}
	if got := tell(t, job); got.Error != "" || got.Requests < 3 {
		t.Errorf("%+v", got)
	}
	job.URL = "dns://" + socket.LocalAddr().String() + "/nothing.example"
	if got := tell(t, job); !strings.Contains(got.Error, "not the answer") {
		t.Errorf("without an address: %+v", got)
	}
}

// At each moment, all visitors send the same request, and it differs from the earlier ones.
func TestTheLoadAsksTogether(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
	}))
	t.Cleanup(server.Close)
	got := tell(t, load.Job{URL: server.URL + "/" + load.Number, Connections: 20, Moments: 3, Numbers: 1000})
	if got.Error != "" || got.Requests != 60 || len(asked) != 4 || got.P99 == 0 {
		t.Errorf("%+v; the server was asked for %v", got, asked)
	}
	for path, times := range asked {
		if times != 20 {
			t.Errorf("%s was asked for %d times", path, times)
		}
	}
}

// tell gives the load one job and returns the result.
func tell(t *testing.T, job load.Job) load.Result {
	t.Helper()
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := visitors(bytes.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	var result load.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	return result
}

// Over TLS, the load verifies the server's certificate. A visitor either keeps its connection or makes a new handshake each
// time.
func TestTheLoadSpeaksTLS(t *testing.T) {
	t.Parallel()
	var asked, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.Host != "www.example.com" || r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
		w.Write([]byte("a page"))
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // visitors that leave without a request would be logged
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	job := load.Job{URL: server.URL + "/", Host: "www.example.com", Speak: load.HTTP2, Connections: 3, For: 50 * time.Millisecond, // httptest's certificate is for *.example.com
		Authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	if got := tell(t, job); got.Requests < 3 || int64(got.Requests) != asked.Load() || got.Size != len("a page") || got.Error != "" || connections.Load() != 3 {
		t.Errorf("%+v; the server counts %d requests over %d connections", got, asked.Load(), connections.Load())
	}
	connections.Store(0)
	asked.Store(0)
	job.Speak = load.Handshake
	if got := tell(t, job); got.Requests < 3 || int64(got.Requests) != connections.Load() || asked.Load() > 0 || got.Error != "" {
		t.Errorf("%+v; the server counts %d connections and %d requests", got, connections.Load(), asked.Load())
	}
	job.Host = "www.example.net"
	if got := tell(t, job); !strings.Contains(got.Error, "certificate is valid for") {
		t.Errorf("under another name: %+v", got)
	}
}

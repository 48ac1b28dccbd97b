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
	"sync/atomic"
	"testing"
	"time"

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
	once := load.Job{URL: "/page", Host: "www.foobar.com", Cookie: "session=x"}
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

// tell gives the load one job.
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

// Over TLS the load verifies the server's certificate. A visitor either keeps its connection or shakes hands again and
// again.
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
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // about visitors that leave without a request
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

package main

import (
	"bytes"
	"encoding/json"
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

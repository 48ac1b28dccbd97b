// Command authority is Pebble, the ACME authority for tests, which here can also be slow, refuse requests, and report how
// often it was asked. Tests on the same machine set faults and read counts through a control port.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// fault says what happens to a request whose path begins with Path.
type fault struct {
	Path    string
	Answer  bool              // Pebble answers first, but the answer is held back while the request hangs
	Hang    bool              // until the faults are changed
	Status  int               // sent in place of Pebble's answer; 0 for none
	Header  map[string]string // its header
	Problem map[string]any    // its body
	After   int               // this many requests go through first
}

// faults holds the faults in force and counts the requests.
type faults struct {
	sync.Mutex
	set     []fault
	changed chan struct{}
	counts  map[string]int // requests that Pebble answered with success, by the first part of the path
	hanging int
}

func main() {
	logger := log.New(os.Stdout, "pebble ", log.LstdFlags)
	store := db.NewMemoryStore()
	if err := store.AddExternalAccountKeyByID("customer", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"); err != nil {
		logger.Fatal(err)
	}
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "90 days", ValidityPeriod: 7776000}, "shortlived": {Description: "6 days", ValidityPeriod: 518400},
		"brief": {Description: "2 minutes", ValidityPeriod: 120}})
	front := wfe.New(logger, store, va.New(logger, 80, 443, false, os.Getenv("DNS"), store), authority,
		[]string{"pebble.letsencrypt.org"}, false, os.Getenv("REQUIRE_EAB") != "", 1, 1)

	f := &faults{changed: make(chan struct{}), counts: map[string]int{}}
	go func() { logger.Fatal(http.ListenAndServe(":15000", f.control(front.ManagementHandler()))) }()
	logger.Fatal(http.ListenAndServeTLS(":14000", "/trust/authority.crt", "/trust/authority.key", f.around(front.Handler())))
}

// around passes requests on to Pebble, as far as the faults allow.
func (f *faults) around(pebble http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one, changed := f.match(r.URL.Path)
		hang := func() {
			f.Lock()
			f.hanging++
			f.Unlock()
			select {
			case <-changed:
			case <-r.Context().Done():
			}
		}
		if one != nil && !one.Answer && one.Hang {
			hang()
		}
		if one != nil && one.Status != 0 {
			for name, value := range one.Header {
				w.Header().Set(name, value)
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(one.Status)
			if err := json.NewEncoder(w).Encode(one.Problem); err != nil {
				log.Print(err)
			}
			return
		}
		answer := httptest.NewRecorder()
		pebble.ServeHTTP(answer, r)
		if answer.Code < 300 {
			f.Lock()
			f.counts[strings.Split(r.URL.Path, "/")[1]]++
			f.Unlock()
		}
		if one != nil && one.Answer && one.Hang {
			hang()
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		if _, err := w.Write(answer.Body.Bytes()); err != nil {
			log.Print(err)
		}
	})
}

// match returns the fault that applies to the path, if one is in force.
func (f *faults) match(path string) (*fault, <-chan struct{}) {
	f.Lock()
	defer f.Unlock()
	for i := range f.set {
		if strings.HasPrefix(path, f.set[i].Path) {
			if f.set[i].After > 0 {
				f.set[i].After--
				continue
			}
			one := f.set[i]
			return &one, f.changed
		}
	}
	return nil, f.changed
}

// control sets the faults (PUT /faults), returns the counts (GET /counts), and passes anything else on to Pebble's own
// management.
func (f *faults) control(pebble http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) {
		var set []fault
		if err := json.NewDecoder(r.Body).Decode(&set); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.Lock()
		defer f.Unlock()
		f.set, f.hanging = set, 0
		close(f.changed)
		f.changed = make(chan struct{})
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		f.Lock()
		defer f.Unlock()
		if err := json.NewEncoder(w).Encode(map[string]any{"answered": f.counts, "hanging": f.hanging}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	mux.Handle("/", pebble)
	return mux
}

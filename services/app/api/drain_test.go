package api

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// serve runs s on a free port. stop does what SIGTERM does; done receives Serve's result.
func serve(t *testing.T, s *Server) (url string, stop func(), done <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, listener) }()
	return "http://" + listener.Addr().String(), cancel, result
}

func get(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body(t, response)
	response.Body.Close()
	return response
}

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	f := newFake(1)
	f.hit = func() { close(arrived); <-release }
	s, _ := newServer(t, f, nil)
	url, stop, done := serve(t, s)
	client := &http.Client{Transport: &http.Transport{}}

	inFlight := make(chan *http.Response, 1)
	go func() {
		response, err := client.Get(url + "/api/v1/posts/1")
		if err != nil {
			t.Error(err)
		}
		inFlight <- response
	}()
	<-arrived
	stop()
	for !s.draining.Load() {
		time.Sleep(time.Millisecond)
	}

	// While draining, the server still answers, but asks all clients to close their connections.
	response := get(t, client, url+"/readyz")
	if response.StatusCode != 503 || !response.Close {
		t.Errorf("/readyz while draining: got %d, close %t; want 503 and Connection: close", response.StatusCode, response.Close)
	}
	// Then it accepts no more connections, although the request is still running.
	waitUntilRefused(t, url)
	select {
	case err := <-done:
		t.Fatalf("Serve returned %v with a request in flight", err)
	default:
	}

	close(release)
	if response := <-inFlight; response == nil || response.StatusCode != 200 || !response.Close {
		t.Errorf("the request in flight got %+v, want 200 and Connection: close", response)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Serve returned %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Serve did not return after the last answer")
	}
}

// The time limit for reading a request ends with its body; after that, only requestLimit applies.
func TestWorkMayTakeLongerThanReading(t *testing.T) {
	t.Parallel()
	f := newFake(0)
	hers := f.join("Ada")
	s, lines := newServer(t, f, nil)
	s.http.ReadTimeout = 100 * time.Millisecond
	f.hit = func() { time.Sleep(2 * s.http.ReadTimeout) }
	url, _, _ := serve(t, s)
	request, err := http.NewRequest("POST", url+"/api/v1/posts", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []change{hers, keyed(aKey), sending(aDraft)} {
		c(request)
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text := body(t, response); response.StatusCode != 201 || len(f.posts) != 1 {
		t.Errorf("got %d %s\n%s", response.StatusCode, text, lines)
	}
}

func TestAnIdleServerStopsWithinASecond(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFake(0), nil)
	url, stop, done := serve(t, s)
	get(t, &http.Client{Transport: &http.Transport{}}, url+"/livez") // leaves an idle connection, as Nginx does
	began := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %s, want at most 1s", took)
	}
}

// waitUntilRefused returns once url accepts no connection.
func waitUntilRefused(t *testing.T, url string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", url[len("http://"):])
		if err != nil {
			return
		}
		conn.Close()
	}
	t.Fatal("still accepting connections after 5s")
}

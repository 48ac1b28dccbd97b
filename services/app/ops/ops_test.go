package ops

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"oneserver/app/disk"
	"oneserver/app/timing"
)

func newObserver(t *testing.T) *Observer {
	t.Helper()
	connector, err := mysql.NewConnector(mysql.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(connector) // never connects
	t.Cleanup(func() { pool.Close() })
	o, err := New(pool, new(disk.Gauge), "the-replica", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// answer makes o record a request that ran that many database statements.
func (o *Observer) answer(id, method, path, route string, status, statements int) {
	o.Begin()
	ctx, record := timing.Start(context.Background(), id)
	for range statements {
		timing.AddStatement(ctx, "SELECT ? FROM `posts`", record.Begin().Add(2*time.Millisecond), 3*time.Millisecond)
	}
	o.End(record, method, path, route, status)
}

func ask(t *testing.T, o *Observer, path string) (status int, body string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	o.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	o := newObserver(t)
	o.answer("1", "GET", "/api/v1/posts/7", "/api/v1/posts/:id", 200, 2)
	o.answer("2", "GET", "/api/v1/posts/8", "/api/v1/posts/:id", 200, 1)
	o.answer("3", "POST", "/nothing", "", 404, 0)
	o.Begin()
	status, metrics := ask(t, o, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, metrics)
	}
	for _, want := range []string{
		`http_request_duration_seconds_count{method="GET",route="/api/v1/posts/:id",status="200"} 2`,
		`http_request_duration_seconds_count{method="POST",route="none",status="404"} 1`,
		`http_request_duration_seconds_bucket{method="GET",route="/api/v1/posts/:id",status="200",le="12"} 2`,
		`http_requests_in_flight 1`,
		`database_statements_total 3`,
		`database_disk_free_bytes 0`, `database_disk_low 0`,
		`go_sql_max_open_connections{db_name="foobar"} 0`,
		`go_sql_wait_duration_seconds_total{db_name="foobar"} 0`,
		`go_goroutines `, `process_resident_memory_bytes `, `go_build_info{`,
	} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

// Values that a client makes up must not create time series.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	o := newObserver(t)
	for i := range 200 {
		o.answer("id", fmt.Sprintf("METHOD%d", i), fmt.Sprintf("/made/up/%d", i), "", 1000+i, 0)
	}
	_, metrics := ask(t, o, "/metrics")
	series := regexp.MustCompile(`(?m)^http_request_duration_seconds_count.*$`).FindAllString(metrics, -1)
	if want := `http_request_duration_seconds_count{method="other",route="none",status="other"} 200`; len(series) != 1 || series[0] != want {
		t.Errorf("got %q, want only %s", series, want)
	}
}

func TestARequestIsFoundByItsID(t *testing.T) {
	t.Parallel()
	o := newObserver(t)
	o.answer("twice", "GET", "/api/v1/posts", "/api/v1/posts", 503, 1)
	o.answer("twice", "GET", "/api/v1/posts", "/api/v1/posts", 200, 2)
	status, body := ask(t, o, "/requests/twice")
	var got Request
	if err := json.Unmarshal([]byte(body), &got); status != http.StatusOK || err != nil {
		t.Fatalf("status %d, %v: %s", status, err, body)
	}
	if got.ID != "twice" || got.Replica != "the-replica" || got.Method != "GET" || got.Path != "/api/v1/posts" || got.Route != "/api/v1/posts" ||
		got.Status != 200 || got.StatementCount != 2 || time.Since(got.Time) > time.Minute {
		t.Errorf("got %+v, want the newest", got)
	}
	if want := (Statement{"SELECT ? FROM `posts`", 2, 3}); len(got.Statements) != 2 || got.Statements[0] != want {
		t.Errorf("the statements are %+v, want %+v twice", got.Statements, want)
	}
	if status, body := ask(t, o, "/requests/unknown"); status != http.StatusNotFound || !strings.Contains(body, "the-replica has no request with that id") {
		t.Errorf("status %d: %s", status, body)
	}
}

func TestOnlyTheLastRequestsAreKept(t *testing.T) {
	t.Parallel()
	o := newObserver(t)
	var running sync.WaitGroup
	for part := range 4 {
		running.Go(func() {
			for i := range ringSize / 4 {
				o.answer(fmt.Sprintf("old-%d-%d", part, i), "GET", "/", "/", 200, 0)
			}
		})
	}
	running.Wait()
	for part := range 4 {
		for i := range ringSize / 4 {
			if id := fmt.Sprintf("old-%d-%d", part, i); o.recent.find(id) == nil {
				t.Fatalf("%s is gone already", id)
			}
		}
	}
	for i := range ringSize {
		o.answer(fmt.Sprintf("new-%d", i), "GET", "/", "/", 200, 0)
	}
	for part := range 4 {
		if id := fmt.Sprintf("old-%d-%d", part, ringSize/4-1); o.recent.find(id) != nil {
			t.Errorf("%s is still kept", id)
		}
	}
}

func TestALongPathIsCut(t *testing.T) {
	t.Parallel()
	o := newObserver(t)
	o.answer("long", "GET", "/"+strings.Repeat("ü", maxPath), "", 404, 0)
	if path := o.recent.find("long").path; len(path) > maxPath || !strings.HasSuffix(path, "ü…") {
		t.Errorf("%d bytes are kept: %s", len(path), path)
	}
}

func TestServeAnswersUntilItsEnd(t *testing.T) {
	t.Parallel()
	o := newObserver(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- o.Serve(ctx, listener) }()
	response, err := http.Get("http://" + listener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	stop()
	select {
	case err := <-done:
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%v, %s", err, response.Status)
		}
	case <-time.After(5 * time.Second):
		t.Error("still serving 5 s after its end")
	}
}

func BenchmarkEnd(b *testing.B) {
	connector, _ := mysql.NewConnector(mysql.NewConfig())
	o, err := New(sql.OpenDB(connector), new(disk.Gauge), "the-replica", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	_, record := timing.Start(context.Background(), "id")
	b.ReportAllocs()
	for b.Loop() {
		o.Begin()
		o.End(record, "GET", "/api/v1/posts", "/api/v1/posts", 200)
	}
}

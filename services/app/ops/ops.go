// Package ops lets operators look inside a running application: it serves metrics for Prometheus, and shows what the
// latest requests did, with their SQL. It listens on a separate address, which is never published.
package ops

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"oneserver/app/disk"
	"oneserver/app/timing"
)

// buckets are the upper bounds of the histogram's buckets, in seconds. The last is the time limit of a request
// (api.requestLimit). A page takes about half a millisecond.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 12}

// Observer records every request and serves what it has recorded.
type Observer struct {
	log      *slog.Logger
	replica  string
	registry *prometheus.Registry

	durations  *prometheus.HistogramVec
	inFlight   prometheus.Gauge
	statements prometheus.Counter
	recent     ring
}

// New returns an Observer that reports on this process' requests, its pool of database connections and the database's
// disk. replica is the name of the process in these reports.
func New(pool *sql.DB, room *disk.Gauge, replica string, log *slog.Logger) (*Observer, error) {
	o := &Observer{
		log: log, replica: replica, registry: prometheus.NewRegistry(),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Buckets: buckets,
			Help: "Time from a request's header to the end of its answer, by route, method and status.",
		}, []string{"route", "method", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight", Help: "Requests that are being answered.",
		}),
		statements: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "database_statements_total", Help: "Statements that answered requests have run, including those that begin and end transactions.",
		}),
	}
	for _, c := range []prometheus.Collector{
		o.durations, o.inFlight, o.statements,
		collectors.NewDBStatsCollector(pool, "foobar"),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "database_disk_free_bytes", Help: "Free space on the database's disk; -1 if unknown.",
		}, func() float64 { return float64(room.Free()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "database_disk_low", Help: "1 while new posts and accounts are refused because that disk is nearly full.",
		}, func() float64 {
			if room.Low() {
				return 1
			}
			return 0
		}),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	} {
		if err := o.registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return o, nil
}

// Begin counts a request that has arrived. Every Begin is followed by one End.
func (o *Observer) Begin() { o.inFlight.Inc() }

// End records a request that has been answered. Method and path are as the client sent them; route is the pattern that
// matched, or empty.
func (o *Observer) End(record *timing.Record, method, path, route string, status int) {
	o.inFlight.Dec()
	took := record.Total()
	o.durations.WithLabelValues(routeLabel(route), methodLabel(method), statusLabel(status)).Observe(took.Seconds())
	o.statements.Add(float64(record.StatementCount()))
	o.recent.add(&request{record, method, keepPath(path), route, status, took})
}

// A label whose value the client chooses would create a new time series for each value, so these functions restrict the
// values.

func routeLabel(route string) string {
	if route == "" {
		return "none"
	}
	return route
}

func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func statusLabel(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status)
}

// Handler answers GET /metrics and GET /requests/{id}.
func (o *Observer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(o.log.Handler(), slog.LevelError),
		MaxRequestsInFlight: 4,
	}))
	mux.HandleFunc("GET /requests/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		request := o.recent.find(id)
		if request == nil {
			http.Error(w, fmt.Sprintf("%s has no request with that id among its last %d", o.replica, ringSize), http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(request.view(o.replica)); err != nil {
			o.log.WarnContext(r.Context(), "write a request's record", "error", err)
		}
	})
	return mux
}

// Serve answers on l until ctx ends. It returns an error if l fails.
func (o *Observer) Serve(ctx context.Context, l net.Listener) error {
	server := http.Server{
		Handler:           o.Handler(),
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.log.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() }) // no need to drain: metrics can simply be read again
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("accept connections for metrics: %w", err)
	}
	return nil
}

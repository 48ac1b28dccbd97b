package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"oneserver/app/disk"
	"oneserver/app/ops"
	"oneserver/app/timing"
)

// A bookmark is the only thing that this application stores.
type bookmark struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Address string `json:"address"`
}

type server struct {
	pool     *sql.DB
	needs    int64 // the version of the tables that this release needs
	observer *ops.Observer
	drains   atomic.Bool
}

func serve(ctx context.Context, log *slog.Logger) error {
	config, err := database()
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	s := &server{pool: sql.OpenDB(connector)}
	defer s.pool.Close()
	s.pool.SetMaxOpenConns(10)
	s.pool.SetMaxIdleConns(10)
	s.pool.SetConnMaxLifetime(3 * time.Minute)
	all, err := migrations()
	if err != nil {
		return err
	}
	s.needs = all[len(all)-1].Version
	replica, err := os.Hostname()
	if err != nil {
		return err
	}
	if s.observer, err = ops.New(s.pool, disk.New("/run/disk/free", 0, log), replica, log); err != nil {
		return err
	}
	operators, err := net.Listen("tcp", os.Getenv("METRICS_LISTEN"))
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- s.observer.Serve(ctx, operators) }()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /api/bookmarks", s.observed("/api/bookmarks", s.list))
	mux.HandleFunc("POST /api/bookmarks", s.observed("/api/bookmarks", s.create))
	mux.HandleFunc("GET /api/bookmarks/{id}", s.observed("/api/bookmarks/{id}", s.show))
	h := &http.Server{Addr: os.Getenv("LISTEN"), Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second} // idle for longer than Nginx keeps its connections
	go func() { failed <- h.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.drains.Store(true)
	h.SetKeepAlivesEnabled(false)
	limited, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return h.Shutdown(limited)
}

// ready reports whether this replica can serve.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	var version int64
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	err := s.pool.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version WHERE is_applied").Scan(&version)
	switch {
	case s.drains.Load():
		err = errors.New("this replica is stopping")
	case err == nil && version < s.needs:
		err = fmt.Errorf("the tables are of version %d, and this release needs %d", version, s.needs)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// observed lets operators see what a request did, and answers the request with JSON.
func (s *server) observed(route string, work func(*http.Request) (status int, answer any, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, record := timing.Start(r.Context(), r.Header.Get("X-Request-ID"))
		s.observer.Begin()
		status, answer, err := work(r.WithContext(ctx))
		if err != nil {
			slog.ErrorContext(ctx, "request failed", "error", err)
			status, answer = http.StatusServiceUnavailable, map[string]string{"detail": "the database does not answer: try again"}
		}
		if one, is := answer.(bookmark); is && status == http.StatusCreated {
			w.Header().Set("Location", fmt.Sprintf("/api/bookmarks/%d", one.ID))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(answer) // an error means that the client has left
		s.observer.End(record, r.Method, r.URL.Path, route, status)
	}
}

// query runs a statement and records it. If the database is down, query waits for it, for up to ten seconds.
func (s *server) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	arrived := time.Now()
	if err := await(ctx, s.pool, 10*time.Second); err != nil {
		return nil, err
	}
	began := time.Now()
	rows, err := s.pool.QueryContext(ctx, statement, args...)
	timing.AddStatement(ctx, statement, began, time.Since(began))
	timing.AddDatabase(ctx, time.Since(arrived))
	return rows, err
}

func (s *server) find(ctx context.Context, statement string, args ...any) ([]bookmark, error) {
	rows, err := s.query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []bookmark{}
	for rows.Next() {
		var one bookmark
		if err := rows.Scan(&one.ID, &one.Name, &one.Address); err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

func (s *server) list(r *http.Request) (int, any, error) {
	found, err := s.find(r.Context(), "SELECT id, name, address FROM bookmarks ORDER BY id DESC LIMIT 20")
	return http.StatusOK, map[string]any{"bookmarks": found}, err
}

func (s *server) show(r *http.Request) (int, any, error) {
	found, err := s.find(r.Context(), "SELECT id, name, address FROM bookmarks WHERE id = ?", r.PathValue("id"))
	if err != nil || len(found) == 0 {
		return http.StatusNotFound, map[string]string{"detail": "there is no such bookmark"}, err
	}
	return http.StatusOK, found[0], nil
}

// create makes a bookmark. Nginx repeats a request that a replica has dropped, so the same key makes the bookmark only once.
func (s *server) create(r *http.Request) (int, any, error) {
	var one bookmark
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 10_000)).Decode(&one); err != nil || one.Name == "" || len(one.Name) > 200 || len(one.Address) > 2000 {
		return http.StatusUnprocessableEntity, map[string]string{"detail": "a bookmark has a name and an address"}, nil
	}
	var key any
	if text := r.Header.Get("Idempotency-Key"); text != "" {
		key = text
	}
	rows, err := s.query(r.Context(), "INSERT IGNORE INTO bookmarks (name, address, idempotency_key) VALUES (?, ?, ?)", one.Name, one.Address, key)
	if err != nil {
		return 0, nil, err
	}
	rows.Close()
	made, err := s.find(r.Context(), "SELECT id, name, address FROM bookmarks WHERE name = ? AND idempotency_key <=> ? ORDER BY id DESC LIMIT 1", one.Name, key)
	if err != nil || len(made) == 0 {
		return http.StatusConflict, map[string]string{"detail": "this Idempotency-Key was used for another bookmark"}, err
	}
	return http.StatusCreated, made[0], nil
}

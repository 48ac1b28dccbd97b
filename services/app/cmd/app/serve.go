package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"oneserver/app/api"
	"oneserver/app/auth"
	"oneserver/app/disk"
	"oneserver/app/journey"
	"oneserver/app/mysql"
	"oneserver/app/ops"
)

// serve answers visitors' and operators' requests until ctx ends.
func serve(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	s, err := readSettings(getenv)
	if err != nil {
		return err
	}
	room := disk.New(s.diskFile, s.diskReserve, log)
	s.database.Full = room.Low
	db, err := mysql.Open(s.database, log)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go room.Watch(watching)
	return errors.Join(serveWith(ctx, s, db, room, log), db.Close())
}

func serveWith(ctx context.Context, s settings, db *mysql.DB, room *disk.Gauge, log *slog.Logger) error {
	replica, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the name of this replica: %w", err)
	}
	observer, err := ops.New(db.Pool(), room, replica, log)
	if err != nil {
		return err
	}
	server, err := api.New(api.Config{
		Log:       log,
		Posts:     db,
		Accounts:  db,
		Throttle:  db,
		Passwords: auth.NewPasswords(),
		Ready:     db.Ready,
		Journey: journey.New(journey.Config{
			Domain: s.domain, DNSAddress: s.dnsAddress, WebAddress: s.webAddress(), Replica: replica, DatabaseVersion: db.Version,
		}).Look,
		Observer:     observer,
		Quotas:       s.quotas,
		TrustedProxy: s.trustedProxy,
		OwnNetwork:   s.ownNetwork,
		Domain:       s.domain,
		Replica:      replica,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("LISTEN: %w", err)
	}
	metrics, err := net.Listen("tcp", s.metrics)
	if err != nil {
		return errors.Join(fmt.Errorf("METRICS_LISTEN: %w", err), listener.Close())
	}
	log.Info("listening", "address", listener.Addr().String(), "metrics_address", metrics.Addr().String(), "settings", s)

	// Operators can watch the drain to its end. If their listener fails, the site carries on without it.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := observer.Serve(watching, metrics); err != nil {
			log.Error("metrics", "error", err)
		}
	}()
	err = server.Serve(ctx, listener)
	stop()
	<-done
	if err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// migrate brings the schema to this binary's version, or, if to is not empty, only to that version.
func migrate(ctx context.Context, getenv func(string) string, to string, log *slog.Logger) error {
	var version int64
	if to != "" {
		var err error
		if version, err = strconv.ParseInt(to, 10, 64); err != nil || version < 1 {
			return settingsError{fmt.Errorf("%q is the version of no migration", to)}
		}
	}
	s, err := readSettings(getenv)
	if err != nil {
		return err
	}
	return mysql.Migrate(ctx, s.database, version, log)
}

// pending prints the migrations that migrate would run. It prints nothing else to stdout, because a program reads it.
func pending(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	s, err := readSettings(getenv)
	if err != nil {
		return err
	}
	list, err := mysql.Pending(ctx, s.database)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(struct {
		Migrations []mysql.Migration `json:"migrations"`
	}{list})
}

// migrations prints all the migrations that this binary embeds. It needs no database.
func migrations(stdout io.Writer) error {
	list, err := mysql.Migrations()
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(list)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"oneserver/app/api"
	"oneserver/app/mysql"
)

// serve answers requests until ctx ends.
func serve(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	s, err := readSettings(getenv)
	if err != nil {
		return err
	}
	db, err := mysql.Open(s.database, log)
	if err != nil {
		return err
	}
	server, err := api.New(api.Config{Log: log, Posts: db, Ready: db.Ready, TrustedProxy: s.trustedProxy})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return errors.Join(fmt.Errorf("LISTEN: %w", err), db.Close())
	}
	log.Info("listening", "address", listener.Addr().String(), "settings", s)
	if err := errors.Join(server.Serve(ctx, listener), db.Close()); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// migrate brings the schema to the version of this binary.
func migrate(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	s, err := readSettings(getenv)
	if err != nil {
		return err
	}
	return mysql.Migrate(ctx, s.database, log)
}

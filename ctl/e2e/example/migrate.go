package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var files embed.FS

// migration is one of this release's migrations, in the form that the tool reads.
type migration struct {
	Version int64  `json:"version"`
	File    string `json:"file"`
	SQL     string `json:"sql"`
}

func migrations() ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, path.Base(name), string(text)})
	}
	return all, nil
}

// open returns a pool of connections to the database, and the provider that runs the migrations there.
func open(ctx context.Context) (*sql.DB, *goose.Provider, error) {
	config, err := database()
	if err != nil {
		return nil, nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, nil, err
	}
	pool := sql.OpenDB(connector)
	if err := await(ctx, pool, 30*time.Second); err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	in, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, pool, in, goose.WithSessionLocker(lock{}), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	return pool, provider, nil
}

// await waits until the database answers.
func await(ctx context.Context, pool *sql.DB, within time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := pool.PingContext(limited)
		if err == nil {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("the database does not answer: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// migrate brings the tables to the version that this release needs, or to that of an earlier migration.
func migrate(ctx context.Context, to int64) error {
	pool, provider, err := open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	if to != 0 {
		_, err = provider.UpTo(ctx, to)
	} else {
		_, err = provider.Up(ctx)
	}
	return err
}

// pending returns the migrations that migrate would run now.
func pending(ctx context.Context) ([]migration, error) {
	pool, provider, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return nil, err
	}
	all, err := migrations()
	left := []migration{}
	for _, one := range all {
		if one.Version > version {
			left = append(left, one)
		}
	}
	return left, err
}

// lock lets only one migration run at a time, which goose does not ensure on MySQL. The lock ends with its connection.
type lock struct{}

func (lock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK('migrate', 60)").Scan(&got); err != nil {
		return err
	}
	if !got.Bool {
		return errors.New("another migration has been at work for a minute")
	}
	return nil
}

func (lock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK('migrate')")
	return err
}

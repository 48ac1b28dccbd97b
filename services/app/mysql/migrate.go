package mysql

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

	driver "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"oneserver/app/timing"
)

// Limits on how long a migration waits.
const (
	databaseWait = 30 * time.Second // until the database accepts a login
	lockWait     = 60 * time.Second // until another migration that is running has finished
	allOfIt      = 30 * time.Minute // changing a large table takes minutes, but a database that hangs must not block for ever
)

// One DDL statement per file: MySQL commits each immediately, so a file with two could be left half done.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// embeddedVersion returns the highest version among the embedded migrations.
func embeddedVersion() (int64, error) {
	all, err := Migrations()
	if err != nil {
		return 0, err
	}
	var highest int64
	for _, m := range all {
		highest = max(highest, m.Version)
	}
	return highest, nil
}

// Migrate brings the schema to the version that this binary embeds or, if to is not 0, to the earlier version to. It
// does nothing if the schema already has that version or a later one. It waits for the database for at most
// databaseWait. Several processes may call it at the same time: one works, and the others wait for at most lockWait. If
// a migration fails, those before it stay applied.
func Migrate(ctx context.Context, c Config, to int64, log *slog.Logger) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, allOfIt)
	defer cancel()
	provider, pool, err := newProvider(ctx, c, log)
	if err != nil {
		return err
	}
	defer pool.Close() // about to exit, so nothing is lost
	up := provider.Up
	if to != 0 {
		up = func(ctx context.Context) ([]*goose.MigrationResult, error) { return provider.UpTo(ctx, to) }
	}
	results, err := up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		results = partial.Applied
	}
	for _, r := range results {
		log.Info("migration applied", "version", r.Source.Version, "file", path.Base(r.Source.Path),
			"duration_ms", timing.Milliseconds(r.Duration))
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	log.Info("schema is current", "version", version, "applied", len(results),
		"duration_ms", timing.Milliseconds(time.Since(began)))
	return nil
}

// newProvider waits for the database and returns the provider, which runs the migrations, and the pool that it uses.
func newProvider(ctx context.Context, c Config, log *slog.Logger) (*goose.Provider, *sql.DB, error) {
	dsn := c.connection(log, map[string]string{
		// A schema change that waits for a table makes every later query on that table wait too, so it is better to
		// give up within seconds.
		"lock_wait_timeout": "10",
	})
	connector, err := driver.NewConnector(dsn)
	if err != nil {
		return nil, nil, fmt.Errorf("database settings: %w", err)
	}
	pool := sql.OpenDB(connector)
	if err := waitFor(ctx, pool, log); err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("embedded migrations: %w", err), pool.Close())
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, pool, migrations,
		goose.WithSessionLocker(advisoryLock{name: c.Database + ".migrate"}),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)), // the results say what happened
	)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("embedded migrations: %w", err), pool.Close())
	}
	return provider, pool, nil
}

// Migration is one of the migrations that this binary embeds.
type Migration struct {
	Version int64  `json:"version"`
	File    string `json:"file"`
	SQL     string `json:"sql"`
}

// lookAtMost limits Pending, which reads a few rows once the database is up.
const lookAtMost = databaseWait + 10*time.Second

// Pending returns the migrations that Migrate would run now, in order, without running any.
func Pending(ctx context.Context, c Config) ([]Migration, error) {
	ctx, cancel := context.WithTimeout(ctx, lookAtMost)
	defer cancel()
	provider, pool, err := newProvider(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer pool.Close() // nothing was written
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which migrations the database has: %w", err)
	}
	pending := []Migration{}
	for _, one := range states {
		if one.State != goose.StatePending {
			continue
		}
		migration, err := readMigration(path.Base(one.Source.Path))
		if err != nil {
			return nil, err
		}
		pending = append(pending, migration)
	}
	return pending, nil
}

// Migrations returns all the migrations that this binary embeds, in order.
func Migrations() ([]Migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list embedded migrations: %w", err)
	}
	all := make([]Migration, len(names))
	for i, name := range names {
		if all[i], err = readMigration(path.Base(name)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readMigration(file string) (Migration, error) {
	version, err := goose.NumericComponent(file)
	if err != nil {
		return Migration{}, fmt.Errorf("embedded migration %s: %w", file, err)
	}
	text, err := migrationFiles.ReadFile("migrations/" + file)
	if err != nil {
		return Migration{}, fmt.Errorf("embedded migration: %w", err)
	}
	return Migration{version, file, string(text)}, nil
}

// waitFor returns once the database accepts a login. It retries after pauses that double up to a second.
func waitFor(ctx context.Context, pool *sql.DB, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := pool.PingContext(ctx)
		if err == nil {
			return nil
		}
		log.Info("waiting for the database", "error", err.Error())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("the database did not accept a connection within %s: %w", databaseWait, err)
		}
	}
}

// advisoryLock lets only one process migrate at a time. It uses GET_LOCK (MySQL Reference Manual, Locking Functions),
// because goose has no lock for MySQL. The lock belongs to the connection on which the migrations run, so the server
// releases it even if this process dies.
type advisoryLock struct{ name string }

// SessionLock implements goose's lock.SessionLocker.
func (l advisoryLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", l.name, int(lockWait.Seconds())).Scan(&got); err != nil {
		return fmt.Errorf("take the migration lock: %w", err)
	}
	if !got.Bool {
		return fmt.Errorf("another migration has been running for more than %s: look at its log, then run this again", lockWait)
	}
	return nil
}

// SessionUnlock implements goose's lock.SessionLocker.
func (l advisoryLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", l.name); err != nil {
		return fmt.Errorf("release the migration lock: %w", err)
	}
	return nil
}

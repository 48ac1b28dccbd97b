package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	driver "github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"oneserver/app"
)

// poolSize is the number of connections of one process. MySQL admits 100 (max_connections in compose.yaml). Eight
// processes of this size (four replicas, while a deploy runs the old and the new ones together) take 80; migrate,
// backup and health may have 5, 3 and 5 (MAX_USER_CONNECTIONS in db-init); the rest is for the operator.
const poolSize = 10

// searchLimit is the number of simultaneous searches in one process. For each search, MySQL needs memory for every post
// that contains the first word, and it uses more than innodb_ft_result_cache_limit allows: with a limit of 4M, a search
// took 6 MB, and eighty simultaneous ones exceeded the 512 MB of mysqld.
const searchLimit = 2

// searchTries is how long a search may go on trying another word as its first, at a few milliseconds per try. It delays
// other searches by at most this time, plus its last statement (selectLimit).
const searchTries = time.Second

// Time limits for a statement. The server's limit, on a SELECT or on the wait for a row lock, is the first to take
// effect; the limit of the connection is the second. Both take effect before the limit of the request
// (api.requestLimit), because cancelling a request closes its connection but does not stop the server.
const (
	selectLimit     = 4 * time.Second
	connectionLimit = 5 * time.Second
)

// DB is a pool of connections to the database. It implements app.PostStore, app.AccountStore and app.Throttle.
type DB struct {
	pool *sql.DB
	gorm *gorm.DB
	want int64 // the schema version that this binary embeds
	log  *slog.Logger

	life       context.Context // until Close
	end        context.CancelFunc
	background sync.WaitGroup // the work outside requests
	noting     atomic.Bool    // whether a session's use is being written

	searching chan struct{} // holds one entry for each running search

	quotas app.Quotas
	full   func() bool
	erase  chan struct{} // holds one entry if a deleted user's rows are still to be removed
}

var (
	_ app.PostStore    = (*DB)(nil)
	_ app.AccountStore = (*DB)(nil)
	_ app.Throttle     = (*DB)(nil)
)

// Open prepares a pool without connecting. Connections are made when requests need them, so the database may be down at
// the start or at any later time.
func Open(c Config, log *slog.Logger) (*DB, error) {
	want, err := embeddedVersion()
	if err != nil {
		return nil, err
	}
	dsn := c.connection(log, map[string]string{
		"max_execution_time":       fmt.Sprint(selectLimit.Milliseconds()),
		"innodb_lock_wait_timeout": fmt.Sprint(int(selectLimit.Seconds())), // for a statement that waits for a row lock
		// Every read that a write depends on takes a lock, so no transaction needs repeatable reads. Without them, the
		// gaps between rows are not locked, and writes wait for one another less.
		"transaction_isolation": "'READ-COMMITTED'",
	})
	dsn.ReadTimeout, dsn.WriteTimeout = connectionLimit, connectionLimit
	connector, err := driver.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("database settings: %w", err)
	}
	// Only this statement is prepared: the page of posts is by far the most requested, and its statement is the
	// longest.
	pool := sql.OpenDB(slowLog{preparing{connector, listPosts}, log})
	pool.SetMaxOpenConns(poolSize)
	pool.SetMaxIdleConns(poolSize)           // with fewer, connections would be closed and reopened under load
	pool.SetConnMaxLifetime(3 * time.Minute) // as the driver recommends; shorter than any idle limit on the way
	db, err := gorm.Open(gormmysql.New(gormmysql.Config{
		Conn:                      pool,
		DSNConfig:                 dsn,
		SkipInitializeWithVersion: true, // otherwise GORM would connect now, to ask whether it is MariaDB
	}), &gorm.Config{
		Logger:                 queryLogger{log},
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }, // the precision of datetime(6)
		DisableAutomaticPing:   true,
		QueryFields:            true, // name the columns: SELECT * would also fetch columns that a newer release has added
		SkipDefaultTransaction: true, // a single statement is atomic by itself
		TranslateError:         true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), pool.Close())
	}
	full := c.Full
	if full == nil {
		full = func() bool { return false }
	}
	opened := &DB{
		pool: pool, gorm: db, want: want, log: log, searching: make(chan struct{}, searchLimit),
		quotas: c.Quotas, full: full, erase: make(chan struct{}, 1),
	}
	opened.life, opened.end = context.WithCancel(context.Background())
	opened.background.Go(opened.sweepUntilClosed)
	opened.background.Go(opened.eraseUntilClosed)
	opened.background.Go(opened.fillUntilClosed)
	return opened, nil
}

// Close closes the pool, once running statements have ended.
func (db *DB) Close() error {
	db.end()
	db.background.Wait()
	return db.pool.Close()
}

// Ready returns nil if requests can be served: the database answers, and its schema has at least the version that this
// binary embeds. A newer schema is fine, since migrations expand first and contract later, and old and new releases run
// side by side. Otherwise, the error's message tells an operator what is wrong.
func (db *DB) Ready(ctx context.Context) error {
	var have int64
	err := db.pool.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&have)
	switch {
	case isMissingTable(err):
		return &app.Error{Code: app.Unavailable, Message: "The database has no tables yet: run the migrations (app migrate)."}
	case errors.Is(err, context.DeadlineExceeded):
		return &app.Error{Code: app.Unavailable, Message: "The database does not answer in time: it hangs or is overloaded."}
	case err != nil:
		return &app.Error{Code: app.Unavailable, Message: "The database cannot be used; the log says why.", Err: err}
	case have < db.want:
		return &app.Error{Code: app.Unavailable, Message: fmt.Sprintf(
			"The database schema is at version %d, this release needs %d: run the migrations (app migrate).", have, db.want)}
	}
	return nil
}

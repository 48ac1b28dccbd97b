package mysql

import (
	"context"
	"database/sql"
	"time"

	"oneserver/app/timing"
)

// Pool returns the pool of connections, for its statistics.
func (db *DB) Pool() *sql.DB { return db.pool }

// Version asks the server for its version. It waits for a connection as long as ctx allows, but does not wait for a
// server that is down.
func (db *DB) Version(ctx context.Context) (version string, err error) {
	defer func(began time.Time) { timing.AddDatabase(ctx, time.Since(began)) }(time.Now()) // since this bypasses GORM (log.go)
	err = db.pool.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version)
	return version, err
}

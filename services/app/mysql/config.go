// Package mysql stores the domain's data in MySQL. It accesses the data through GORM, and creates the schema with
// embedded migrations.
package mysql

import (
	"fmt"
	"log/slog"
	"maps"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"oneserver/app"
)

// Config says which database and which account to use.
type Config struct {
	Address  string // host:port
	Database string
	User     string
	Password string

	Quotas app.Quotas  // on what visitors write
	Full   func() bool // whether the server's disk is too full to accept anything new; nil means never
}

// connection returns the settings that all our connections share. session adds system variables to set on each
// connection.
func (c Config) connection(log *slog.Logger, session map[string]string) *driver.Config {
	dsn := driver.NewConfig() // checks an idle connection before use and replaces a dead one
	dsn.Net, dsn.Addr, dsn.DBName, dsn.User, dsn.Passwd = "tcp", c.Address, c.Database, c.User, c.Password
	dsn.Logger = driverLogger{log}

	// Times are UTC in Go, in transit and in the server.
	dsn.ParseTime = true
	dsn.Loc = time.UTC
	dsn.Params = map[string]string{"time_zone": "'+00:00'"}
	maps.Copy(dsn.Params, session)

	// The character set is given too, since the driver may ignore a collation without one.
	_ = dsn.Apply(driver.Charset("utf8mb4", "utf8mb4_0900_ai_ci")) // an option that only assigns; it cannot fail

	dsn.Timeout = 2 * time.Second    // to connect
	dsn.ClientFoundRows = true       // an UPDATE that changes nothing still reports that the row exists
	dsn.InterpolateParams = true     // one round trip per statement instead of prepare, execute, close (prepared.go); safe with utf8mb4
	dsn.RejectReadOnly = true        // after a failover a former primary refuses writes: reconnect instead of failing
	dsn.AllowNativePasswords = false // the accounts use caching_sha2_password; nothing weaker is negotiated
	return dsn
}

// driverLogger passes the driver's own messages, such as a connection found dead, to our log.
type driverLogger struct{ log *slog.Logger }

func (l driverLogger) Print(v ...any) {
	l.log.Info("mysql driver", "detail", fmt.Sprint(v...))
}

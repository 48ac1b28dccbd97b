// Package mysql keeps the domain's data in MySQL: posts through GORM, the schema through embedded migrations.
package mysql

import (
	"fmt"
	"log/slog"
	"maps"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"oneserver/app"
)

// Config says which database to use and as whom.
type Config struct {
	Address  string // host:port
	Database string
	User     string
	Password string

	Quotas app.Quotas  // of those who write
	Full   func() bool // whether the server's disk is so full that nothing new may be kept; nil: it never is
}

// connection is what every connection of ours has in common; session adds system variables to set on it.
func (c Config) connection(log *slog.Logger, session map[string]string) *driver.Config {
	dsn := driver.NewConfig() // checks an idle connection before use and replaces a dead one
	dsn.Net, dsn.Addr, dsn.DBName, dsn.User, dsn.Passwd = "tcp", c.Address, c.Database, c.User, c.Password
	dsn.Logger = driverLogger{log}

	// Times are UTC in Go, on the way and in the server.
	dsn.ParseTime = true
	dsn.Loc = time.UTC
	dsn.Params = map[string]string{"time_zone": "'+00:00'"}
	maps.Copy(dsn.Params, session)

	// Both, since the driver may ignore a collation that comes alone.
	_ = dsn.Apply(driver.Charset("utf8mb4", "utf8mb4_0900_ai_ci")) // an option that only assigns; it cannot fail

	dsn.Timeout = 2 * time.Second    // to connect
	dsn.ClientFoundRows = true       // an UPDATE that changes nothing still says that the row is there
	dsn.InterpolateParams = true     // one round trip a statement instead of prepare, execute, close (prepared.go); safe with utf8mb4
	dsn.RejectReadOnly = true        // after a failover a former primary refuses writes: connect anew, do not fail
	dsn.AllowNativePasswords = false // the accounts use caching_sha2_password; nothing weaker is negotiated
	return dsn
}

// driverLogger hands the driver's own remarks, such as a connection found dead, to our log.
type driverLogger struct{ log *slog.Logger }

func (l driverLogger) Print(v ...any) {
	l.log.Info("mysql driver", "detail", fmt.Sprint(v...))
}

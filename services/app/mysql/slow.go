package mysql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"time"

	"oneserver/app/timing"
)

// slowStatement is how long a statement may take before the log names it. At this load one by primary key takes about
// a millisecond.
const slowStatement = 200 * time.Millisecond

// slowLog is a connector whose connections log slow statements. It stands between the pool and the driver, where the
// wait for a connection of the pool is over: under overload every request waits, and none of their statements is slow.
type slowLog struct {
	driver.Connector
	log *slog.Logger
}

// Connect implements driver.Connector.
func (s slowLog) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c, ok := conn.(mysqlConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("a connection of type %T lacks a method that mysqlConn lists", conn)
	}
	return slowConn{c, s.log}, nil
}

// mysqlConn is what database/sql uses of the driver's connections.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type slowConn struct {
	mysqlConn
	log *slog.Logger
}

// ExecContext implements driver.ExecerContext.
func (c slowConn) ExecContext(ctx context.Context, statement string, args []driver.NamedValue) (driver.Result, error) {
	defer c.logSlow(ctx, statement, time.Now())
	return c.mysqlConn.ExecContext(ctx, statement, args)
}

// QueryContext implements driver.QueryerContext. It returns when the first rows are here.
func (c slowConn) QueryContext(ctx context.Context, statement string, args []driver.NamedValue) (driver.Rows, error) {
	defer c.logSlow(ctx, statement, time.Now())
	return c.mysqlConn.QueryContext(ctx, statement, args)
}

// logSlow shows the statement with its placeholders: the values may be a person's data.
func (c slowConn) logSlow(ctx context.Context, statement string, begin time.Time) {
	if took := time.Since(begin); took > slowStatement {
		c.log.WarnContext(ctx, "slow statement", "request_id", timing.RequestID(ctx), "sql", statement,
			"duration_ms", timing.Milliseconds(took))
	}
}

package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"oneserver/app/timing"
)

// slowStatement is how long a statement may take before it is logged. A statement by primary key normally takes about a
// millisecond.
const slowStatement = 200 * time.Millisecond

// slowLog is a connector whose connections add each statement to the timing of its request, and log slow ones. It sits
// between the pool and the driver, so it does not count the wait for a connection: under overload every request waits
// for a connection, but no statement is slow.
type slowLog struct {
	driver.Connector
	log *slog.Logger
}

// Connect implements driver.Connector.
func (s slowLog) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := connect(ctx, s.Connector)
	if err != nil {
		return nil, err
	}
	return slowConn{conn, s.log}, nil
}

// connect opens a connection with connector, and returns an error if the connection lacks a method of mysqlConn.
func connect(ctx context.Context, connector driver.Connector) (mysqlConn, error) {
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c, ok := conn.(mysqlConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("a connection of type %T lacks a method that mysqlConn lists", conn)
	}
	return c, nil
}

// mysqlConn is the part of the driver's connections that database/sql uses.
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
	began := time.Now()
	result, err := c.mysqlConn.ExecContext(ctx, statement, args)
	c.note(ctx, statement, began, err)
	return result, err
}

// QueryContext implements driver.QueryerContext. It returns when the first rows have arrived.
func (c slowConn) QueryContext(ctx context.Context, statement string, args []driver.NamedValue) (driver.Rows, error) {
	began := time.Now()
	rows, err := c.mysqlConn.QueryContext(ctx, statement, args)
	c.note(ctx, statement, began, err)
	return rows, err
}

// BeginTx implements driver.ConnBeginTx.
func (c slowConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	began := time.Now()
	tx, err := c.mysqlConn.BeginTx(ctx, opts)
	c.noteUnseen(ctx, "START TRANSACTION", began, err)
	if err != nil {
		return nil, err
	}
	return slowTx{tx, c, ctx}, nil
}

// slowTx times the end of a transaction: a COMMIT waits for the disk, and often takes the longest.
type slowTx struct {
	driver.Tx
	conn slowConn
	ctx  context.Context // from BeginTx; Commit and Rollback are given none
}

// Commit implements driver.Tx.
func (t slowTx) Commit() error {
	began := time.Now()
	err := t.Tx.Commit()
	t.conn.noteUnseen(t.ctx, "COMMIT", began, err)
	return err
}

// Rollback implements driver.Tx.
func (t slowTx) Rollback() error {
	began := time.Now()
	err := t.Tx.Rollback()
	t.conn.noteUnseen(t.ctx, "ROLLBACK", began, err)
	return err
}

// noteUnseen records a statement that GORM's logger does not see (log.go), and also adds its time to that of the
// request.
func (c slowConn) noteUnseen(ctx context.Context, statement string, began time.Time, err error) {
	timing.AddDatabase(ctx, time.Since(began))
	c.note(ctx, statement, began, err)
}

// note adds the statement to the timing of its request, and logs it if it was slow. The statement has placeholders,
// because its values may be personal data.
func (c slowConn) note(ctx context.Context, statement string, began time.Time, err error) {
	if errors.Is(err, driver.ErrSkip) {
		return // nothing was sent; database/sql tries another way
	}
	took := time.Since(began)
	timing.AddStatement(ctx, statement, began, took)
	if took > slowStatement {
		c.log.WarnContext(ctx, "slow statement", "request_id", timing.RequestID(ctx), "sql", statement,
			"duration_ms", timing.Milliseconds(took))
	}
}

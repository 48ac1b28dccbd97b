package mysql

import (
	"context"
	"database/sql/driver"
)

// preparing is a connector whose connections prepare statement at its first use and keep it prepared until they close.
// This saves MySQL from parsing the statement and the driver from composing its text: for the page of posts, a tenth of
// the work of both. For a less frequent statement, the two extra round trips of the first use would not pay off.
type preparing struct {
	driver.Connector
	statement string
}

// Connect implements driver.Connector.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := connect(ctx, p.Connector)
	if err != nil {
		return nil, err
	}
	return &preparedConn{mysqlConn: conn, statement: p.statement}, nil
}

// preparedConn needs no lock: database/sql uses a connection for one thing at a time.
type preparedConn struct {
	mysqlConn
	statement string
	prepared  driver.StmtQueryContext // nil until its first use; the server drops it with the connection
}

// QueryContext implements driver.QueryerContext.
func (c *preparedConn) QueryContext(ctx context.Context, statement string, args []driver.NamedValue) (driver.Rows, error) {
	if statement != c.statement {
		return c.mysqlConn.QueryContext(ctx, statement, args)
	}
	if c.prepared == nil {
		stmt, err := c.mysqlConn.PrepareContext(ctx, statement)
		if err != nil {
			return nil, err
		}
		c.prepared = stmt.(driver.StmtQueryContext) // as all the driver's statements are
	}
	rows, err := c.prepared.QueryContext(ctx, args)
	if hasNumber(err, errReprepare) {
		return c.mysqlConn.QueryContext(ctx, statement, args)
	}
	return rows, err
}

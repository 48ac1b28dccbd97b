package mysql

import (
	"context"
	"database/sql/driver"
)

// preparing is a connector whose connections prepare a statement when it is first asked for and keep it as long as they
// live. It spares MySQL the parsing and the driver the text: for the page of posts a tenth of what both use. For a
// statement that is asked for less often the two further round trips of the first time would not pay.
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
	prepared  driver.StmtQueryContext // nil until it is asked for; the server forgets it with the connection
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
		c.prepared = stmt.(driver.StmtQueryContext) // as all of the driver's are
	}
	rows, err := c.prepared.QueryContext(ctx, args)
	if hasNumber(err, errReprepare) {
		return c.mysqlConn.QueryContext(ctx, statement, args)
	}
	return rows, err
}

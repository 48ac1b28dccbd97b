package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"oneserver/app"
)

// Server errors (MySQL Error Message Reference) that say that the database is away, busy or not usable at the moment,
// rather than that a statement of ours is wrong.
var away = map[uint16]bool{
	1040: true, // ER_CON_COUNT_ERROR: too many connections
	1044: true, // ER_DBACCESS_DENIED_ERROR: an account that is not set up (yet)
	1045: true, // ER_ACCESS_DENIED_ERROR
	1049: true, // ER_BAD_DB_ERROR
	1053: true, // ER_SERVER_SHUTDOWN
	1146: true, // ER_NO_SUCH_TABLE: the migrations have not run yet
	1205: true, // ER_LOCK_WAIT_TIMEOUT
	1213: true, // ER_LOCK_DEADLOCK
	1226: true, // ER_USER_LIMIT_REACHED
	1290: true, // ER_OPTION_PREVENTS_STATEMENT: read only, a replica
	1317: true, // ER_QUERY_INTERRUPTED: killed, or the server is shutting down
	3024: true, // ER_QUERY_TIMEOUT: longer than max_execution_time
	3032: true, // ER_SERVER_OFFLINE_MODE
	3169: true, // ER_SESSION_WAS_KILLED
	4031: true, // ER_CLIENT_INTERACTION_TIMEOUT: idle for too long
}

const missingTable = 1146

func isMissingTable(err error) bool {
	e, ok := errors.AsType[*mysqldriver.MySQLError](err)
	return ok && e.Number == missingTable
}

// translate turns an error of GORM or the driver into the domain's terms. What it does not know stays as it is, which
// the outside sees as an internal error.
func translate(doing string, err error) error {
	cause := fmt.Errorf("%s: %w", doing, err)
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return &app.Error{Code: app.NotFound, Message: "There is no such post.", Err: cause}
	case errors.Is(err, context.DeadlineExceeded):
		return &app.Error{Code: app.Unavailable, Message: "The database took too long. Please try again.", Err: cause}
	case errors.Is(err, context.Canceled):
		return cause // the client has gone
	case isAway(err):
		return &app.Error{Code: app.Unavailable, Message: "The database cannot be reached right now. Please try again.", Err: cause}
	}
	return cause
}

func isAway(err error) bool {
	if e, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return away[e.Number]
	}
	if _, ok := errors.AsType[net.Error](err); ok { // refused, unreachable, unknown host, timed out
		return true
	}
	for _, broken := range []error{driver.ErrBadConn, mysqldriver.ErrInvalidConn, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}

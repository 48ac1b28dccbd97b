package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	mysqldriver "github.com/go-sql-driver/mysql"

	"oneserver/app"
)

// Server errors (MySQL Error Message Reference) that the code refers to by name.
const (
	errTooManyHits = 188  // from InnoDB: a full-text search finds more than innodb_ft_result_cache_limit allows
	errNoTable     = 1146 // ER_NO_SUCH_TABLE
	errNoIndex     = 1191 // ER_FT_MATCHING_KEY_NOT_FOUND: there is no such full-text index
	errLockWait    = 1205 // ER_LOCK_WAIT_TIMEOUT
	errDeadlock    = 1213 // ER_LOCK_DEADLOCK
	errReprepare   = 1615 // ER_NEED_REPREPARE: the table was evicted from the server's definition cache at every attempt
	errTooSlow     = 3024 // ER_QUERY_TIMEOUT: longer than max_execution_time
	errRolledBack  = 3101 // ER_TRANSACTION_ROLLBACK_DURING_COMMIT: refused by the group of servers
)

// Server errors that mean that the database is down, busy or unusable at the moment, not that our statement is wrong.
var away = map[uint16]bool{
	1040:          true, // ER_CON_COUNT_ERROR: too many connections
	1044:          true, // ER_DBACCESS_DENIED_ERROR: an account that is not set up (yet)
	1045:          true, // ER_ACCESS_DENIED_ERROR
	1049:          true, // ER_BAD_DB_ERROR
	1053:          true, // ER_SERVER_SHUTDOWN
	errNoTable:    true, // the migrations have not run yet
	errLockWait:   true,
	errDeadlock:   true,
	1226:          true, // ER_USER_LIMIT_REACHED
	1290:          true, // ER_OPTION_PREVENTS_STATEMENT: read only, a replica
	1317:          true, // ER_QUERY_INTERRUPTED: killed, or the server is shutting down
	errTooSlow:    true,
	3032:          true, // ER_SERVER_OFFLINE_MODE
	errRolledBack: true,
	3169:          true, // ER_SESSION_WAS_KILLED
	4031:          true, // ER_CLIENT_INTERACTION_TIMEOUT: idle for too long
}

func isMissingTable(err error) bool { return hasNumber(err, errNoTable) }

func hasNumber(err error, numbers ...uint16) bool {
	e, ok := errors.AsType[*mysqldriver.MySQLError](err)
	return ok && slices.Contains(numbers, e.Number)
}

// translate turns an error from GORM or the driver into an error of the domain. To an unknown error, it only adds the
// name of the operation; clients see it as an internal error.
func translate(doing string, err error) error {
	if known, ok := errors.AsType[*app.Error](err); ok {
		return known
	}
	cause := fmt.Errorf("%s: %w", doing, err)
	switch {
	case hasNumber(err, errTooManyHits):
		return &app.Error{Code: app.Invalid, Message: "Too many posts hold these words. Please add another word.", Err: cause}
	case errors.Is(err, context.DeadlineExceeded), hasNumber(err, errTooSlow):
		return &app.Error{Code: app.Unavailable, Message: "The database took too long. Please try again.", Err: cause}
	case errors.Is(err, context.Canceled):
		return cause // the client has gone
	case isAway(err):
		return &app.Error{Code: app.Unavailable, Message: "The database cannot be reached right now. Please try again.", Err: cause}
	}
	return cause
}

// worthWaiting reports whether err means that the database is down but may be back within seconds. A statement that
// took too long would take too long again, and missing tables do not appear within seconds.
func worthWaiting(err error) bool {
	return isAway(err) && !hasNumber(err, errNoTable, errTooSlow)
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

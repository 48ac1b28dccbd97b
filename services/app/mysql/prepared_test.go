package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"

	"oneserver/app/timing"
)

// preparable is a fake connection that prepares statements and records what it is asked to do.
type preparable struct {
	fakeConn
	said *[]string
	err  error // of preparing
	old  error // of executing
}

func (c preparable) Connect(context.Context) (driver.Conn, error) {
	*c.said = append(*c.said, "connect")
	return c, nil
}

func (c preparable) PrepareContext(_ context.Context, statement string) (driver.Stmt, error) {
	*c.said = append(*c.said, "prepare "+statement)
	return preparedStmt{said: c.said, statement: statement, err: c.old}, c.err
}

func (c preparable) QueryContext(_ context.Context, statement string, _ []driver.NamedValue) (driver.Rows, error) {
	*c.said = append(*c.said, "query "+statement)
	return noRows{}, nil
}

type preparedStmt struct {
	driver.Stmt
	said      *[]string
	statement string
	err       error
}

func (s preparedStmt) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	*s.said = append(*s.said, "execute "+s.statement)
	return noRows{}, s.err
}

type noRows struct{}

func (noRows) Columns() []string         { return nil }
func (noRows) Close() error              { return nil }
func (noRows) Next([]driver.Value) error { return io.EOF }

func TestAConnectionPreparesAStatementOnce(t *testing.T) {
	t.Parallel()
	var said []string
	pool := sql.OpenDB(slowLog{preparing{preparable{said: &said}, "SELECT often"}, slog.New(slog.DiscardHandler)})
	defer pool.Close()
	pool.SetMaxIdleConns(1)
	ctx, record := timing.Start(t.Context(), "the-request")
	ask := func(statements ...string) {
		for _, statement := range statements {
			rows, err := pool.QueryContext(ctx, statement)
			if err != nil {
				t.Fatal(err)
			}
			rows.Close()
		}
	}
	ask("SELECT often", "SELECT seldom", "SELECT often")
	pool.SetMaxIdleConns(0) // closes the connection, which drops the prepared statement
	ask("SELECT often")
	want := []string{"connect", "prepare SELECT often", "execute SELECT often", "query SELECT seldom", "execute SELECT often",
		"connect", "prepare SELECT often", "execute SELECT often"}
	if !slices.Equal(said, want) {
		t.Errorf("MySQL received %q, want %q", said, want)
	}
	if kept, _ := record.Statements(); len(kept) != 4 {
		t.Errorf("the request has %d statements, want the 4 that were asked: %v", len(kept), kept)
	}
}

func TestAStatementThatCannotBePreparedIsAnError(t *testing.T) {
	t.Parallel()
	var said []string
	gone := errors.New("gone")
	pool := sql.OpenDB(preparing{preparable{said: &said, err: gone}, "SELECT often"})
	defer pool.Close()
	for range 2 { // and each time it is tried again
		if _, err := pool.QueryContext(t.Context(), "SELECT often"); !errors.Is(err, gone) {
			t.Errorf("error %v, want %v", err, gone)
		}
	}
	if want := []string{"connect", "prepare SELECT often", "prepare SELECT often"}; !slices.Equal(said, want) {
		t.Errorf("MySQL received %q, want %q", said, want)
	}
}

// A server that evicts table definitions as fast as it loads them refuses the prepared statement, but not the same
// query sent as text.
func TestAStatementThatCannotBePreparedAnewIsAskedInFull(t *testing.T) {
	t.Parallel()
	var said []string
	pool := sql.OpenDB(preparing{preparable{said: &said, old: &mysql.MySQLError{Number: errReprepare}}, "SELECT often"})
	defer pool.Close()
	rows, err := pool.QueryContext(t.Context(), "SELECT often")
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	if want := []string{"connect", "prepare SELECT often", "execute SELECT often", "query SELECT often"}; !slices.Equal(said, want) {
		t.Errorf("MySQL received %q, want %q", said, want)
	}
}

package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"oneserver/app/timing"
)

// fakeConn is a fake connection on which every statement takes a millisecond.
type fakeConn struct{ mysqlConn }

func (fakeConn) Connect(context.Context) (driver.Conn, error) { return fakeConn{}, nil }
func (fakeConn) Driver() driver.Driver                        { return nil }
func (fakeConn) CheckNamedValue(*driver.NamedValue) error     { return nil }
func (fakeConn) ResetSession(context.Context) error           { return nil }
func (fakeConn) IsValid() bool                                { return true }
func (fakeConn) Close() error                                 { return nil }
func (fakeConn) Prepare(string) (driver.Stmt, error)          { return nil, io.ErrUnexpectedEOF }
func (f fakeConn) PrepareContext(_ context.Context, s string) (driver.Stmt, error) {
	return f.Prepare(s)
}

func (fakeConn) ExecContext(_ context.Context, statement string, _ []driver.NamedValue) (driver.Result, error) {
	time.Sleep(time.Millisecond)
	if strings.HasPrefix(statement, "SKIP") { // as the driver does for what it cannot interpolate
		return nil, driver.ErrSkip
	}
	return driver.RowsAffected(1), nil
}

func (fakeConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	time.Sleep(time.Millisecond)
	return nil, io.ErrUnexpectedEOF
}

func (fakeConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	time.Sleep(time.Millisecond)
	return fakeTx{}, nil
}

type fakeTx struct{}

func (fakeTx) Commit() error   { time.Sleep(time.Millisecond); return nil }
func (fakeTx) Rollback() error { time.Sleep(time.Millisecond); return nil }

func TestARequestKeepsItsStatementsWithoutValues(t *testing.T) {
	t.Parallel()
	pool := sql.OpenDB(slowLog{fakeConn{}, slog.New(slog.DiscardHandler)})
	defer pool.Close()
	ctx, record := timing.Start(t.Context(), "the-request")

	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE posts SET title = ?", "private"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if tx, err = pool.BeginTx(ctx, nil); err != nil {
		t.Fatal(err)
	}
	tx.QueryContext(ctx, "SELECT ? FAILS", "private")
	tx.ExecContext(ctx, "SKIP ?", "private")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	var got []string
	kept, _ := record.Statements()
	for i, s := range kept {
		got = append(got, s.SQL)
		if s.Took < time.Millisecond || i > 0 && s.At < kept[i-1].At+kept[i-1].Took {
			t.Errorf("%s took %s at %s", s.SQL, s.Took, s.At)
		}
	}
	want := "START TRANSACTION; UPDATE posts SET title = ?; COMMIT; START TRANSACTION; SELECT ? FAILS; ROLLBACK"
	if got := strings.Join(got, "; "); got != want {
		t.Errorf("kept %s\nwant %s", got, want)
	}
	// GORM's logger adds the time of the other statements (log.go).
	if db := record.Database(); db < 4*time.Millisecond {
		t.Errorf("the begins and ends of two transactions took %s, want at least 4ms", db)
	}
}

package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"

	"oneserver/app"
	"oneserver/app/timing"
)

func TestErrorsInTheDomainsTerms(t *testing.T) {
	t.Parallel()
	number := func(n uint16) error { return &mysqldriver.MySQLError{Number: n} }
	for _, test := range []struct {
		err  error
		want app.Code
	}{
		{&app.Error{Code: app.Forbidden}, app.Forbidden},
		{driver.ErrBadConn, app.Unavailable},
		{mysqldriver.ErrInvalidConn, app.Unavailable},
		{io.ErrUnexpectedEOF, app.Unavailable},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, app.Unavailable},
		{&net.DNSError{Name: "db", IsNotFound: true}, app.Unavailable},
		{context.DeadlineExceeded, app.Unavailable},
		{number(1040), app.Unavailable},
		{number(1045), app.Unavailable},
		{number(1053), app.Unavailable},
		{number(1146), app.Unavailable},
		{number(1213), app.Unavailable},
		{number(3024), app.Unavailable},
		{number(188), app.Invalid},
		{number(1064), app.Internal}, // a syntax error is our bug
		{number(1054), app.Internal},
		{errors.New("anything else"), app.Internal},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			t.Parallel()
			got := app.AsError(translate("try", fmt.Errorf("wrapped: %w", test.err)))
			if got.Code != test.want {
				t.Errorf("%v is %s, want %s", test.err, got.Code, test.want)
			}
			if !errors.Is(got, test.err) {
				t.Errorf("the cause is lost in %v", got)
			}
		})
	}
}

func TestOpenNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	db, err := Open(Config{Address: "127.0.0.1:1", Database: "foobar", User: "app"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	user := app.User{Email: "ada@example.com"}
	for name, call := range map[string]func(ctx context.Context) error{
		"Ready":          func(ctx context.Context) error { return db.Ready(ctx) },
		"List":           func(ctx context.Context) error { _, _, err := db.List(ctx, app.Page{Size: 1}); return err },
		"Search":         func(ctx context.Context) error { _, _, err := db.Search(ctx, "server", app.Page{Size: 1}); return err },
		"Get":            func(ctx context.Context) error { _, err := db.Get(ctx, 1); return err },
		"Create":         func(ctx context.Context) error { _, err := db.Create(ctx, app.Once{}, 1, app.Draft{}); return err },
		"Update":         func(ctx context.Context) error { _, err := db.Update(ctx, 1, 1, app.Draft{}); return err },
		"Delete":         func(ctx context.Context) error { return db.Delete(ctx, 1, 1) },
		"CreateUser":     func(ctx context.Context) error { return db.CreateUser(ctx, app.Once{}, user) },
		"UserByEmail":    func(ctx context.Context) error { _, err := db.UserByEmail(ctx, user.Email); return err },
		"Rename":         func(ctx context.Context) error { return db.Rename(ctx, 1, "Ada") },
		"ChangePassword": func(ctx context.Context) error { return db.ChangePassword(ctx, 1, "old", "new", app.SignIn{}) },
		"DeleteUser":     func(ctx context.Context) error { return db.DeleteUser(ctx, 1, "hash") },
		"StartSession": func(ctx context.Context) error {
			return db.StartSession(ctx, 1, "hash", app.SignIn{Token: app.Digest{1}})
		},
		"KnowsDevice": func(ctx context.Context) error { _, err := db.KnowsDevice(ctx, 1, app.Digest{1}); return err },
		"Sessions":    func(ctx context.Context) error { _, err := db.Sessions(ctx, 1); return err },
		"Return":      func(ctx context.Context) error { return db.Return(ctx, app.Bucket{Name: "x", Interval: time.Second}) },
		"Session":     func(ctx context.Context) error { _, err := db.Session(ctx, app.Digest{1}); return err },
		"EndSession":  func(ctx context.Context) error { return db.EndSession(ctx, app.Digest{1}) },
		"Take": func(ctx context.Context) error {
			_, err := db.Take(ctx, app.Bucket{Name: "x", Burst: 1, Interval: time.Second})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := call(ctx); err == nil || app.AsError(err).Code != app.Unavailable {
				t.Errorf("without a database: %v, want an Unavailable", err)
			}
		})
	}
}

func testConfig() Config {
	return Config{
		Address:  os.Getenv("MYSQL_TEST_ADDRESS"),
		Database: os.Getenv("MYSQL_TEST_DATABASE"),
		User:     os.Getenv("MYSQL_TEST_USER"),
		Password: os.Getenv("MYSQL_TEST_PASSWORD"),
	}
}

// TestAgainstMySQL runs against the server at MYSQL_TEST_ADDRESS, as MYSQL_TEST_USER with MYSQL_TEST_PASSWORD. This
// user must have the right to create tables in MYSQL_TEST_DATABASE, which must be empty and is emptied afterwards.
func TestAgainstMySQL(t *testing.T) {
	config := testConfig()
	if config.Address == "" {
		t.Skip("MYSQL_TEST_ADDRESS is not set")
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	db, err := Open(config, log)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.pool.Exec(statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	var tables int
	if err := db.pool.QueryRow("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables > 0 {
		t.Fatalf("database %s holds %d tables: this test wants an empty one", config.Database, tables)
	}
	t.Cleanup(func() {
		exec("DROP TABLE IF EXISTS post_search, sessions, devices, posts, idempotency_keys, users, throttle, goose_db_version")
		db.Close()
	})

	// Each step builds on the previous ones.
	t.Run("an empty database is not ready", func(t *testing.T) {
		if err := db.Ready(t.Context()); err == nil {
			t.Error("ready without tables")
		}
		if _, _, err := db.List(t.Context(), app.Page{Size: 1}); app.AsError(err).Code != app.Unavailable {
			t.Errorf("List without tables: %v, want an Unavailable", err)
		}
	})
	t.Run("several migrations at once apply each step once", func(t *testing.T) {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := Migrate(t.Context(), config, 0, log); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := db.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("the site comes without accounts", func(t *testing.T) {
		if n := count(t, db, "SELECT COUNT(*) FROM users"); n != 0 {
			t.Errorf("there are %d", n)
		}
	})
	t.Run("a migration that was cut off after its DDL is taken up again", func(t *testing.T) {
		exec("DELETE FROM goose_db_version WHERE version_id > 0")
		exec("DELETE FROM posts")
		if err := Migrate(t.Context(), config, 0, log); err != nil {
			t.Error(err)
		}
	})
	t.Run("an older schema is not enough, a newer one is", func(t *testing.T) {
		exec("DELETE FROM goose_db_version WHERE version_id = ?", db.want)
		if err := db.Ready(t.Context()); err == nil {
			t.Error("ready with an older schema")
		}
		pending, err := Pending(t.Context(), config)
		if err != nil || len(pending) != 1 || pending[0].Version != db.want || !strings.Contains(pending[0].SQL, "-- +goose Up") {
			t.Errorf("pending is %+v, %v; want the newest migration", pending, err)
		}
		if err := Migrate(t.Context(), config, db.want-1, log); err != nil || db.Ready(t.Context()) == nil {
			t.Errorf("migrated up to the last migration but one: %v; want no error, and a schema that is not ready", err)
		}
		exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, true), (?, true)", db.want, db.want+1)
		if err := db.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if err := Migrate(t.Context(), config, 0, log); err != nil {
			t.Errorf("the migration of an older release: %v", err)
		}
	})
	t.Run("the session is as configured", func(t *testing.T) {
		var zone, charset, collation, isolation string
		var limit, lockLimit int
		err := db.pool.QueryRow("SELECT @@time_zone, @@character_set_client, @@collation_connection, @@transaction_isolation, @@max_execution_time, @@innodb_lock_wait_timeout").
			Scan(&zone, &charset, &collation, &isolation, &limit, &lockLimit)
		if err != nil || zone != "+00:00" || charset != "utf8mb4" || collation != "utf8mb4_0900_ai_ci" || isolation != "READ-COMMITTED" || limit != 4000 || lockLimit != 4 {
			t.Errorf("got %s %s %s %s %d %d, %v", zone, charset, collation, isolation, limit, lockLimit, err)
		}
	})
	t.Run("a slow statement is logged with its request and without its values; a wait for a connection is not", func(t *testing.T) {
		var lines strings.Builder
		db, err := Open(config, slog.New(slog.NewJSONHandler(&lines, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.pool.SetMaxOpenConns(1)
		ctx, _ := timing.Start(t.Context(), "the-request")
		conn, err := db.pool.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*slowStatement, func() { conn.Close() })
		if _, err := db.Get(ctx, 1); err != nil && app.AsError(err).Code != app.NotFound {
			t.Fatal(err)
		}
		if lines.Len() > 0 {
			t.Errorf("after a wait: %s", &lines)
		}
		if _, err := db.pool.ExecContext(ctx, "DO SLEEP(?), 'private' = ?", 2*slowStatement.Seconds(), "private value"); err != nil {
			t.Fatal(err)
		}
		if got := lines.String(); !strings.Contains(got, `"slow statement","request_id":"the-request","sql":"DO SLEEP(?)`) || strings.Contains(got, "private value") {
			t.Errorf("after a slow statement: %s", got)
		}
	})
	t.Run("pages join without gap or overlap", func(t *testing.T) {
		all, more, err := db.List(t.Context(), app.Page{Size: app.MaxPageSize})
		if err != nil || more || len(all) < 5 {
			t.Fatalf("got %d posts, more %t, %v", len(all), more, err)
		}
		var walked []app.Post
		page := app.Page{Size: 2}
		for more := true; more; {
			var posts []app.Post
			posts, more, err = db.List(t.Context(), page)
			if err != nil || len(posts) == 0 {
				t.Fatalf("after %d posts: %d more, %v", len(walked), len(posts), err)
			}
			walked = append(walked, posts...)
			page.Before = posts[len(posts)-1].ID
		}
		if len(walked) != len(all) {
			t.Fatalf("walked over %d posts, want %d", len(walked), len(all))
		}
		for i := range all {
			if walked[i] != all[i] || i > 0 && all[i].ID >= all[i-1].ID {
				t.Errorf("post %d: %+v after %+v", i, walked[i], all[i])
			}
		}
	})
	t.Run("text and times come back as written", func(t *testing.T) {
		written, err := db.Create(t.Context(), app.Once{}, 0, app.Draft{Title: "Zoë 🎉", Body: "a\n\nb\\'\"?@x"})
		if err != nil {
			t.Fatal(err)
		}
		read, err := db.Get(t.Context(), written.ID)
		if err != nil || read != written {
			t.Errorf("wrote %+v, read %+v, %v", written, read, err)
		}
		longest := app.Draft{Title: strings.Repeat("🎉", app.MaxTitle), Body: strings.Repeat("🎉", app.MaxBody)}
		written, err = db.Create(t.Context(), newOnce(), 0, longest)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := db.Get(t.Context(), written.ID); err != nil || read != written {
			t.Errorf("the longest post comes back with %d of %d bytes, %v", len(read.Body), len(written.Body), err)
		}
	})
	t.Run("a post that does not exist is not found", func(t *testing.T) {
		if _, err := db.Get(t.Context(), 1<<64-1); app.AsError(err).Code != app.NotFound {
			t.Errorf("got %v, want a NotFound", err)
		}
	})
	t.Run("connections that the server closed are replaced unseen", func(t *testing.T) {
		ids, err := db.pool.Query("SELECT id FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(USER(), '@', 1) AND id <> CONNECTION_ID()")
		if err != nil {
			t.Fatal(err)
		}
		var own []int64
		for ids.Next() {
			var id int64
			if err := ids.Scan(&id); err != nil {
				t.Fatal(err)
			}
			own = append(own, id)
		}
		if err := ids.Err(); err != nil {
			t.Fatal(err)
		}
		conn, err := db.pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range own {
			conn.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)) // one may be this very connection
		}
		conn.Close()
		for range 20 {
			if _, err := db.Get(t.Context(), 1); err != nil && app.AsError(err).Code != app.NotFound {
				t.Errorf("after the kill: %v", err)
			}
		}
	})
	testPosts(t, db)
	testSearch(t, db)
	testAccounts(t, db)
	testThrottle(t, db)
	testQuotas(t, db, config)
	testAnswersOfBothReleases(t, db)
	testPlans(t, db)
	testSweep(t, db)
	testDatabaseAway(t, db, config)
	testSearchForAWordThatIsEverywhere(t, db)
	testErase(t, db, config)
	testPostsOfTheReleaseBefore(t, db)
}

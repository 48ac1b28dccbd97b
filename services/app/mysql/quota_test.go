package mysql

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oneserver/app"
)

// Further steps of TestAgainstMySQL.

// open opens a separate DB with these quotas, on a disk that is full while full is true.
func open(t *testing.T, config Config, quotas app.Quotas, full *atomic.Bool) *DB {
	t.Helper()
	config.Quotas = quotas
	if full != nil {
		config.Full = full.Load
	}
	db, err := Open(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func testQuotas(t *testing.T, direct *DB, config Config) {
	write := func(db *DB, user app.User, bytes int) error {
		_, err := db.Create(t.Context(), newOnce(), user.ID, app.Draft{Title: "x", Body: strings.Repeat("x", bytes-1)})
		return err
	}
	forgetQuotas := func() { exec(t, direct, "DELETE FROM throttle") }

	t.Run("an account writes, edits and renames itself as often as it may, and no more", func(t *testing.T) {
		db := open(t, config, app.Quotas{AccountWrites: 4}, nil)
		ada, bob := newUser(t, db, "Ada"), newUser(t, db, "Bob")
		once := newOnce()
		post, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: "x", Body: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: "x", Body: "x"}); err != nil { // the same one again
			t.Error(err)
		}
		if _, err := db.Update(t.Context(), ada.ID, post.ID, app.Draft{Title: "y", Body: "y"}); err != nil {
			t.Error(err)
		}
		if err := db.Rename(t.Context(), ada.ID, "Ada L."); err != nil {
			t.Error(err)
		}
		if err := write(db, ada, 100); err != nil {
			t.Error(err)
		}
		posts, keys := count(t, db, "SELECT COUNT(*) FROM posts"), count(t, db, "SELECT COUNT(*) FROM idempotency_keys")
		for what, err := range map[string]error{
			"a post":     write(db, ada, 100),
			"a new name": db.Rename(t.Context(), ada.ID, "x"),
			"an edit": func() error {
				_, err := db.Update(t.Context(), ada.ID, post.ID, app.Draft{Title: "z", Body: "z"})
				return err
			}(),
		} {
			wantCode(t, what, err, app.TooMany)
			if wait := app.AsError(err).RetryAfter; wait < time.Hour || wait > 6*time.Hour {
				t.Errorf("%s: again after %s, want a quarter of a day or less", what, wait)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM posts") - posts + count(t, db, "SELECT COUNT(*) FROM idempotency_keys") - keys; n != 0 {
			t.Errorf("what was refused left %d rows", n)
		}
		if _, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: "x", Body: "x"}); err != nil {
			t.Errorf("the first post, sent again: %v", err)
		}
		if err := write(db, bob, 100); err != nil {
			t.Errorf("another account: %v", err)
		}
		if err := db.Delete(t.Context(), ada.ID, post.ID); err != nil {
			t.Errorf("deleting: %v", err)
		}
	})
	t.Run("an account has as many posts as it may, and may write another once it has deleted one", func(t *testing.T) {
		db := open(t, config, app.Quotas{AccountPosts: 2}, nil)
		ada := newUser(t, db, "Ada")
		for range 2 {
			if err := write(db, ada, 100); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, "a third post", write(db, ada, 100), app.Forbidden)
		exec(t, db, "DELETE FROM posts WHERE user_id = ? LIMIT 1", ada.ID)
		if err := write(db, ada, 100); err != nil {
			t.Error(err)
		}
	})
	t.Run("text is counted for the account, for new accounts and for the site", func(t *testing.T) {
		forgetQuotas()
		db := open(t, config, app.Quotas{SiteText: 4000}, nil) // 40 kB for one account, 1 MB for all new ones together
		ada := newUser(t, db, "Ada")
		if err := write(db, ada, 38_000); err != nil {
			t.Fatal(err)
		}
		err := write(db, ada, 2000)
		wantCode(t, "more than its share", err, app.TooMany)
		if !strings.HasPrefix(app.AsError(err).Message, "This account") {
			t.Errorf("the message is %q", app.AsError(err).Message)
		}
		for shard := range 16 { // the share of new accounts is used up
			exec(t, db, "REPLACE INTO throttle (bucket, arrival) VALUES (?, UTC_TIMESTAMP(6) + INTERVAL 1 DAY)",
				digest(sha256.Sum256(fmt.Appendf(nil, "text newcomers %d", shard))))
		}
		bob, old := newUser(t, db, "Bob"), newUser(t, db, "Old")
		exec(t, db, "UPDATE users SET created_at = created_at - INTERVAL 1 DAY WHERE id = ?", old.ID)
		err = write(db, bob, 30_000)
		wantCode(t, "a new account, where new ones have had their share", err, app.TooMany)
		if strings.HasPrefix(app.AsError(err).Message, "This account") {
			t.Errorf("the message is %q", app.AsError(err).Message)
		}
		if err := write(db, old, 30_000); err != nil {
			t.Errorf("an account that is older than a day: %v", err)
		}
	})
	t.Run("no quota applies to an account that the operator has freed of them", func(t *testing.T) {
		db := open(t, config, app.Quotas{AccountPosts: 1, AccountWrites: 1, SiteText: 1}, nil)
		ada := newUser(t, db, "Ada")
		exec(t, db, "UPDATE users SET unbounded = 1 WHERE id = ?", ada.ID)
		for range 3 {
			if err := write(db, ada, 5000); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("of writes at once, exactly as many are kept as may be", func(t *testing.T) {
		forgetQuotas()
		db := open(t, config, app.Quotas{AccountWrites: 7, SiteText: 100_000}, nil)
		ada := newUser(t, db, "Ada")
		var kept atomic.Int64
		var all sync.WaitGroup
		for range 25 {
			all.Go(func() {
				switch err := write(db, ada, 500); {
				case err == nil:
					kept.Add(1)
				default:
					wantCode(t, "a post", err, app.TooMany)
				}
			})
		}
		all.Wait()
		if n := count(t, db, "SELECT COUNT(*) FROM posts WHERE user_id = ?", ada.ID); kept.Load() != 7 || n != 7 {
			t.Errorf("%d were acknowledged and %d kept, want 7", kept.Load(), n)
		}
	})
	t.Run("who is refused leaves nothing behind", func(t *testing.T) {
		forgetQuotas()
		full := app.Bucket{Name: "full " + rand.Text(), Burst: 1, Interval: time.Hour}
		for n := range 5 {
			wait, err := direct.Take(t.Context(), full, app.Bucket{Name: rand.Text(), Burst: 5, Interval: time.Hour})
			if err != nil || (wait > 0) != (n > 0) {
				t.Errorf("attempt %d: wait %s, %v", n, wait, err)
			}
		}
		if n := count(t, direct, "SELECT COUNT(*) FROM throttle"); n != 2 {
			t.Errorf("five attempts of which four were refused left %d rows, want 2", n)
		}
	})
	t.Run("on a full disk nothing grows, and everything else goes on", func(t *testing.T) {
		var full atomic.Bool
		db := open(t, config, app.Quotas{}, &full)
		ada := newUser(t, db, "Ada")
		once := newOnce()
		post, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: "x", Body: "some text"})
		if err != nil {
			t.Fatal(err)
		}
		full.Store(true)
		wantCode(t, "a post", write(db, ada, 100), app.Full)
		_, err = db.Update(t.Context(), ada.ID, post.ID, app.Draft{Title: "x", Body: "some more text"})
		wantCode(t, "an edit that grows", err, app.Full)
		wantCode(t, "an account", db.CreateUser(t.Context(), newOnce(), app.User{Email: rand.Text() + "@example.com"}), app.Full)
		if again, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: "x", Body: "some text"}); err != nil || again != post {
			t.Errorf("the post that is kept, sent again: %+v, %v", again, err)
		}
		if _, err := db.Update(t.Context(), ada.ID, post.ID, app.Draft{Title: "x", Body: "less"}); err != nil {
			t.Errorf("an edit that shrinks: %v", err)
		}
		if _, err := db.Get(t.Context(), post.ID); err != nil {
			t.Errorf("reading: %v", err)
		}
		if err := db.Ready(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
		if err := db.Delete(t.Context(), ada.ID, post.ID); err != nil {
			t.Errorf("deleting: %v", err)
		}
		if err := db.DeleteUser(t.Context(), ada.ID, ada.PasswordHash); err != nil {
			t.Errorf("deleting the account: %v", err)
		}
		full.Store(false)
		if err := write(db, newUser(t, db, "Bob"), 100); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
}

// The previous release stored the whole post as the answer to repeat. Each release reads what the other wrote.
func testAnswersOfBothReleases(t *testing.T, db *DB) {
	ada := newUser(t, db, "Ada")
	draft := app.Draft{Title: "A title", Body: strings.Repeat("long ", 4000)}
	prefilled := app.Post{AuthorID: ada.ID, Title: draft.Title, Body: draft.Body, CreatedAt: time.Now(), UpdatedAt: time.Now()}

	t.Run("what is kept of an answer is small, and enough for the release before", func(t *testing.T) {
		once := newOnce()
		made, err := db.Create(t.Context(), once, ada.ID, draft)
		if err != nil {
			t.Fatal(err)
		}
		var kept []byte
		if err := db.pool.QueryRow("SELECT answer FROM idempotency_keys WHERE digest = ?", digest(once.Key)).Scan(&kept); err != nil {
			t.Fatal(err)
		}
		if len(kept) > 200 || strings.Contains(string(kept), "long") {
			t.Errorf("it keeps %d bytes: %.300s", len(kept), kept)
		}
		before := prefilled // what that release reads the answer into
		if err := json.Unmarshal(kept, &before); err != nil || before != made {
			t.Errorf("the release before answers %+v, %v; want %+v", before, err, made)
		}
	})
	t.Run("an answer that the release before has kept is repeated", func(t *testing.T) {
		first := prefilled
		first.ID, first.Author, first.CreatedAt, first.UpdatedAt = 12345678, "Ada, then", first.CreatedAt.UTC(), first.CreatedAt.UTC()
		text, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		once := newOnce()
		exec(t, db, "INSERT INTO idempotency_keys (digest, request, answer, user_id, created_at) VALUES (?, ?, ?, ?, NOW(6))",
			digest(once.Key), digest(once.Request), string(text), ada.ID)
		if got, err := db.Create(t.Context(), once, ada.ID, draft); err != nil || got != first {
			t.Errorf("got %+v, %v; want %+v", got, err, first)
		}
	})
	t.Run("an edit between a request and its second try changes nothing of the answer", func(t *testing.T) {
		once := newOnce()
		first, err := db.Create(t.Context(), once, ada.ID, draft)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Update(t.Context(), ada.ID, first.ID, app.Draft{Title: "Another", Body: "text"}); err != nil {
			t.Fatal(err)
		}
		if again, err := db.Create(t.Context(), once, ada.ID, draft); err != nil || again != first {
			t.Errorf("got %+v, %v; want %+v", again, err, first)
		}
	})
}

// prolific is the number of posts by the author who deletes the account, a multiple of 2,500. MYSQL_TEST_PROLIFIC can
// raise it beyond what a single statement could remove within its time limit.
var prolific = func() int {
	n, err := strconv.Atoi(os.Getenv("MYSQL_TEST_PROLIFIC"))
	if err != nil {
		return 10_000
	}
	return n
}()

// testErase deletes a prolific author, kills the process that removes what is left, and lets two others finish.
func testErase(t *testing.T, db *DB, config Config) {
	ada, bob := newUser(t, db, "Prolific"), newUser(t, db, "Bob")
	word := "zyzzyva" // in one post by each
	for range prolific / 2500 {
		exec(t, db, "INSERT INTO posts (user_id, title, body, created_at) WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 50)"+
			" SELECT ?, 'many', REPEAT('of them ', 10), NOW(6) FROM n AS a JOIN n AS b", ada.ID)
	}
	once := newOnce()
	hers, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: word, Body: "hers"})
	if err != nil {
		t.Fatal(err)
	}
	his, err := db.Create(t.Context(), newOnce(), bob.ID, app.Draft{Title: word, Body: "his"})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db, "INSERT INTO posts (user_id, title, body, created_at) SELECT ?, 'newest', 'of hers', NOW(6)", ada.ID)
	token := newDigest()
	exec(t, db, "INSERT INTO sessions (token, user_id, created_at, used_at, expires_at) VALUES (?, ?, NOW(6), NOW(6), NOW(6) + INTERVAL 1 DAY)", digest(token), ada.ID)
	left := func() int { return count(t, db, "SELECT COUNT(*) FROM posts WHERE user_id = ?", ada.ID) }

	t.Run("an author of many posts deletes the account, and is gone at once", func(t *testing.T) {
		// A separate process deletes the account, and is killed (kill -9) while it removes the posts.
		child := osexec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestDeleteAsAnotherProcess$", "-test.v")
		child.Env = append(os.Environ(), fmt.Sprintf("MYSQL_TEST_DELETE=%d %s", ada.ID, ada.PasswordHash))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		for buffer := make([]byte, 4096); !strings.Contains(said.String(), "deleted in "); {
			n, err := out.Read(buffer)
			if said.Write(buffer[:n]); err != nil {
				t.Fatalf("%v: %s", err, &said)
			}
		}
		gone := func() {
			t.Helper()
			hidden, began := left(), time.Now()
			if posts, _, err := db.List(t.Context(), app.Page{Size: 5}); err != nil || len(posts) == 0 || posts[0].ID != his.ID {
				t.Errorf("the newest page: %+v, %v; want %d first", posts, err, his.ID)
			}
			t.Logf("the newest page takes %s behind %d posts that are hidden", time.Since(began).Round(time.Millisecond), hidden)
			if posts, _, err := db.Search(t.Context(), word, app.Page{Size: 5}); err != nil || len(posts) != 1 || posts[0].ID != his.ID {
				t.Errorf("a search finds %+v, %v; want %d", posts, err, his.ID)
			}
			_, err := db.Get(t.Context(), hers.ID)
			wantCode(t, "her post", err, app.NotFound)
			_, err = db.Update(t.Context(), ada.ID, hers.ID, app.Draft{Title: "x", Body: "x"})
			wantCode(t, "her edit", err, app.NotFound)
			_, err = db.Create(t.Context(), newOnce(), ada.ID, app.Draft{Title: "x", Body: "x"})
			wantCode(t, "a post of hers", err, app.Unauthorized)
			_, err = db.Session(t.Context(), token)
			wantCode(t, "her session", err, app.NotFound)
			_, err = db.UserByEmail(t.Context(), ada.Email)
			wantCode(t, "her address", err, app.NotFound)
			wantCode(t, "her name", db.Rename(t.Context(), ada.ID, "x"), app.Unauthorized)
			wantCode(t, "the second deletion", db.DeleteUser(t.Context(), ada.ID, ada.PasswordHash), app.Conflict)
		}
		gone()
		eventually(t, "some posts are removed", func() bool { return left() < prolific })
		child.Process.Kill()
		child.Wait()
		if n := left(); n == 0 {
			t.Fatal("all was removed before the kill: this test shows nothing")
		} else {
			t.Logf("killed with %d of %d posts left; %s", n, prolific+2, strings.TrimSpace(said.String()))
		}
		gone()
		if n := count(t, db, "SELECT COUNT(*) FROM users WHERE id = ? AND (email LIKE '%@%' OR name <> '' OR password_hash <> '')", ada.ID); n != 0 {
			t.Error("her name, address or password is still there")
		}
		if err := db.CreateUser(t.Context(), newOnce(), ada); err != nil {
			t.Error(err)
		}
		if again, err := db.UserByEmail(t.Context(), ada.Email); err != nil || again.ID == ada.ID {
			t.Errorf("her address is not free: %+v, %v", again, err)
		}
	})
	t.Run("others end what one that was killed began, beside those who write", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var slowest atomic.Int64
		var beside, all sync.WaitGroup
		beside.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if _, err := db.Create(t.Context(), newOnce(), bob.ID, app.Draft{Title: "beside", Body: "x"}); err != nil {
					t.Errorf("a write beside it: %v", err)
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(began))))
			}
		})
		began, n := time.Now(), left()
		for range 2 {
			all.Go(func() {
				replica := open(t, config, app.Quotas{}, nil)
				if err := replica.eraseAll(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		limit := time.Minute + time.Duration(prolific)*5*time.Millisecond // a busy machine removes 200 a second
		end := time.Now().Add(limit)
		for ; count(t, db, "SELECT COUNT(*) FROM users WHERE id = ?", ada.ID) > 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d posts are left after %s", left(), limit)
			}
		}
		stop()
		beside.Wait()
		all.Wait()
		t.Logf("%d posts were removed in %s; the slowest write beside it took %s", n, time.Since(began).Round(time.Millisecond), time.Duration(slowest.Load()).Round(time.Millisecond))
		if got := left() + count(t, db, "SELECT COUNT(*) FROM sessions WHERE user_id = ?", ada.ID) + count(t, db, "SELECT COUNT(*) FROM idempotency_keys WHERE user_id = ?", ada.ID); got != 0 {
			t.Errorf("%d rows of hers are left", got)
		}
		if _, err := db.Get(t.Context(), his.ID); err != nil {
			t.Errorf("his post: %v", err)
		}
		began = time.Now()
		if posts, _, err := db.Search(t.Context(), word, app.Page{Size: 5}); err != nil || len(posts) != 1 {
			t.Errorf("a search finds %+v, %v", posts, err)
		}
		t.Logf("a search takes %s when they are gone", time.Since(began).Round(time.Millisecond))
	})
}

// TestDeleteAsAnotherProcess is not a test in its own right: testErase runs it in a separate process, which it kills.
func TestDeleteAsAnotherProcess(t *testing.T) {
	var user uint64
	var hash string
	if _, err := fmt.Sscan(os.Getenv("MYSQL_TEST_DELETE"), &user, &hash); err != nil {
		t.Skip("testErase runs it")
	}
	db := open(t, testConfig(), app.Quotas{}, nil)
	began := time.Now()
	if err := db.DeleteUser(t.Context(), user, hash); err != nil {
		t.Fatal(err)
	}
	fmt.Println("deleted in", time.Since(began).Round(time.Millisecond))
	<-t.Context().Done()
	select {}
}

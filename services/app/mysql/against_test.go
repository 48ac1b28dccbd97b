package mysql

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oneserver/app"
)

// The steps of TestAgainstMySQL that need only the tables.

func testPosts(t *testing.T, db *DB) {
	ada, bob := newUser(t, db, "Ada"), newUser(t, db, "Bob")

	t.Run("an author writes, edits and deletes a post; nobody else may", func(t *testing.T) {
		ctx := t.Context()
		written, err := db.Create(ctx, newOnce(), ada.ID, app.Draft{Title: "One", Body: "first"})
		if err != nil || written.Author != "Ada" || written.AuthorID != ada.ID || !written.UpdatedAt.Equal(written.CreatedAt) {
			t.Fatalf("wrote %+v, %v", written, err)
		}
		if read, err := db.Get(ctx, written.ID); err != nil || read != written {
			t.Errorf("wrote %+v, read %+v, %v", written, read, err)
		}
		_, err = db.Update(ctx, bob.ID, written.ID, app.Draft{Title: "Mine", Body: "now"})
		wantCode(t, "an edit by another", err, app.Forbidden)
		wantCode(t, "a deletion by another", db.Delete(ctx, bob.ID, written.ID), app.Forbidden)
		edited, err := db.Update(ctx, ada.ID, written.ID, app.Draft{Title: "Two", Body: "second"})
		if err != nil || edited.Title != "Two" || edited.Body != "second" || !edited.UpdatedAt.After(edited.CreatedAt) {
			t.Errorf("edited %+v, %v", edited, err)
		}
		if read, err := db.Get(ctx, written.ID); err != nil || read != edited {
			t.Errorf("edited %+v, read %+v, %v", edited, read, err)
		}
		if err := db.Rename(ctx, ada.ID, "Ada L."); err != nil {
			t.Error(err)
		}
		if read, err := db.Get(ctx, written.ID); err != nil || read.Author != "Ada L." {
			t.Errorf("after the author's new name: %+v, %v", read, err)
		}
		if err := db.Delete(ctx, ada.ID, written.ID); err != nil {
			t.Error(err)
		}
		_, err = db.Get(ctx, written.ID)
		wantCode(t, "a deleted post", err, app.NotFound)
		wantCode(t, "its second deletion", db.Delete(ctx, ada.ID, written.ID), app.NotFound)
		_, err = db.Update(ctx, ada.ID, written.ID, app.Draft{Title: "x", Body: "x"})
		wantCode(t, "its edit", err, app.NotFound)
		own, err := db.Create(ctx, newOnce(), 0, app.Draft{Title: "x", Body: "x"})
		if err != nil || own.Author != "" {
			t.Errorf("the site's own post: %+v, %v", own, err)
		}
		wantCode(t, "its deletion by nobody", db.Delete(ctx, 0, own.ID), app.Forbidden)
	})
	t.Run("an author who has been deleted cannot write", func(t *testing.T) {
		_, err := db.Create(t.Context(), newOnce(), 1<<40, app.Draft{Title: "x", Body: "x"})
		wantCode(t, "a post by nobody", err, app.Unauthorized)
	})
	t.Run("a list holds the beginnings of posts", func(t *testing.T) {
		long := strings.Repeat("ë", app.ExcerptLength)
		for _, test := range []struct {
			body string
			cut  bool
		}{{long, false}, {long + "!", true}} {
			if _, err := db.Create(t.Context(), newOnce(), ada.ID, app.Draft{Title: "long", Body: test.body}); err != nil {
				t.Fatal(err)
			}
			posts, more, err := db.List(t.Context(), app.Page{Size: 1})
			if err != nil || len(posts) != 1 || !more || posts[0].Body != long || posts[0].Cut != test.cut {
				t.Errorf("got %+v, more %t, %v; want cut %t", posts, more, err, test.cut)
			}
		}
	})
	t.Run("the same key at the same time makes one post", func(t *testing.T) {
		once, title := newOnce(), rand.Text()
		var answers [20]app.Post
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				var err error
				if answers[i], err = db.Create(t.Context(), once, ada.ID, app.Draft{Title: title, Body: "once"}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, answer := range answers {
			if answer != answers[0] || answer.ID == 0 {
				t.Errorf("one got %+v, another %+v", answers[0], answer)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM posts WHERE title = ?", title); n != 1 {
			t.Errorf("there are %d posts, want 1", n)
		}
		if err := db.Delete(t.Context(), ada.ID, answers[0].ID); err != nil {
			t.Error(err)
		}
		if again, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: title, Body: "once"}); err != nil || again != answers[0] {
			t.Errorf("after the post is gone: %+v, %v; want the first answer %+v", again, err, answers[0])
		}
		once.Request[0]++
		_, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: title, Body: "twice"})
		wantCode(t, "another request with the same key", err, app.KeyReused)
	})
	t.Run("a key whose request failed is free again", func(t *testing.T) {
		once := newOnce()
		_, err := db.Create(t.Context(), once, 1<<40, app.Draft{Title: "x", Body: "x"})
		wantCode(t, "a post by nobody", err, app.Unauthorized)
		if _, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: "x", Body: "x"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("without a key each call makes a post", func(t *testing.T) {
		title := rand.Text()
		for range 2 {
			if _, err := db.Create(t.Context(), app.Once{}, ada.ID, app.Draft{Title: title, Body: "x"}); err != nil {
				t.Error(err)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM posts WHERE title = ?", title); n != 2 {
			t.Errorf("there are %d posts, want 2", n)
		}
	})
}

func testSearch(t *testing.T, db *DB) {
	ada := newUser(t, db, "Searcher")
	ids := map[string]uint64{}
	for _, draft := range []app.Draft{
		{Title: "Zoë 🎉", Body: "xylophone"},
		{Title: "Letters", Body: "what is a xylophone? I don't play the xylophone in C++ or node.js, 100% sure"},
		{Title: "Xylophones", Body: "and a glockenspiel_x"},
		{Title: "Common", Body: strings.Join(slices.Sorted(maps.Keys(notIndexed)), " ")},
		{Title: "数据库", Body: "在一个服务器上"},
		{Title: "测试", Body: "今天我们在这里测试中文搜索, 使用MySQL数据库"},
		{Title: "かな", Body: "ここでサーバーを動かす。𠮷野家で"},
		{Title: "한글", Body: "이 서버에서는"},
	} {
		post, err := db.Create(t.Context(), newOnce(), ada.ID, draft)
		if err != nil {
			t.Fatal(err)
		}
		ids[draft.Title] = post.ID
	}
	for _, test := range []struct {
		text string
		want []string // newest first
	}{
		{"xylophone", []string{"Xylophones", "Letters", "Zoë 🎉"}},
		{"XYLO", []string{"Xylophones", "Letters", "Zoë 🎉"}},
		{"zoe xylophone", []string{"Zoë 🎉"}},
		{"xylophone nothing-of-the-kind", nil},
		{"xylophone glockenspiel", []string{"Xylophones"}},
		{"+xylophone -glockenspiel", []string{"Xylophones"}}, // not operators here
		{"what is a xylophone", []string{"Letters"}},
		{"xylophone c++", []string{"Letters"}},
		{"xylophone node.js", []string{"Letters"}},
		{"DON'T xylophone", []string{"Letters"}},
		{"xylophone 100%", []string{"Letters"}},
		{"glockenspiel_x", []string{"Xylophones"}},
		{"数据库", []string{"测试", "数据库"}},
		{"测试", []string{"测试"}},
		{"试测", nil},
		{"中文搜索 今天", []string{"测试"}},
		{"mysql 测试", []string{"测试"}},
		{"使用mysql", []string{"测试"}},
		{"mysql 服务", nil},
		{"服务 务器 器上", []string{"数据库"}},
		{"サーバー", []string{"かな"}},
		{"野家", []string{"かな"}},
		{"𠮷野家", []string{"かな"}},
		{"吉野家", nil},
		{"서버", []string{"한글"}},
		{"数 服务", []string{"数据库"}},
		{`xylophone ") ' ; -- \ * @ ( < > ~ `, []string{"Xylophones", "Letters", "Zoë 🎉"}},
		{strings.Repeat("xylophone@", 10), []string{"Xylophones", "Letters", "Zoë 🎉"}},
	} {
		t.Run("search "+test.text, func(t *testing.T) {
			posts, more, err := db.Search(t.Context(), test.text, app.Page{Size: 10})
			if err != nil || more {
				t.Fatalf("more %t, %v", more, err)
			}
			var got, want []uint64
			for _, post := range posts {
				got = append(got, post.ID)
			}
			for _, title := range test.want {
				want = append(want, ids[title])
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v of %v", got, want, ids)
			}
		})
	}
	t.Run("the most common words are found beside others", func(t *testing.T) {
		for word := range notIndexed {
			posts, _, err := db.Search(t.Context(), "common "+word, app.Page{Size: 10})
			if err != nil || len(posts) != 1 {
				t.Errorf("%s: got %d posts, %v", word, len(posts), err)
			}
		}
	})
	t.Run("nothing to search for is invalid", func(t *testing.T) {
		for _, text := range []string{"", "to be", "++", "\x00", "🎉"} {
			_, _, err := db.Search(t.Context(), text, app.Page{Size: 10})
			wantCode(t, fmt.Sprintf("%q", text), err, app.Invalid)
		}
	})
	t.Run("pages of a search join without gap or overlap", func(t *testing.T) {
		var got []uint64
		page := app.Page{Size: 1}
		for more := true; more; {
			var posts []app.Post
			var err error
			posts, more, err = db.Search(t.Context(), "xylophone", page)
			if err != nil || len(posts) != 1 {
				t.Fatalf("%v, %v", posts, err)
			}
			page.Before = posts[0].ID
			got = append(got, page.Before)
		}
		if want := []uint64{ids["Xylophones"], ids["Letters"], ids["Zoë 🎉"]}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("what is edited or deleted is found as it is now", func(t *testing.T) {
		if _, err := db.Update(t.Context(), ada.ID, ids["Xylophones"], app.Draft{Title: "Marimba", Body: "new"}); err != nil {
			t.Fatal(err)
		}
		if err := db.Delete(t.Context(), ada.ID, ids["Letters"]); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{"glockenspiel": 0, "marimba": 1, "xylophone": 1, "测试": 1} {
			if posts, _, err := db.Search(t.Context(), text, app.Page{Size: 10}); err != nil || len(posts) != want {
				t.Errorf("%s: got %d posts, want %d, %v", text, len(posts), want, err)
			}
		}
	})
	t.Run("posts of an author who is gone are not found", func(t *testing.T) {
		if err := db.DeleteUser(t.Context(), ada.ID, ada.PasswordHash); err != nil {
			t.Fatal(err)
		}
		if posts, _, err := db.Search(t.Context(), "marimba", app.Page{Size: 10}); err != nil || len(posts) != 0 {
			t.Errorf("got %v, %v", posts, err)
		}
	})
}

// found returns the ids of the posts that a search finds.
func found(t *testing.T, db *DB, text string) (ids []uint64) {
	t.Helper()
	posts, _, err := db.Search(t.Context(), text, app.Page{Size: 10})
	if err != nil {
		t.Errorf("search %s: %v", text, err)
	}
	for _, post := range posts {
		ids = append(ids, post.ID)
	}
	return ids
}

// The previous release writes posts without rows in post_search. Its statements are copied here unchanged.
func testPostsOfTheReleaseBefore(t *testing.T, db *DB) {
	ada := newUser(t, db, "Writer of two releases")
	insert := func(t *testing.T, title, body string) uint64 {
		t.Helper()
		result, err := db.pool.Exec("INSERT INTO `posts` (`user_id`,`title`,`body`,`created_at`) VALUES (?,?,?,?)", ada.ID, title, body, time.Now().UTC())
		if err != nil {
			t.Fatal(err)
		}
		id, err := result.LastInsertId()
		if err != nil {
			t.Fatal(err)
		}
		return uint64(id)
	}
	edit := func(t *testing.T, id uint64, title, body string) {
		t.Helper()
		exec(t, db, "UPDATE posts SET title = ?, body = ?, updated_at = ? WHERE id = ?", title, body, db.gorm.NowFunc(), id)
	}
	want := func(t *testing.T, when, text string, ids ...uint64) {
		t.Helper()
		if got := found(t, db, text); !slices.Equal(got, ids) {
			t.Errorf("%s, %s: got %v, want %v", when, text, got, ids)
		}
	}
	fill := func(t *testing.T, least int) {
		t.Helper()
		var all sync.WaitGroup
		var filled atomic.Int64
		for range 2 { // replicas share the work
			all.Go(func() {
				n, err := db.fill(t.Context())
				if err != nil {
					t.Error(err)
				}
				filled.Add(int64(n))
			})
		}
		all.Wait()
		if n, err := db.fill(t.Context()); n != 0 || err != nil { // each has left out what the other was writing
			t.Errorf("after two that filled %d, a third fills %d, %v", filled.Load(), n, err)
		}
		if int(filled.Load()) < least {
			t.Errorf("%d were filled, want %d", filled.Load(), least)
		}
	}
	fill(t, 0)

	t.Run("what the release before writes is found as it is, at once and after it was filled in", func(t *testing.T) {
		old := insert(t, "quokka", "numbat 数据库在这里")
		mine, err := db.Create(t.Context(), newOnce(), ada.ID, app.Draft{Title: "quokka", Body: "bilby 使用数据库"})
		if err != nil {
			t.Fatal(err)
		}
		want(t, "written by both", "quokka", mine.ID, old)
		want(t, "not filled in", "numbat", old)
		want(t, "not filled in", "数据库在", old) // by its beginning, as that release finds it
		edit(t, mine.ID, "quokka", "wombat 测试")
		for _, when := range []string{"edited by the other", "and filled in"} {
			want(t, when, "bilby")
			want(t, when, "使用")
			want(t, when, "wombat", mine.ID)
			if when == "edited by the other" {
				fill(t, 2)
			}
		}
		want(t, "filled in", "测试", mine.ID)
		want(t, "filled in", "据库", old)
		want(t, "filled in", "quokka", mine.ID, old)
		if _, err := db.Update(t.Context(), ada.ID, old, app.Draft{Title: "quokka", Body: "potoroo"}); err != nil {
			t.Fatal(err)
		}
		want(t, "edited by this one", "numbat")
		want(t, "edited by this one", "据库")
		want(t, "edited by this one", "potoroo", old)
		exec(t, db, "DELETE FROM posts WHERE id = ?", old)
		want(t, "deleted by the other", "quokka", mine.ID)
		if n := count(t, db, "SELECT COUNT(*) FROM post_search WHERE post_id = ?", old); n != 0 {
			t.Errorf("%d rows of a deleted post are left", n)
		}
	})
	t.Run("it is filled in by who serves, and not where the disk is full", func(t *testing.T) {
		id := insert(t, "thylacine", "测试")
		var full atomic.Bool
		full.Store(true)
		replica := open(t, testConfig(), app.Quotas{}, &full)
		if n, err := replica.fill(t.Context()); n != 0 || err == nil {
			t.Errorf("on a full disk it fills %d, %v", n, err)
		}
		open(t, testConfig(), app.Quotas{}, nil)
		eventually(t, "a replica that starts fills it in", func() bool {
			return count(t, db, "SELECT COUNT(*) FROM post_search WHERE post_id = ?", id) == 1
		})
	})
	t.Run("posts are filled in by the text that they have together", func(t *testing.T) {
		var ids []uint64
		for _, bytes := range []int{1, 3 * fillBytes / 4, 3 * fillBytes / 4, 1, 1} {
			ids = append([]uint64{insert(t, "x", strings.Repeat("x", bytes))}, ids...) // the newest first
		}
		got, _, _, err := db.behind(t.Context(), 1<<64-1)
		if err != nil || len(got) != 2 || !slices.Equal(got[0], ids[:3]) || !slices.Equal(got[1], ids[3:]) {
			t.Errorf("got %v, %v; want %v and %v", got, err, ids[:3], ids[3:])
		}
		fill(t, len(ids))
	})
	t.Run("a later release drops the index of today while this one runs, and gives the posts a column at once", func(t *testing.T) {
		id := insert(t, "dunnart", "kowari 测试")
		fill(t, 1)
		exec(t, db, "ALTER TABLE posts DROP KEY words")
		want(t, "without the old index", "dunnart kowari", id)
		want(t, "without the old index", "测试 dunnart", id)
		exec(t, db, "ALTER TABLE posts FORCE, ALGORITHM = INPLACE")
		exec(t, db, "ALTER TABLE posts ADD COLUMN later int NULL, ALGORITHM = INSTANT")
		want(t, "with a column", "kowari", id)
	})
}

func testAccounts(t *testing.T, db *DB) {
	t.Run("an address has one account, whatever its case", func(t *testing.T) {
		ctx := t.Context()
		ada := newUser(t, db, "Ada")
		other := app.User{Email: strings.ToUpper(ada.Email), Name: "Somebody else", PasswordHash: "other"}
		once := newOnce()
		for range 2 {
			wantCode(t, "an address that is taken", db.CreateUser(ctx, once, other), app.Conflict)
		}
		bob := app.User{Email: "b" + ada.Email, Name: "Bob", PasswordHash: "x"}
		for range 2 { // the refusal did not use up that key
			if err := db.CreateUser(ctx, once, bob); err != nil {
				t.Errorf("another address: %v", err)
			}
		}
		once.Request[0]++
		wantCode(t, "another request with the same key", db.CreateUser(ctx, once, bob), app.KeyReused)
		if got, err := db.UserByEmail(ctx, other.Email); err != nil || got != ada {
			t.Errorf("got %+v, %v; want %+v", got, err, ada)
		}
		_, err := db.UserByEmail(ctx, "ä"+ada.Email[1:])
		wantCode(t, "an address with an accent", err, app.NotFound)
		wantCode(t, "the name of nobody", db.Rename(ctx, 1<<40, "x"), app.Unauthorized)
	})
	t.Run("the same sign-up at the same time makes one account", func(t *testing.T) {
		once, email := newOnce(), rand.Text()+"@example.com"
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := db.CreateUser(t.Context(), once, app.User{Email: email, Name: "x", PasswordHash: "x"}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := count(t, db, "SELECT COUNT(*) FROM users WHERE email = ?", email); n != 1 {
			t.Errorf("there are %d accounts, want 1", n)
		}
	})
	t.Run("a session begins, is replaced and ends", func(t *testing.T) {
		ctx := t.Context()
		ada := newUser(t, db, "Ada")
		first, second := newDigest(), newDigest()
		wantCode(t, "with another password", db.StartSession(ctx, ada.ID, "other", app.SignIn{Token: first}), app.Conflict)
		wantCode(t, "of nobody", db.StartSession(ctx, 1<<40, "x", app.SignIn{Token: first}), app.Conflict)
		for range 2 { // as after a commit whose answer was lost
			if err := db.StartSession(ctx, ada.ID, ada.PasswordHash, app.SignIn{Token: first, Browser: "Firefox on Linux"}); err != nil {
				t.Fatal(err)
			}
		}
		session, err := db.Session(ctx, first)
		if err != nil || session.User != ada || session.Browser != "Firefox on Linux" || session.TokenHash != first || session.ExpiresAt.Sub(session.CreatedAt) != app.SessionAbsolute {
			t.Errorf("got %+v, %v", session, err)
		}
		if err := db.StartSession(ctx, ada.ID, ada.PasswordHash, app.SignIn{Token: second, OldToken: first}); err != nil {
			t.Fatal(err)
		}
		_, err = db.Session(ctx, first)
		wantCode(t, "the session that was replaced", err, app.NotFound)
		for range 2 {
			if err := db.EndSession(ctx, second); err != nil {
				t.Error(err)
			}
		}
		_, err = db.Session(ctx, second)
		wantCode(t, "the session that has ended", err, app.NotFound)
	})
	t.Run("a session expires, unused or at its absolute end, and its use is noted", func(t *testing.T) {
		ada := newUser(t, db, "Ada")
		for _, test := range []struct {
			name             string
			created, used    time.Duration // ago
			alive, wantNoted bool
		}{
			{"used a minute ago", time.Hour, time.Minute, true, false},
			{"used six minutes ago", time.Hour, 6 * time.Minute, true, true},
			{"used just within the idle limit", app.SessionAbsolute - time.Minute, app.SessionIdle - time.Minute, true, true},
			{"idle", app.SessionIdle + time.Hour, app.SessionIdle + time.Second, false, false},
			{"at its absolute end", app.SessionAbsolute + time.Second, time.Minute, false, false},
		} {
			now, token := db.gorm.NowFunc(), newDigest()
			exec(t, db, "INSERT INTO sessions (token, user_id, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?)",
				digest(token), ada.ID, now.Add(-test.created), now.Add(-test.used), now.Add(app.SessionAbsolute-test.created))
			_, err := db.Session(t.Context(), token)
			if alive := err == nil; alive != test.alive {
				t.Errorf("%s: alive %t, want %t; %v", test.name, alive, test.alive, err)
			}
			noted := func() bool {
				return count(t, db, "SELECT COUNT(*) FROM sessions WHERE token = ? AND used_at >= ?", digest(token), now) == 1
			}
			if test.wantNoted {
				eventually(t, test.name+": the use is noted", noted)
			} else if noted() {
				t.Errorf("%s: noted", test.name)
			}
		}
	})
	t.Run("a new password ends all other sessions, and gives this one a new token", func(t *testing.T) {
		ctx := t.Context()
		ada := newUser(t, db, "Ada")
		keep, other, in := newDigest(), newDigest(), newSignIn()
		for _, token := range []app.Digest{keep, other} {
			if err := db.StartSession(ctx, ada.ID, ada.PasswordHash, app.SignIn{Token: token, Device: token}); err != nil {
				t.Fatal(err)
			}
		}
		in.OldToken, in.OldDevice = keep, keep
		wantCode(t, "with another old password", db.ChangePassword(ctx, ada.ID, "other", "new", in), app.Conflict)
		if err := db.ChangePassword(ctx, ada.ID, ada.PasswordHash, "new", in); err != nil {
			t.Fatal(err)
		}
		if session, err := db.Session(ctx, in.Token); err != nil || session.User.PasswordHash != "new" {
			t.Errorf("the session that is kept: %+v, %v", session, err)
		}
		for name, token := range map[string]app.Digest{"its old token": keep, "the other session": other} {
			_, err := db.Session(ctx, token)
			wantCode(t, name, err, app.NotFound)
			if known, err := db.KnowsDevice(ctx, ada.ID, token); known || err != nil {
				t.Errorf("%s: the browser is known: %t, %v", name, known, err)
			}
		}
		if known, err := db.KnowsDevice(ctx, ada.ID, in.Device); !known || err != nil {
			t.Errorf("this browser is known: %t, %v", known, err)
		}
		wantCode(t, "with the old password", db.StartSession(ctx, ada.ID, ada.PasswordHash, newSignIn()), app.Conflict)
	})
	t.Run("a browser is known to those who signed in with it, by its newest token, for a time", func(t *testing.T) {
		ctx := t.Context()
		ada, bob := newUser(t, db, "Ada"), newUser(t, db, "Bob")
		first, second := newSignIn(), newSignIn()
		second.OldToken, second.OldDevice = first.Token, first.Device
		for range 2 { // as after a commit whose answer was lost
			if err := db.StartSession(ctx, ada.ID, ada.PasswordHash, first); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := db.StartSession(ctx, bob.ID, bob.PasswordHash, second); err != nil {
				t.Fatal(err)
			}
		}
		knows := func(user app.User, device app.Digest) bool {
			known, err := db.KnowsDevice(ctx, user.ID, device)
			if err != nil {
				t.Error(err)
			}
			return known
		}
		if !knows(ada, second.Device) || !knows(bob, second.Device) || knows(ada, first.Device) || knows(newUser(t, db, "Eve"), second.Device) {
			t.Error("the browser is known to the wrong users")
		}
		exec(t, db, "UPDATE devices SET created_at = ? WHERE user_id = ?", db.gorm.NowFunc().Add(-app.DeviceLife-time.Minute), ada.ID)
		if knows(ada, second.Device) || !knows(bob, second.Device) {
			t.Error("it is known for ever, or to nobody")
		}
	})
	t.Run("an account has so many sessions, of which the oldest ends, and shows them", func(t *testing.T) {
		ctx := t.Context()
		ada, bob := newUser(t, db, "Ada"), newUser(t, db, "Bob")
		his := newSignIn()
		if err := db.StartSession(ctx, bob.ID, bob.PasswordHash, his); err != nil {
			t.Fatal(err)
		}
		begun := make([]app.SignIn, app.MaxSessions+3)
		for i := range begun {
			begun[i] = newSignIn()
			if err := db.StartSession(ctx, ada.ID, ada.PasswordHash, begun[i]); err != nil {
				t.Fatal(err)
			}
		}
		var want, got []app.Digest
		for _, in := range begun[3:] {
			want = append([]app.Digest{in.Token}, want...)
		}
		sessions, err := db.Sessions(ctx, ada.ID)
		for _, one := range sessions {
			got = append(got, one.TokenHash)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d sessions are left, %v; want the newest %d, newest first", len(got), err, len(want))
		}
		if n := count(t, db, "SELECT COUNT(*) FROM devices WHERE user_id = ?", ada.ID); n != app.MaxDevices {
			t.Errorf("%d browsers are known, want %d", n, app.MaxDevices)
		}
		if _, err := db.Session(ctx, his.Token); err != nil {
			t.Errorf("somebody else's session: %v", err)
		}
		exec(t, db, "UPDATE sessions SET used_at = ? WHERE token = ?", db.gorm.NowFunc().Add(-app.SessionIdle), digest(want[0]))
		if left, err := db.Sessions(ctx, ada.ID); err != nil || len(left) != app.MaxSessions-1 {
			t.Errorf("with one that has expired %d are shown, %v", len(left), err)
		}
	})
	t.Run("of sign-ins at the same time, no more sessions are left than there may be", func(t *testing.T) {
		ada := newUser(t, db, "Ada")
		var all sync.WaitGroup
		for range app.MaxSessions + 10 {
			all.Go(func() {
				if err := db.StartSession(t.Context(), ada.ID, ada.PasswordHash, newSignIn()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := count(t, db, "SELECT COUNT(*) FROM sessions WHERE user_id = ?", ada.ID); n != app.MaxSessions {
			t.Errorf("%d sessions are left, want %d", n, app.MaxSessions)
		}
	})
	t.Run("of sign-ins during a change of password, none with the old one survives", func(t *testing.T) {
		ada := newUser(t, db, "Ada")
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := db.StartSession(t.Context(), ada.ID, ada.PasswordHash, newSignIn()); err != nil {
					wantCode(t, "a sign-in", err, app.Conflict)
				}
			})
		}
		all.Go(func() {
			if err := db.ChangePassword(t.Context(), ada.ID, ada.PasswordHash, "new", newSignIn()); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if n := count(t, db, "SELECT COUNT(*) FROM sessions WHERE user_id = ?", ada.ID); n != 0 {
			t.Errorf("%d sessions survive", n)
		}
	})
	t.Run("an account goes with all that is its own, and with nothing else", func(t *testing.T) {
		ctx := t.Context()
		ada, bob := newUser(t, db, "Ada"), newUser(t, db, "Bob")
		for _, user := range []app.User{ada, bob} {
			if _, err := db.Create(ctx, newOnce(), user.ID, app.Draft{Title: "x", Body: "x"}); err != nil {
				t.Fatal(err)
			}
			if err := db.StartSession(ctx, user.ID, user.PasswordHash, newSignIn()); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, "with another password", db.DeleteUser(ctx, ada.ID, "other"), app.Conflict)
		if err := db.DeleteUser(ctx, ada.ID, ada.PasswordHash); err != nil {
			t.Fatal(err)
		}
		for user, want := range map[uint64]int{ada.ID: 0, bob.ID: 1} {
			for table, rows := range map[string]int{"posts": 1, "sessions": 1, "idempotency_keys": 2} { // one key of the account, one of the post
				eventually(t, fmt.Sprintf("user %d has %d rows in %s", user, rows*want, table), func() bool {
					return count(t, db, "SELECT COUNT(*) FROM "+table+" WHERE user_id = ?", user) == rows*want
				})
			}
			eventually(t, fmt.Sprintf("there are %d users %d", want, user), func() bool {
				return count(t, db, "SELECT COUNT(*) FROM users WHERE id = ?", user) == want
			})
		}
		wantCode(t, "the second deletion", db.DeleteUser(ctx, ada.ID, ada.PasswordHash), app.Conflict)
	})
}

func testThrottle(t *testing.T, db *DB) {
	t.Run("attempts at the same time are counted exactly, in all buckets or in none", func(t *testing.T) {
		wide := app.Bucket{Name: "wide " + rand.Text(), Burst: 20, Interval: time.Hour}
		narrow := app.Bucket{Name: "narrow " + rand.Text(), Burst: 5, Interval: time.Hour}
		var allowed atomic.Int64
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				buckets := []app.Bucket{wide, narrow}
				if i%2 == 0 {
					slices.Reverse(buckets)
				}
				wait, err := db.Take(t.Context(), buckets...)
				switch {
				case err != nil:
					t.Error(err)
				case wait == 0:
					allowed.Add(1)
				case wait < 59*time.Minute || wait > time.Hour:
					t.Errorf("wait %s, want an hour", wait)
				}
			})
		}
		all.Wait()
		if allowed.Load() != 5 {
			t.Errorf("%d attempts were allowed, want 5", allowed.Load())
		}
		for n := range 16 { // 5 of 20 are used up
			wait, err := db.Take(t.Context(), wide)
			if err != nil || (wait == 0) != (n < 15) {
				t.Fatalf("attempt %d: wait %s, %v", n, wait, err)
			}
		}
		if err := db.Return(t.Context(), wide, narrow, app.Bucket{Name: "never tried " + rand.Text(), Interval: time.Hour}); err != nil {
			t.Error(err)
		}
		for n := range 2 { // one attempt was given back
			wait, err := db.Take(t.Context(), wide, narrow)
			if err != nil || (wait == 0) != (n < 1) {
				t.Errorf("attempt %d after one was given back: wait %s, %v", n, wait, err)
			}
		}
		if wait, err := db.Take(t.Context()); wait != 0 || err != nil {
			t.Errorf("no bucket: wait %s, %v", wait, err)
		}
	})
}

func testSearchForAWordThatIsEverywhere(t *testing.T, db *DB) {
	t.Run("a word that is everywhere is refused, and found beside a rare one", func(t *testing.T) {
		if limit := count(t, db, "SELECT @@innodb_ft_result_cache_limit"); limit > 4<<20 {
			t.Logf("not tried: innodb_ft_result_cache_limit is %d here", limit)
			return
		}
		for part := range 4 { // 10,000 at a time, well within a statement's time limit
			exec(t, db, "INSERT INTO posts (title, body, created_at) WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100)"+
				" SELECT 'everywhere', CONCAT('r', a.i, 'x', b.i, 'x', ?), NOW(6) FROM n AS a JOIN n AS b", part)
		}
		eventually(t, "the word alone is refused", func() bool { // InnoDB misses words while it moves them to the index on disk
			_, _, err := db.Search(t.Context(), "everywhere", app.Page{Size: 1})
			return err != nil && app.AsError(err).Code == app.Invalid
		})
		posts, more, err := db.Search(t.Context(), "everywhere r50x50x2", app.Page{Size: 20}) // the longer word is tried first
		if err != nil || more || len(posts) != 1 {
			t.Errorf("beside a rare one: %d posts, more %t, %v", len(posts), more, err)
		}
	})
}

func testSweep(t *testing.T, db *DB) {
	t.Run("what has served is removed, and nothing else", func(t *testing.T) {
		for _, table := range []string{"sessions", "devices", "idempotency_keys", "throttle"} {
			exec(t, db, "DELETE FROM "+table)
		}
		user, now := newUser(t, db, "Ada"), db.gorm.NowFunc()
		exec(t, db, "INSERT INTO idempotency_keys (digest, request, created_at) WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < ?)"+
			" SELECT UNHEX(SHA2(i, 256)), '', IF(i > 2, ?, ?) FROM n", sweepBatch+100, now.Add(-keyLife-time.Minute), now.Add(-keyLife+time.Minute))
		for _, age := range []time.Duration{0, app.SessionIdle - time.Minute, app.SessionIdle + time.Minute} {
			d := newDigest()
			exec(t, db, "INSERT INTO sessions (token, user_id, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?)", digest(d), user.ID, now, now.Add(-age), now)
			exec(t, db, "INSERT INTO throttle (bucket, arrival) VALUES (?, ?)", digest(d), now.Add(time.Hour-age))
		}
		for _, age := range []time.Duration{app.DeviceLife - time.Minute, app.DeviceLife + time.Minute} {
			exec(t, db, "INSERT INTO devices (token, user_id, created_at) VALUES (?, ?, ?)", digest(newDigest()), user.ID, now.Add(-age))
		}
		if err := db.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for table, want := range map[string]int{"idempotency_keys": 3, "sessions": 2, "devices": 1, "throttle": 1} { // newUser has left a key
			if n := count(t, db, "SELECT COUNT(*) FROM "+table); n != want {
				t.Errorf("%s has %d rows left, want %d", table, n, want)
			}
		}
	})
}

// testPlans checks the plans of statements with EXPLAIN. With many posts by few users, a plan that is wrong for a large
// table looks cheapest to MySQL.
func testPlans(t *testing.T, db *DB) {
	user := newUser(t, db, "Ada")
	exec(t, db, "INSERT INTO posts (user_id, title, body, created_at) WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"+
		" SELECT ?, CONCAT('title ', i), REPEAT('some words here ', 20), NOW(6) FROM n", user.ID)
	var ignored [4]string
	if err := db.pool.QueryRow("ANALYZE TABLE posts, users, sessions").Scan(&ignored[0], &ignored[1], &ignored[2], &ignored[3]); err != nil {
		t.Fatal(err)
	}
	bad, sorted := regexp.MustCompile(`(?i)hash|temporary|Table scan|Index scan|Sort|materialize`), regexp.MustCompile(`Sort( row IDs)?: posts\.id DESC`)
	post, err := db.Create(t.Context(), newOnce(), user.ID, app.Draft{Title: "x", Body: "x"})
	if err != nil {
		t.Fatal(err)
	}
	token := newDigest()
	if err := db.StartSession(t.Context(), user.ID, user.PasswordHash, app.SignIn{Token: token}); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-time.Minute)
	statement, args := searchFor("title the").statement(0)
	runs, runArgs := searchFor("title 测试").statement(0)
	old, oldArgs := searchBefore("title the").statement(0)
	for name, test := range map[string]struct {
		statement string
		args      []any
		want      string // in the plan
		sorts     bool
	}{
		"first page": {listPosts, []any{uint64(1<<64 - 1), 21}, "Index range scan on posts using PRIMARY", false},
		"deep page":  {listPosts, []any{500, 21}, "Index range scan on posts using PRIMARY", false},
		"one post":   {wholePost, []any{post.ID}, "Rows fetched before execution", false},
		"session":    {readSession, []any{digest(token), now, now}, "Rows fetched before execution", false},
		"user":       {readUser + "email = ?", []any{user.Email}, "Rows fetched before execution", false},
		"search":     {statement, slices.Concat([]any{500}, args, []any{21}), "Full-text index search on post_search using words", true},
		"with runs":  {runs, slices.Concat([]any{500}, runArgs, []any{21}), "Full-text index search on post_search using", true},
		"as before":  {old, slices.Concat([]any{500}, oldArgs, []any{21}), "Full-text index search on posts using words", true},
	} {
		t.Run("plan of "+name, func(t *testing.T) {
			var plan string
			if err := db.pool.QueryRow("EXPLAIN FORMAT=TREE "+test.statement, test.args...).Scan(&plan); err != nil {
				t.Fatal(err)
			}
			looked := sorted.ReplaceAllString(strings.ReplaceAll(plan, "Index range scan", ""), "")
			if !strings.Contains(plan, test.want) || bad.MatchString(looked) || test.sorts != strings.Contains(plan, "Sort") {
				t.Errorf("%s\n%s", test.statement, plan)
			}
		})
	}
	t.Run("a page for somebody signed in is two statements", func(t *testing.T) {
		db.pool.SetMaxOpenConns(1) // the server counts per connection
		defer db.pool.SetMaxOpenConns(poolSize)
		questions := func() (n int) {
			var name string
			if err := db.pool.QueryRow("SHOW SESSION STATUS LIKE 'Questions'").Scan(&name, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := questions()
		if _, err := db.Session(t.Context(), token); err != nil {
			t.Error(err)
		}
		posts, _, err := db.List(t.Context(), app.Page{Size: app.MaxPageSize})
		if err != nil || len(posts) != app.MaxPageSize || posts[0].Author != "Ada" {
			t.Errorf("%d posts, %v", len(posts), err)
		}
		if n := questions() - before - 1; n != 2 { // not counting this query itself
			t.Errorf("the server saw %d statements, want 2", n)
		}
	})
}

func testDatabaseAway(t *testing.T, direct *DB, config Config) {
	if _, err := direct.fill(t.Context()); err != nil { // so that nothing else is written through the proxy
		t.Fatal(err)
	}
	through := newProxy(t, config.Address)
	config.Address = through.address()
	db, err := Open(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ada := newUser(t, db, "Ada")
	token := newDigest()

	t.Run("reads and writes wait for a database that is away", func(t *testing.T) {
		title, once := rand.Text(), newOnce()
		through.setAway(true)
		time.AfterFunc(time.Second, func() { through.setAway(false) })
		began := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			if _, _, err := db.List(t.Context(), app.Page{Size: 1}); err != nil {
				t.Errorf("a read: %v", err)
			}
		})
		all.Go(func() {
			if _, err := db.Create(t.Context(), once, ada.ID, app.Draft{Title: title, Body: "x"}); err != nil {
				t.Errorf("a write: %v", err)
			}
		})
		all.Go(func() {
			if err := db.StartSession(t.Context(), ada.ID, ada.PasswordHash, app.SignIn{Token: token}); err != nil {
				t.Errorf("a sign-in: %v", err)
			}
		})
		all.Wait()
		if took := time.Since(began); took < time.Second || took > 3*time.Second {
			t.Errorf("the calls took %s, want little more than a second", took)
		}
		if n := count(t, direct, "SELECT COUNT(*) FROM posts WHERE title = ?", title); n != 1 {
			t.Errorf("there are %d posts, want 1", n)
		}
	})
	t.Run("a caller's own limit ends the wait", func(t *testing.T) {
		through.setAway(true)
		defer through.setAway(false)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := db.Get(ctx, 1)
		wantCode(t, "a read", err, app.Unavailable)
		if strings.Contains(err.Error(), "took too long") {
			t.Errorf("got %v, want that the database cannot be reached", err)
		}
	})
	t.Run("a commit whose answer is lost is settled, and not guessed", func(t *testing.T) {
		ctx := t.Context()
		title := rand.Text()
		through.loseAnswerTo("COMMIT")
		_, err := db.Create(ctx, app.Once{}, ada.ID, app.Draft{Title: title, Body: "x"})
		wantCode(t, "a post without a key", err, app.Unavailable)
		if n := count(t, direct, "SELECT COUNT(*) FROM posts WHERE title = ?", title); n != 1 {
			t.Errorf("without a key there are %d posts, want 1", n)
		}
		for _, settled := range []struct {
			what string
			call func() error
		}{
			{"a post", func() error {
				title := rand.Text()
				post, err := db.Create(ctx, newOnce(), ada.ID, app.Draft{Title: title, Body: "x"})
				if n := count(t, direct, "SELECT COUNT(*) FROM posts WHERE id = ? AND title = ?", post.ID, title); err == nil && n != 1 {
					return fmt.Errorf("there are %d posts, want 1", n)
				}
				if n := count(t, direct, "SELECT COUNT(*) FROM posts WHERE title = ?", title); err == nil && n != 1 {
					return fmt.Errorf("there are %d posts of that title, want 1", n)
				}
				return err
			}},
			{"an account", func() error {
				return db.CreateUser(ctx, newOnce(), app.User{Email: rand.Text() + "@example.com", Name: "x", PasswordHash: "x"})
			}},
			{"a deleted post", func() error {
				post, err := direct.Create(ctx, newOnce(), ada.ID, app.Draft{Title: "x", Body: "x"})
				if err != nil {
					return err
				}
				return db.Delete(ctx, ada.ID, post.ID)
			}},
			{"a new password", func() error {
				user := newUser(t, direct, "x")
				return db.ChangePassword(ctx, user.ID, user.PasswordHash, "new", newSignIn())
			}},
			{"a session", func() error {
				return db.StartSession(ctx, ada.ID, ada.PasswordHash, newSignIn())
			}},
			{"a deleted account", func() error { // last, because removing its rows also commits, in the background
				user := newUser(t, direct, "x")
				return db.DeleteUser(ctx, user.ID, user.PasswordHash)
			}},
		} {
			through.loseAnswerTo("COMMIT")
			if err := settled.call(); err != nil {
				t.Errorf("%s: %v", settled.what, err)
			}
			if !through.lost() {
				t.Errorf("%s: no COMMIT was lost", settled.what)
			}
		}
	})
	t.Run("a transaction that is cut off before its commit is repeated", func(t *testing.T) {
		title := rand.Text()
		through.loseAnswerTo("INSERT INTO `posts`")
		if _, err := db.Create(t.Context(), app.Once{}, ada.ID, app.Draft{Title: title, Body: "x"}); err != nil {
			t.Error(err)
		}
		if n := count(t, direct, "SELECT COUNT(*) FROM posts WHERE title = ?", title); n != 1 || !through.lost() {
			t.Errorf("there are %d posts, want 1; cut off %t", n, through.lost())
		}
	})
}

func newDigest() (d app.Digest) {
	rand.Read(d[:])
	return d
}

func newSignIn() app.SignIn { return app.SignIn{Token: newDigest(), Device: newDigest()} }

func newOnce() app.Once { return app.Once{Key: newDigest(), Request: newDigest()} }

func newUser(t *testing.T, db *DB, name string) app.User {
	t.Helper()
	user := app.User{Email: "a" + rand.Text() + "@example.com", Name: name, PasswordHash: "$argon2id$" + rand.Text()}
	if err := db.CreateUser(t.Context(), newOnce(), user); err != nil {
		t.Fatal(err)
	}
	made, err := db.UserByEmail(t.Context(), user.Email)
	if err != nil {
		t.Fatal(err)
	}
	user.ID, user.CreatedAt = made.ID, made.CreatedAt
	if made != user || made.CreatedAt.IsZero() {
		t.Errorf("made %+v, read %+v", user, made)
	}
	return made
}

func exec(t *testing.T, db *DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.pool.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func count(t *testing.T, db *DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.pool.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func wantCode(t *testing.T, what string, err error, want app.Code) {
	t.Helper()
	if err == nil || app.AsError(err).Code != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within 5 s: %s", what)
			return
		}
	}
}

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The whole life of an account over the API, from the first visit until nothing of it is left.
func TestTheLifeOfAnAccountAndItsPosts(t *testing.T) {
	t.Parallel()
	ada := newVisitor(t, site)
	if who := ada.signedIn(); who != nil {
		t.Fatalf("a stranger is signed in as %+v", who)
	}
	ada.signUp()
	if who := ada.signedIn(); who != nil {
		t.Fatalf("signing up signed %+v in", who)
	}
	ada.signIn()
	me := ada.signedIn()
	if me == nil || me.Email != ada.email || me.Name != ada.name || me.ID == 0 {
		t.Fatalf("signed in as %+v, want %s, %s", me, ada.email, ada.name)
	}

	// she writes
	created := ada.ask("POST", "/api/v1/posts", object{"title": "First " + ada.word, "body": "One.\n\nTwo: äöü, 日本語, 👩‍💻, <b>&amp;"}, "Idempotency-Key: the life of "+ada.word)
	first := decode[post](ada, http.StatusCreated, created)
	path := fmt.Sprintf("/api/v1/posts/%d", first.ID)
	if got := created.header.Get("Location"); got != path {
		t.Errorf("Location %q, want %q", got, path)
	}
	if first.Author.ID != me.ID || first.Author.Name != me.Name || first.Body != "One.\n\nTwo: äöü, 日本語, 👩‍💻, <b>&amp;" || first.CreatedAt != first.UpdatedAt {
		t.Errorf("written: %s", created.body)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z", first.CreatedAt); err != nil {
		t.Error(err)
	}
	if got := ada.ask("GET", path, nil); got.status != http.StatusOK || got.body != created.body {
		t.Errorf("read back: %d %s; it was written as %s", got.status, got.body, created.body)
	}
	if got := ada.found(); len(got) != 1 || got[0].ID != first.ID {
		t.Errorf("the search for %s finds %+v", ada.word, got)
	}

	// she edits
	edited := decode[post](ada, http.StatusOK, ada.ask("PUT", path, object{"title": "Edited " + ada.word, "body": "Other words."}))
	if edited.ID != first.ID || edited.Title != "Edited "+ada.word || edited.Body != "Other words." || edited.CreatedAt != first.CreatedAt || edited.UpdatedAt <= first.UpdatedAt {
		t.Errorf("edited: %+v, was %+v", edited, first)
	}
	second := ada.write("Second")

	// others may read it, but nothing more
	eve := newMember(t, site)
	eves := eve.write("By somebody else")
	for _, attempt := range []reply{eve.ask("PUT", path, object{"title": "Mine", "body": "Mine."}), eve.ask("DELETE", path, nil)} {
		eve.want(http.StatusForbidden, attempt)
	}
	stranger := newVisitor(t, site)
	for _, attempt := range []reply{
		stranger.ask("PUT", path, object{"title": "Mine", "body": "Mine."}), stranger.ask("DELETE", path, nil), stranger.ask("POST", "/api/v1/posts", object{"title": "Mine", "body": "Mine."}),
		stranger.ask("PATCH", "/api/v1/account", object{"name": "Nobody"}), stranger.ask("PUT", "/api/v1/account/password", object{"current": ada.password, "new": "another password"}),
		stranger.ask("POST", "/api/v1/account/deletion", object{"password": ada.password}),
	} {
		stranger.want(http.StatusUnauthorized, attempt)
	}
	if got := decode[post](ada, http.StatusOK, ada.ask("GET", path, nil)); got != edited {
		t.Errorf("after others tried to change it, the post is %+v; it was %+v", got, edited)
	}

	// she changes her name, and her posts show it
	if got := decode[struct{ Name string }](ada, http.StatusOK, ada.ask("PATCH", "/api/v1/account", object{"name": "Countess " + ada.word})); got.Name != "Countess "+ada.word {
		t.Errorf("renamed: %+v", got)
	}
	for _, one := range ada.found() {
		if one.Author.Name != "Countess "+ada.word {
			t.Errorf("post %d is by %+v", one.ID, one.Author)
		}
	}

	// she removes a post
	ada.want(http.StatusNoContent, ada.ask("DELETE", path, nil))
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		var body any
		if method == "PUT" {
			body = object{"title": "Gone", "body": "Gone."}
		}
		ada.want(http.StatusNotFound, ada.ask(method, path, body))
	}
	if got := ada.found(); len(got) != 1 || got[0].ID != second.ID {
		t.Errorf("after one of two posts was removed, the search finds %+v", got)
	}

	// a new password ends her sessions elsewhere, and only those
	phone := ada.elsewhere()
	phone.signIn()
	wrong := decode[problem](ada, http.StatusUnprocessableEntity, ada.ask("PUT", "/api/v1/account/password", object{"current": "not her password", "new": "another password"}))
	if !wrong.names("current") {
		t.Errorf("with a wrong current password: %+v", wrong)
	}
	if phone.signedIn() == nil {
		t.Error("a wrong current password signed the phone out")
	}
	old := ada.password
	ada.password = "another password, " + ada.word
	ada.want(http.StatusNoContent, ada.ask("PUT", "/api/v1/account/password", object{"current": old, "new": ada.password}))
	if ada.signedIn() == nil {
		t.Error("changing the password signed her out in the browser where she changed it")
	}
	if who := phone.signedIn(); who != nil {
		t.Errorf("after the password was changed, the phone is still signed in as %+v", who)
	}
	phone.want(http.StatusUnauthorized, phone.ask("PUT", "/api/v1/session", object{"email": ada.email, "password": old}))
	phone.password = ada.password
	phone.signIn()

	// she sees where she is signed in and ends a session that she does not recognize; others cannot
	type listed struct {
		ID, Browser string
		Current     bool
	}
	list := func(v *visitor) []listed {
		return decode[struct{ Sessions []listed }](v, http.StatusOK, v.ask("GET", "/api/v1/sessions", nil)).Sessions
	}
	lost := ada.elsewhere()
	lost.want(http.StatusOK, lost.ask("PUT", "/api/v1/session", object{"email": ada.email, "password": ada.password}, "User-Agent: Mozilla/5.0 (Android 16) Firefox/150.0"))
	all := list(ada)
	if len(all) != 3 || all[0].Browser != "Firefox on Android" || all[0].Current {
		t.Fatalf("the list of three browsers is %+v", all)
	}
	eve.want(http.StatusNotFound, eve.ask("DELETE", "/api/v1/sessions/"+all[0].ID, nil))
	ada.want(http.StatusNoContent, ada.ask("DELETE", "/api/v1/sessions/"+all[0].ID, nil))
	if who := lost.signedIn(); who != nil {
		t.Errorf("the session that was ended is still signed in as %+v", who)
	}
	if left := list(ada); len(left) != 2 || phone.signedIn() == nil {
		t.Errorf("the sessions left are %+v", left)
	}

	// she signs out, and her old cookie is worthless
	had := phone.cookie
	phone.want(http.StatusNoContent, phone.ask("DELETE", "/api/v1/session", nil))
	if phone.cookie != "" {
		t.Errorf("signing out left the cookie %s", phone.cookie)
	}
	phone.cookie = had
	if who := phone.signedIn(); who != nil {
		t.Errorf("after signing out, the old cookie is still signed in as %+v", who)
	}

	// she deletes her account, and nothing of her is left
	refused := decode[problem](ada, http.StatusUnprocessableEntity, ada.ask("POST", "/api/v1/account/deletion", object{"password": old}))
	if !refused.names("password") || ada.signedIn() == nil {
		t.Errorf("deletion with a wrong password: %+v", refused)
	}
	ada.want(http.StatusNoContent, ada.ask("POST", "/api/v1/account/deletion", object{"password": ada.password}))
	if ada.cookie != "" || ada.device != "" {
		t.Errorf("after the deletion, the cookies are %s and %s", ada.cookie, ada.device)
	}
	ada.want(http.StatusUnauthorized, ada.ask("PUT", "/api/v1/session", object{"email": ada.email, "password": ada.password}))
	if got := ada.found(); len(got) > 0 {
		t.Errorf("the search still finds %+v", got)
	}
	for table, column := range map[string]string{"users": "id", "sessions": "user_id", "devices": "user_id", "posts": "user_id", "idempotency_keys": "user_id"} {
		if left := site.rows(t, fmt.Sprintf("%s WHERE %s = %d", table, column, me.ID)); left != 0 {
			t.Errorf("%d rows of %s are left", left, table)
		}
	}
	for line := range strings.Lines(site.dump(t)) {
		if strings.Contains(line, ada.word) {
			t.Errorf("something of her is left in %.60s ...", line)
		}
	}
	if got := decode[post](eve, http.StatusOK, eve.ask("GET", fmt.Sprintf("/api/v1/posts/%d", eves.ID), nil)); got.Title != eves.Title {
		t.Errorf("somebody else's post is %+v", got)
	}
}

// Each page ends where the next one begins, even while others write.
func TestPagesJoinWithoutGapOrOverlap(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	var written []int64
	for i := range 7 {
		written = append([]int64{v.write(fmt.Sprintf("Page %d", i)).ID}, written...)
	}
	for _, first := range []string{"/api/v1/search?limit=2&q=" + v.word, "/api/v1/search?limit=7&q=" + v.word, "/api/v1/posts?limit=3"} {
		t.Run(first, func(t *testing.T) {
			v := *v
			v.T = t
			var seen []int64
			last := int64(1) << 62
			for next := first; next != "" && last > written[len(written)-1]; {
				page := decode[struct {
					Posts []post
					Next  string
				}](&v, http.StatusOK, v.ask("GET", next, nil))
				if len(page.Posts) == 0 {
					t.Fatalf("%s is an empty page", next)
				}
				for _, one := range page.Posts {
					if one.ID >= last {
						t.Fatalf("%s: post %d comes after post %d", next, one.ID, last)
					}
					last = one.ID
					if one.Body == "Written by "+v.word+"." {
						seen = append(seen, one.ID)
					}
				}
				if strings.Contains(first, "search") && page.Next != "" && !strings.Contains(page.Next, v.word) {
					t.Fatalf("the page after %s is %q, which has lost the search terms", next, page.Next)
				}
				next = page.Next
			}
			if fmt.Sprint(seen) != fmt.Sprint(written) {
				t.Errorf("the pages hold %v; %v were written", seen, written)
			}
		})
	}
}

// A list shows the beginning of a long post and marks it as an excerpt; the post itself is complete, to the last character.
func TestAPostThatIsLongIsCutInLists(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	long := v.word + " " + strings.Repeat("ü👩", 9000)
	created := decode[post](v, http.StatusCreated, v.ask("POST", "/api/v1/posts", object{"title": strings.Repeat("é", 200), "body": long}))
	if created.Body != long || created.Excerpt {
		t.Errorf("the answer to the write holds %d of %d bytes, excerpt %t", len(created.Body), len(long), created.Excerpt)
	}
	whole := decode[post](v, http.StatusOK, v.ask("GET", fmt.Sprintf("/api/v1/posts/%d", created.ID), nil))
	if whole.Body != long || whole.Excerpt {
		t.Errorf("the post holds %d of %d bytes, excerpt %t", len(whole.Body), len(long), whole.Excerpt)
	}
	listed := v.found()
	if len(listed) != 1 || listed[0].Body != string([]rune(long)[:500]) || !listed[0].Excerpt {
		t.Errorf("in the list it is %+v", listed)
	}
}

// A search finds the posts with all its words in the title or the body, in upper or lower case. Characters that are
// operators to MySQL count as ordinary text.
func TestSearchFindsWords(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	v.write("Engines and flowers")
	v.write("Engines alone")
	for query, want := range map[string]string{
		v.word:                            "Engines alone, Engines and flowers",
		v.word + "+engines":               "Engines alone, Engines and flowers",
		v.word + "+FLOWERS":               "Engines and flowers",
		v.word + "+nothinglikethis":       "",
		v.word + "+-flowers":              "Engines and flowers", // not "all but flowers"
		`%22` + v.word + `%22`:            "Engines alone, Engines and flowers",
		`%2B%28` + v.word + `%29+%3C%3E~`: "Engines alone, Engines and flowers",
		v.word[:12]:                       "Engines alone, Engines and flowers", // an unfinished word finds it too
	} {
		page := decode[struct{ Posts []post }](v, http.StatusOK, v.ask("GET", "/api/v1/search?q="+query, nil))
		var titles []string
		for _, one := range page.Posts {
			titles = append(titles, one.Title)
		}
		if got := strings.Join(titles, ", "); got != want {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
	}
}

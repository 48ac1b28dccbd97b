package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listed is a session in the list that its owner sees.
type listed struct {
	ID, Browser string
	Current     bool
}

// sessions returns where the visitor is signed in, the session used last first.
func (v *visitor) sessions() []listed {
	v.Helper()
	return decode[struct{ Sessions []listed }](v, http.StatusOK, v.ask("GET", "/api/v1/sessions", nil)).Sessions
}

// Only a sign-in signs somebody in: a first visit does not, and neither does a sign-up.
func TestNobodyIsSignedInBeforeTheySignIn(t *testing.T) {
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
	if me := ada.signedIn(); me == nil || me.Email != ada.email || me.Name != ada.name || me.ID == 0 {
		t.Fatalf("signed in as %+v, want %s, %s", me, ada.email, ada.name)
	}
}

// A post is shown to the letter as it was written, under its author's name, and a search finds it.
func TestAPostIsShownAsItWasWritten(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	me := ada.signedIn()
	if me == nil {
		t.Fatal("not signed in")
	}
	const body = "One.\n\nTwo: äöü, 日本語, 👩‍💻, <b>&amp;"
	created := ada.ask("POST", "/api/v1/posts", object{"title": "First " + ada.word, "body": body}, "Idempotency-Key: a post of "+ada.word)
	first := decode[post](ada, http.StatusCreated, created)
	path := fmt.Sprintf("/api/v1/posts/%d", first.ID)
	if got := created.header.Get("Location"); got != path {
		t.Errorf("Location %q, want %q", got, path)
	}
	if first.Title != "First "+ada.word || first.Author.ID != me.ID || first.Author.Name != me.Name || first.Body != body || first.CreatedAt != first.UpdatedAt {
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
}

// An edit changes the words of a post and the time of its last change, and nothing else.
func TestAnEditedPostIsStillTheSamePost(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	first := ada.write("First")
	path := fmt.Sprintf("/api/v1/posts/%d", first.ID)
	edited := decode[post](ada, http.StatusOK, ada.ask("PUT", path, object{"title": "Edited " + ada.word, "body": "Other words."}))
	if edited.ID != first.ID || edited.Author != first.Author || edited.Title != "Edited "+ada.word || edited.Body != "Other words." || edited.CreatedAt != first.CreatedAt || edited.UpdatedAt <= first.UpdatedAt {
		t.Errorf("edited: %+v, was %+v", edited, first)
	}
	if got := decode[post](ada, http.StatusOK, ada.ask("GET", path, nil)); got != edited {
		t.Errorf("read back: %+v; it was edited to %+v", got, edited)
	}
}

// A removed post is nowhere to be found, and its author's other posts stay.
func TestARemovedPostIsGone(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	first, second := ada.write("First"), ada.write("Second")
	path := fmt.Sprintf("/api/v1/posts/%d", first.ID)
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
}

// Neither strangers nor other members can change what is somebody's: their posts, their account, their sessions.
func TestOthersMayOnlyRead(t *testing.T) {
	t.Parallel()
	ada, eve, stranger := newMember(t, site), newMember(t, site), newVisitor(t, site)
	hers := ada.write("Hers")
	path := fmt.Sprintf("/api/v1/posts/%d", hers.ID)
	session := ada.sessions()[0].ID
	for _, attempt := range []reply{eve.ask("PUT", path, object{"title": "Mine", "body": "Mine."}), eve.ask("DELETE", path, nil)} {
		eve.want(http.StatusForbidden, attempt)
	}
	eve.want(http.StatusNotFound, eve.ask("DELETE", "/api/v1/sessions/"+session, nil))
	for _, attempt := range []reply{
		stranger.ask("PUT", path, object{"title": "Mine", "body": "Mine."}), stranger.ask("DELETE", path, nil), stranger.ask("POST", "/api/v1/posts", object{"title": "Mine", "body": "Mine."}),
		stranger.ask("PATCH", "/api/v1/account", object{"name": "Nobody"}), stranger.ask("PUT", "/api/v1/account/password", object{"current": ada.password, "new": "another password"}),
		stranger.ask("POST", "/api/v1/account/deletion", object{"password": ada.password}),
	} {
		stranger.want(http.StatusUnauthorized, attempt)
	}
	for name, reader := range map[string]*visitor{"its author": ada, "another member": eve, "a stranger": stranger} {
		if got := decode[post](reader, http.StatusOK, reader.ask("GET", path, nil)); got != hers {
			t.Errorf("after others tried to change it, %s reads the post as %+v; it was %+v", name, got, hers)
		}
	}
	if who := ada.signedIn(); who == nil || who.Name != ada.name {
		t.Errorf("after others tried to change her account, she is signed in as %+v", who)
	}
}

func TestAnAuthorsNewNameIsShownOnEarlierPosts(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	ada.write("First")
	ada.write("Second")
	if got := decode[struct{ Name string }](ada, http.StatusOK, ada.ask("PATCH", "/api/v1/account", object{"name": "Countess " + ada.word})); got.Name != "Countess "+ada.word {
		t.Errorf("renamed: %+v", got)
	}
	posts := ada.found()
	if len(posts) != 2 {
		t.Errorf("of two posts, the search finds %+v", posts)
	}
	for _, one := range posts {
		if one.Author.Name != "Countess "+ada.word {
			t.Errorf("post %d is by %+v", one.ID, one.Author)
		}
	}
}

// changePassword gives the visitor another password, and returns the one before.
func (v *visitor) changePassword() (old string) {
	v.Helper()
	old, v.password = v.password, "another password, "+v.word
	v.want(http.StatusNoContent, v.ask("PUT", "/api/v1/account/password", object{"current": old, "new": v.password}))
	return old
}

// A new password ends the sessions in other browsers, and only those.
func TestANewPasswordEndsOtherSessions(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	phone := ada.elsewhere()
	phone.signIn()
	ada.changePassword()
	if ada.signedIn() == nil {
		t.Error("changing the password signed her out in the browser where she changed it")
	}
	if who := phone.signedIn(); who != nil {
		t.Errorf("after the password was changed, the phone is still signed in as %+v", who)
	}
}

// Once the password is changed, the new one opens the account, and the old one nothing.
func TestANewPasswordTakesThePlaceOfTheOldOne(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	old := ada.changePassword()
	phone := ada.elsewhere()
	phone.want(http.StatusUnauthorized, phone.ask("PUT", "/api/v1/session", object{"email": ada.email, "password": old}))
	if refused := decode[problem](ada, http.StatusUnprocessableEntity, ada.ask("POST", "/api/v1/account/deletion", object{"password": old})); !refused.names("password") {
		t.Errorf("deletion with the old password: %+v", refused)
	}
	phone.signIn()
}

// Without the current password, nobody changes the password or deletes the account, even in a browser that is signed in.
func TestAWrongPasswordChangesNothing(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	phone := ada.elsewhere()
	phone.signIn()
	for _, attempt := range []struct {
		method, path, field string
		body                object
	}{
		{"PUT", "/api/v1/account/password", "current", object{"current": "not her password", "new": "another password"}},
		{"POST", "/api/v1/account/deletion", "password", object{"password": "not her password"}},
	} {
		if refused := decode[problem](ada, http.StatusUnprocessableEntity, ada.ask(attempt.method, attempt.path, attempt.body)); !refused.names(attempt.field) {
			t.Errorf("%s %s with a wrong password: %+v", attempt.method, attempt.path, refused)
		}
		if ada.signedIn() == nil || phone.signedIn() == nil {
			t.Errorf("%s %s with a wrong password signed a browser out", attempt.method, attempt.path)
		}
	}
	ada.elsewhere().signIn() // with the password that she has
}

// People see in which browsers they are signed in, and end a session that they do not recognize.
func TestASessionIsEndedFromAnotherBrowser(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	phone, lost := ada.elsewhere(), ada.elsewhere()
	phone.signIn()
	lost.want(http.StatusOK, lost.ask("PUT", "/api/v1/session", object{"email": ada.email, "password": ada.password}, "User-Agent: Mozilla/5.0 (Android 16) Firefox/150.0"))
	all := ada.sessions()
	if len(all) != 3 || all[0].Browser != "Firefox on Android" || all[0].Current {
		t.Fatalf("the list of three browsers is %+v", all)
	}
	ada.want(http.StatusNoContent, ada.ask("DELETE", "/api/v1/sessions/"+all[0].ID, nil))
	if who := lost.signedIn(); who != nil {
		t.Errorf("the session that was ended is still signed in as %+v", who)
	}
	if left := ada.sessions(); len(left) != 2 || phone.signedIn() == nil {
		t.Errorf("the sessions left are %+v", left)
	}
}

func TestSigningOutMakesTheCookieWorthless(t *testing.T) {
	t.Parallel()
	ada := newMember(t, site)
	had := ada.cookie
	ada.want(http.StatusNoContent, ada.ask("DELETE", "/api/v1/session", nil))
	if ada.cookie != "" {
		t.Errorf("signing out left the cookie %s", ada.cookie)
	}
	ada.cookie = had
	if who := ada.signedIn(); who != nil {
		t.Errorf("after signing out, the old cookie is still signed in as %+v", who)
	}
}

// Whatever somebody has done on the site, once their account is deleted, nothing of them is left. What others wrote stays.
func TestADeletedAccountLeavesNothing(t *testing.T) {
	t.Parallel()
	ada, eve := newMember(t, site), newMember(t, site)
	me := ada.signedIn()
	if me == nil {
		t.Fatal("not signed in")
	}
	eves := eve.write("By somebody else")

	// traces in every table: posts that were edited and removed, an earlier name and password, another browser
	for _, title := range []string{"Edited", "Removed"} {
		created := ada.ask("POST", "/api/v1/posts", object{"title": title + " " + ada.word, "body": "Written by " + ada.word + "."}, "Idempotency-Key: "+title+" by "+ada.word)
		ada.want(http.StatusCreated, created)
		path := created.header.Get("Location")
		if title == "Edited" {
			ada.want(http.StatusOK, ada.ask("PUT", path, object{"title": "Other words of " + ada.word, "body": "Other words."}))
		} else {
			ada.want(http.StatusNoContent, ada.ask("DELETE", path, nil))
		}
	}
	ada.want(http.StatusOK, ada.ask("PATCH", "/api/v1/account", object{"name": "Countess " + ada.word}))
	ada.changePassword()
	phone := ada.elsewhere()
	phone.signIn()

	ada.want(http.StatusNoContent, ada.ask("POST", "/api/v1/account/deletion", object{"password": ada.password}))
	if ada.cookie != "" || ada.device != "" {
		t.Errorf("after the deletion, the cookies are %s and %s", ada.cookie, ada.device)
	}
	if who := phone.signedIn(); who != nil {
		t.Errorf("after the deletion, the phone is still signed in as %+v", who)
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
			v := v.as(t)
			var seen []int64
			last := int64(1) << 62
			for next := first; next != "" && last > written[len(written)-1]; {
				page := decode[struct {
					Posts []post
					Next  string
				}](v, http.StatusOK, v.ask("GET", next, nil))
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

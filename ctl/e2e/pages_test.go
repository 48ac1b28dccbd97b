package e2e

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// signUp creates an account by typing and clicking, which leaves its owner signed in on the home page.
func (t *tab) signUp(who *visitor) {
	t.Helper()
	t.open("/sign-up")
	t.fill("#sign-up [name=email]", who.email)
	t.fill("#sign-up [name=name]", who.name)
	t.fill("#sign-up [name=password]", who.password)
	t.press("#sign-up [type=submit]")
	t.arrives("/")
	t.becomes(says("#session", who.name))
}

// arrives waits until the browser has reached a path and its page has settled.
func (t *tab) arrives(path string) {
	t.Helper()
	t.becomes(fmt.Sprintf("location.pathname === %q && ", path) + settled)
}

// says returns a JavaScript expression that is true if the first element matching selector shows text.
func says(selector, text string) string {
	return fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text)
}

// gone returns a JavaScript expression that is true if no element matching selector is visible.
func gone(selector string) string {
	return fmt.Sprintf("![...document.querySelectorAll(%q)].some((one) => one.checkVisibility())", selector)
}

// Two people use the site at the same time, each in a separate browser, by typing and clicking. They sign up, write, edit,
// search, see mistakes explained at the field that is wrong, and sign out. Neither can change the other's posts. One uses
// http, like somebody whose machine does not trust the authority yet, and the other https.
func TestPeopleUseTheSite(t *testing.T) {
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tabs := []*tab{newBrowser(t, site), newBrowser(t, site, authority)}
	people := make([]*visitor, len(tabs))
	for i := range tabs {
		people[i] = newVisitor(t, site)
		tabs[i].signUp(people[i])
	}
	paths := make([]string, len(tabs)) // of each person's post
	t.Run("post, edit, search", func(t *testing.T) {
		for i, me := range people {
			t.Run(fmt.Sprintf("browser %d", i+1), func(t *testing.T) {
				t.Parallel()
				tab := tabs[i].as(t)
				tab.fill("#write [name=title]", "Seen by hand "+me.word)
				tab.fill("#write [name=body]", "One line.")
				tab.press("#write [type=submit]")
				tab.becomes(says("#posts article", "Seen by hand "+me.word))
				if by := tab.text("#posts article"); !strings.Contains(by, me.name) || !strings.Contains(by, "One line.") {
					t.Errorf("the post on the home page: %q", by)
				}
				tab.becomes(`document.querySelector("#write [name=title]").value === ""`)

				tab.press("#posts article a")
				tab.becomes(`location.pathname.startsWith("/posts/") && ` + settled)
				paths[i] = see(tab, chromedp.Evaluate[string]("location.pathname"))
				tab.becomes(says("#post", "Seen by hand "+me.word))
				tab.press("#post-edit")
				tab.fill("#edit [name=title]", "Edited by hand "+me.word)
				tab.fill("#edit [name=body]", "Another line, <b>not bold</b> & 'quoted'.")
				tab.press("#edit [type=submit]")
				tab.becomes(says("#post", "Edited by hand "+me.word) + " && " + says("#post", "Another line, <b>not bold</b> & 'quoted'."))

				tab.open("/search")
				tab.fill("#search-form [name=q]", me.word)
				tab.press("#search-form [type=submit]")
				tab.becomes(says("#results article", "Edited by hand "+me.word))
				if count := see(tab, chromedp.Evaluate[int](`document.querySelectorAll("#results article").length`)); count != 1 {
					t.Errorf("the search finds %d posts", count)
				}
				if bold := see(tab, chromedp.Evaluate[int](`document.querySelectorAll("article b").length`)); bold != 0 {
					t.Error("what somebody wrote has become markup of the page")
				}
				if said := tab.console(); len(said) > 0 {
					t.Errorf("the console: %q", said)
				}
			})
		}
	})
	if t.Failed() {
		return
	}

	t.Run("look at each other's posts", func(t *testing.T) {
		for i, tab := range tabs {
			tab, other := tab.as(t), people[1-i]
			tab.open(paths[1-i])
			tab.becomes(says("#post", "Edited by hand "+other.word))
			tab.becomes(gone("#post-edit, #post-delete, #edit"))
			tab.becomes(says("#session", people[i].name))
			answer := see(tab, chromedp.Evaluate[[]int](`Promise.all([
				fetch("/api/v1"+location.pathname, { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ title: "Mine", body: "Mine" }) }),
				fetch("/api/v1"+location.pathname, { method: "DELETE" }),
			]).then((all) => all.map((one) => one.status))`, chromedp.EvalAwaitPromise))
			if fmt.Sprint(answer) != "[403 403]" {
				t.Errorf("changing somebody else's post is answered with %v", answer)
			}
			_ = tab.console() // which reports the two refusals
		}
	})

	t.Run("see mistakes explained at the field", func(t *testing.T) {
		tab := tabs[0].as(t)
		tab.open("/account")
		for _, wrong := range []struct {
			name, form string
			fields     [][2]string
			at         string
		}{
			{"an empty name", "#account-name", [][2]string{{"name", "  "}}, "name"},
			{"a wrong password", "#account-password", [][2]string{{"current", "not my password"}, {"new", "another password"}}, "current"},
			{"a short password", "#account-password", [][2]string{{"current", people[0].password}, {"new", "short"}}, "new"},
		} {
			for _, field := range wrong.fields {
				tab.fill(wrong.form+" [name="+field[0]+"]", field[1])
			}
			tab.press(wrong.form + " [type=submit]")
			tab.becomes(fmt.Sprintf(`(() => {
				const input = document.querySelector("%[1]s [name=%[2]s]");
				const error = document.getElementById(input.getAttribute("aria-describedby")?.split(" ")[0]);
				return input.ariaInvalid === "true" && document.activeElement === input && error?.matches(".error") && error.checkVisibility() && error.innerText.trim() &&
					Math.abs(error.getBoundingClientRect().top - input.getBoundingClientRect().bottom) < 60;
			})()`, wrong.form, wrong.at))
			if others := see(tab, chromedp.Evaluate[int](fmt.Sprintf(`document.querySelectorAll('%s [aria-invalid="true"]').length`, wrong.form))); others != 1 {
				t.Errorf("%s: %d fields are marked", wrong.name, others)
			}
			tab.audit("with " + wrong.name)
		}
		_ = tab.console() // which reports the answer 422
	})

	t.Run("see where they are signed in, and sign another browser out", func(t *testing.T) {
		tab, me := tabs[0].as(t), people[0].as(t)
		me.want(http.StatusOK, me.ask("PUT", "/api/v1/session", object{"email": me.email, "password": me.password},
			"User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Version/26.0 Safari/604.1"))
		tab.open("/account")
		tab.becomes(`document.querySelectorAll("#session-list li").length === 2`)
		if said := tab.text("#session-list"); !strings.Contains(said, "this browser") || !strings.Contains(said, "Safari on iPhone") {
			t.Errorf("the list: %q", said)
		}
		tab.audit("the list of sessions")
		tab.screenshot("account")
		tab.press("#session-list button")
		tab.becomes(`document.querySelectorAll("#session-list li").length === 1 && document.activeElement.id === "sessions-title" && ` + says("#account-sessions", "Safari on iPhone is signed out."))
		if who := me.signedIn(); who != nil {
			t.Errorf("the other browser is still signed in as %+v", who)
		}
		if said := tab.console(); len(said) > 0 {
			t.Errorf("the console: %q", said)
		}
	})

	t.Run("are told at sign-up that an address is taken", func(t *testing.T) {
		tab := tabs[0].stranger(t)
		tab.open("/sign-up")
		for field, text := range map[string]string{"email": people[0].email, "name": "Somebody", "password": "password123"} {
			tab.fill("#sign-up [name="+field+"]", text)
		}
		tab.press("#sign-up [type=submit]")
		tab.becomes(says("#password-error", "common password"))
		tab.fill("#sign-up [name=password]", "a password of "+people[0].word)
		tab.press("#sign-up [type=submit]")
		tab.becomes(says("#email-error", "has an account already") + ` && document.querySelector("#sign-up .problem a[href='/sign-in']")?.checkVisibility()`)
		tab.audit("with an address that is taken")
		tab.screenshot("sign-up-taken")
		_ = tab.console() // which reports the answers 422 and 409
	})

	t.Run("change name and password, sign out and in", func(t *testing.T) {
		tab, me := tabs[1].as(t), people[1]
		tab.open("/account")
		tab.fill("#account-name [name=name]", "Renamed "+me.word)
		tab.press("#account-name [type=submit]")
		tab.becomes(says("#session", "Renamed "+me.word))
		tab.fill("#account-password [name=current]", me.password)
		tab.fill("#account-password [name=new]", "another password of "+me.word)
		tab.press("#account-password [type=submit]")
		tab.becomes(says("#account-password [role=status]", "changed"))
		tab.press("#sign-out")
		tab.becomes("!" + says("#session", me.word) + ` && document.querySelector("#session.known") && location.pathname === "/"`)
		tab.open("/sign-in")
		tab.fill("#sign-in [name=email]", me.email)
		tab.fill("#sign-in [name=password]", me.password)
		tab.press("#sign-in [type=submit]")
		tab.becomes(`document.querySelector("#sign-in").innerText.includes("wrong")`)
		tab.fill("#sign-in [name=password]", "another password of "+me.word)
		do(tab, chromedp.KeyEvent("\r")) // Enter sends a form too
		tab.arrives("/")
		tab.becomes(says("#session", "Renamed "+me.word))
		_ = tab.console() // which reports the answer 401
	})

	t.Run("delete a post and the account", func(t *testing.T) {
		tab, me := tabs[1].as(t), people[1]
		tab.open(paths[1])
		tab.press("#post-delete")
		tab.press("#confirm [value=yes]")
		tab.becomes(says("#post", "deleted"))
		tab.open("/account")
		tab.fill("#account-delete [name=password]", "another password of "+me.word)
		tab.press("#account-delete [type=submit]")
		tab.press("#confirm [value=yes]")
		tab.becomes(says("#account", "deleted") + " && !" + says("#session", me.word))
		tab.open("/")
		tab.becomes("!" + says("#session", me.word))
		if said := tab.console(); len(said) > 0 {
			t.Errorf("the console: %q", said)
		}
		other := tabs[0].as(t)
		other.open(paths[0])
		other.becomes(says("#post", "Edited by hand "+people[0].word) + " && " + says("#session", people[0].name))
		if left := site.rows(t, "users WHERE email = '"+me.email+"'"); left != 0 {
			t.Error("the account is still there")
		}
	})
}

// as returns the same tab for a subtest.
func (t *tab) as(part *testing.T) *tab {
	one := *t
	one.T = part
	return &one
}

// What each page owes its readers. A browser takes seconds to start, so all of these tests share one, each as a new
// stranger.
func TestPages(t *testing.T) {
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	browser := newBrowser(t, site, authority)
	for _, promise := range []struct {
		name string
		test func(*testing.T, *tab)
	}{
		{"the journey is drawn for the visitor", theJourneyIsDrawnForTheVisitor},
		{"every page is for everyone", everyPageIsForEveryone},
		{"the keyboard is enough", theKeyboardIsEnough},
		{"pages say something without scripts", pagesSaySomethingWithoutScripts},
		{"a first visit is light", aFirstVisitIsLight},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(t, browser) })
	}
}

// The panel shows how long each part of the journey took for the visitor's own last request, and is updated as the visitor
// works.
func theJourneyIsDrawnForTheVisitor(t *testing.T, browser *tab) {
	tab, me := browser.stranger(t), newMember(t, site)
	tab.open("/")
	filled := `[...document.querySelectorAll("#journey [data-figure]")].length >= 6 && ["first-byte", "web"].every((name) => /\d/.test(document.querySelector("#journey [data-figure=" + name + "]").textContent))`
	tab.becomes(filled)
	for part, version := range map[string]string{"dns": `1\.\d+`, "web": `1\.\d+`, "app": `\d+\.\d+`, "db": `9\.\d+`} {
		tab.becomes(fmt.Sprintf("/%s/.test(document.querySelector('#journey [data-part=%s]').innerText)", version, part))
	}
	tab.becomes(says("#spoken", "HTTP/2 over TLS") + " && " + says("#tls-agreed", "TLS 1.3, key exchange X25519MLKEM768, cipher TLS_AES_"))
	tab.becomes(says("#certificate", "of foobar.com, www.foobar.com") + " && " + says("#certificate", "by oneserver of foobar.com") + " && " + says("#certificate", "days left"))
	tab.becomes(says("[data-note=handshake]", "the page itself took"))                    // the script's own requests come over the page's connection
	tab.becomes(says("#records", "CNAME") + " && " + says("#records", site.subnet+".80")) // as dns answers inside the network, where the application asks it

	tab.open("/sign-in")
	tab.fill("#sign-in [name=email]", me.email)
	tab.fill("#sign-in [name=password]", me.password)
	tab.press("#sign-in [type=submit]")
	tab.arrives("/")
	tab.fill("#write [name=title]", "On its way "+me.word)
	tab.fill("#write [name=body]", "Watched.")
	tab.press("#write [type=submit]")
	tab.becomes(says("#posts article", "On its way "+me.word))
	// The application itself answers every request of a signed-in visitor, so every part has a figure.
	tab.becomes(`document.querySelector("#journey").innerText.includes("POST") && ["first-byte", "web", "app", "db"].every((name) => /\d/.test(document.querySelector("#journey [data-figure=" + name + "]").textContent))`)
	tab.becomes(`document.querySelector("#journey").innerText.includes("` + replica(t) + `")`)
	tab.screenshot("journey")
	if said := tab.console(); len(said) > 0 {
		t.Errorf("the console: %q", said)
	}
}

// replica returns the name of the application's only replica: its container's host name.
func replica(t *testing.T) string {
	t.Helper()
	_, name := newVisitor(t, site).ask("GET", "/api/v1/session", nil).timed("app")
	if name == "" {
		t.Fatal("the application does not say its name")
	}
	return name
}

//go:embed browser/audit.js
var audit string

// audit looks for accessibility problems in what the tab shows now.
func (t *tab) audit(what string) {
	t.Helper()
	for _, wrong := range see(t, chromedp.Evaluate[[]string](audit)) {
		t.Errorf("%s: %s", what, wrong)
	}
}

// prefer tells the page that its reader prefers light or dark.
func prefer(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		return cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
	}
}

// Every page, as a stranger and as a member sees it, in both colour schemes, on a phone and on a desktop, can be used with a
// screen reader, a keyboard or large print. Nothing jumps while the page loads, and nothing is wider than the smallest
// screen.
func everyPageIsForEveryone(t *testing.T, browser *tab) {
	me := newMember(t, site)
	long := me.write("A title that is long enough to need more than one line on a phone, and with a word that is longer still: " + strings.Repeat("Donaudampfschiff", 4))
	own := fmt.Sprintf("/posts/%d", long.ID)
	for _, who := range []string{"a stranger", "a member"} {
		tab := browser.stranger(t)
		addresses := []string{"/", "/sign-up", "/sign-in", "/account", "/search", "/search?q=" + me.word, own, "/posts/999999999", "/api-docs", "/nothing"}
		if who == "a member" {
			tab.open("/sign-in")
			tab.fill("#sign-in [name=email]", me.email)
			tab.fill("#sign-in [name=password]", me.password)
			tab.press("#sign-in [type=submit]")
			tab.arrives("/")
			addresses = []string{"/", "/sign-up", "/sign-in", "/account", own}
		}
		for _, address := range addresses {
			what := address + " for " + who
			for _, width := range []int64{320, 1280} {
				do(tab, chromedp.EmulateViewport(width, 800), prefer("light"))
				tab.open(address)
				if wide := see(tab, chromedp.Evaluate[[]string](`(() => {
					const wide = document.documentElement.scrollWidth;
					if (wide <= innerWidth) return [];
					return [wide + " px", ...[...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map((one) => one.outerHTML.slice(0, 80))];
				})()`)); len(wide) > 0 {
					t.Errorf("%s is wider than %d px: %q", what, width, wide)
				}
				if jumps := see(tab, chromedp.Evaluate[float64](layoutShift, chromedp.EvalAwaitPromise)); jumps > 0.01 {
					t.Errorf("%s jumps while it loads at %d px: layout shift %.3f", what, width, jumps)
				}
				for _, scheme := range []string{"light", "dark"} {
					do(tab, prefer(scheme))
					tab.audit(fmt.Sprintf("%s, %d px, %s", what, width, scheme))
				}
			}
		}
		_ = tab.console() // which reports the answers 404
	}
}

// layoutShift adds up how far visible content has moved without the visitor's doing (W3C Layout Instability).
const layoutShift = `new Promise((resolve) => {
	let sum = 0;
	const count = (list) => { for (const entry of list) if (!entry.hadRecentInput) sum += entry.value; };
	const observer = new PerformanceObserver((list) => count(list.getEntries()));
	observer.observe({ type: "layout-shift", buffered: true });
	requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => { count(observer.takeRecords()); observer.disconnect(); resolve(sum); })));
})`

// The keyboard is enough: the first Tab offers to skip the navigation, and a form can be filled in and sent without a mouse.
func theKeyboardIsEnough(t *testing.T, browser *tab) {
	tab, me := browser.stranger(t), newMember(t, site)
	tab.open("/sign-in")
	do(tab, chromedp.KeyEvent("\t"))
	tab.becomes(`document.activeElement.matches("a.skip") && document.activeElement.getBoundingClientRect().top >= 0`)
	do(tab, chromedp.KeyEvent("\r"))
	tab.becomes(`document.activeElement.matches("main, main *")`)
	for tries := 0; see(tab, chromedp.Evaluate[string]("document.activeElement.name ?? ''")) != "email"; tries++ {
		if tries > 10 {
			t.Fatal("the keyboard does not reach the field")
		}
		do(tab, chromedp.KeyEvent("\t"))
	}
	do(tab, chromedp.KeyEvent(me.email+"\t"+me.password+"\r"))
	tab.arrives("/")
	tab.becomes(says("#session", me.name))
}

// Without scripts, every page still says what it is and where to go next.
func pagesSaySomethingWithoutScripts(t *testing.T, browser *tab) {
	tab := browser.stranger(t)
	do(tab, chromedp.Navigate("about:blank"), func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		return cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	})
	for _, address := range pages {
		do(tab, chromedp.Navigate(tab.origin+address))
		seen := see(tab, chromedp.Evaluate[struct {
			Words, Links, Disabled int
			Note                   string
		}](`({
			words: document.querySelector("main").innerText.trim().split(/\s+/).length,
			links: document.querySelectorAll("main a[href], main form[action]").length,
			note: document.querySelector("main noscript")?.innerText.trim() ?? "",
		})`))
		if seen.Words < 10 || seen.Links < 1 || seen.Note == "" && address != "/nothing" {
			t.Errorf("%s without scripts: %+v", address, seen)
		}
	}
	// without scripts, the search form still leads to the search page
	do(tab, chromedp.Navigate(tab.origin+"/search"))
	if method := see(tab, chromedp.Evaluate[string](`document.querySelector("#search-form").method + " " + new URL(document.querySelector("#search-form").action).pathname`)); method != "get /search" {
		t.Errorf("the search form is %q", method)
	}
}

// A first visit is light: few requests and little data, compressed.
func aFirstVisitIsLight(t *testing.T, browser *tab) {
	tab := browser.stranger(t)
	tab.open("/")
	type resource struct {
		Name               string
		Transfer, Encoded  int
		Decoded, OnTheWire int
	}
	var resources []resource
	for _, one := range see(tab, chromedp.Evaluate[[]resource](`[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
		.map(({ name, transferSize, encodedBodySize, decodedBodySize }) => ({ name: new URL(name).pathname, transfer: transferSize, encoded: encodedBodySize, decoded: decodedBodySize }))`)) {
		if !strings.HasPrefix(one.Name, "/api/") && one.Name != "/favicon.svg" {
			resources = append(resources, one)
		}
	}
	// The page's own list lacks the icon, which a headless browser does not request but all others do.
	icon := newVisitor(t, site).ask("GET", "/favicon.svg", nil)
	resources = append(resources, resource{Name: "/favicon.svg", Transfer: len(icon.body) + 500, Decoded: len(icon.body)})
	total := 0
	for _, one := range resources {
		total += one.Transfer
		if one.Decoded > 1500 && one.Encoded >= one.Decoded {
			t.Errorf("%s is not compressed: %d of %d bytes", one.Name, one.Encoded, one.Decoded)
		}
	}
	list, _ := json.Marshal(resources)
	t.Logf("%d requests, %d bytes: %s", len(resources), total, list)
	if len(resources) > 4 || total > 60_000 || total < 1000 {
		t.Errorf("%d requests, %d bytes; want at most 4 and 60 kB", len(resources), total)
	}
}

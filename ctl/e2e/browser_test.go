package e2e

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A person types http://www.foobar.com/ into a browser whose DNS server is the stack's, and reads what is in MySQL.
func TestAPersonTypesTheNameIntoABrowser(t *testing.T) {
	newScenario(t, site).When("a post is written", insertPost("Seen in a browser"))
	tab := newBrowser(t, site)

	response := see(tab, chromedp.NavigateResponse("http://www.foobar.com/"))
	if response.Status != 200 || response.RemoteIPAddress != site.subnet+".80" {
		t.Errorf("the page came from %s with status %d; want web's address, as dns gives it", response.RemoteIPAddress, response.Status)
	}
	do(tab, chromedp.WaitVisible(chromedp.CSS("#posts article")))
	if address := see(tab, chromedp.Location()); address != "http://www.foobar.com/" {
		t.Errorf("the browser is at %q", address)
	}
	shown := see(tab, chromedp.Evaluate[[]string](`[...document.querySelectorAll("#posts article h3")].map(title => title.textContent.trim())`))
	stored, err := site.sql(t.Context(), "app", "SELECT title FROM foobar.posts ORDER BY id DESC LIMIT 20")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(shown, "\n"); got != stored {
		t.Errorf("the page shows\n%s\nMySQL holds\n%s", got, stored)
	}
	tab.screenshot("home")
	if said := tab.console(); len(said) > 0 {
		t.Errorf("the browser's console: %q", said)
	}
}

// With the application down, the page still loads and says what is wrong.
func TestTheBrowserIsToldWhenTheApplicationIsAway(t *testing.T) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := site.compose(ctx, "up", "--detach", "--wait"); err != nil {
			t.Error(err)
		}
	})
	newScenario(t, site).
		When("app is stopped", compose("stop", "app")).
		Then(10*time.Second, check{"Nginx has no cached posts left", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
			got, err := newVisitor(t, c).try(ctx, "GET", "/api/v1/posts", nil)
			if err == nil && got.status != http.StatusServiceUnavailable {
				err = fmt.Errorf("it answers %d", got.status)
			}
			return err
		}})
	tab := newBrowser(t, site)
	do(tab, chromedp.Navigate("http://www.foobar.com/"), chromedp.WaitVisible(chromedp.CSS("#posts-problem")))
	if said := see(tab, chromedp.Text(chromedp.CSS("#posts-problem"))); strings.TrimSpace(said) == "" {
		t.Error("the page says nothing")
	}
	tab.screenshot("app-away")
}

// An error page looks like the rest of the site and offers a way back.
func TestTheBrowserShowsErrorPages(t *testing.T) {
	tab := newBrowser(t, site)
	for name, url := range map[string]string{"not-found": "http://www.foobar.com/nothing", "misdirected": "http://" + site.subnet + ".80/"} {
		do(tab, chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("h1")))
		if links := see(tab, chromedp.Evaluate[int]("document.querySelectorAll('main a[href]').length")); links == 0 {
			t.Errorf("%s leads nowhere", url)
		}
		if styled := see(tab, chromedp.Evaluate[bool]("document.styleSheets.length > 0 && document.styleSheets[0].cssRules.length > 0")); !styled {
			t.Errorf("%s has no style", url)
		}
		tab.screenshot(name)
	}
}

// tab is a page of a real browser, which runs in its own container on the stack's network.
type tab struct {
	*testing.T
	stack   *copyOfStack
	origin  string // the site's; https if the machine trusts the stack's own authority
	context context.Context
	console func() []string // errors and warnings since the last call
}

var browsers, screenshots atomic.Int32 // started so far, and left by tests that failed

// browserImage builds the image that browsers run in; the first run installs Chromium.
var browserImage = sync.OnceValue(func() error {
	_, err := site.output(running, "docker", "build", "--quiet", "--tag", "oneserver-browser", "ctl/e2e/browser")
	return err
})

// newBrowser starts a browser on a machine that also trusts these authorities; it is removed when the test ends.
func newBrowser(t *testing.T, stack *copyOfStack, trusted ...*x509.Certificate) *tab {
	t.Helper()
	if err := browserImage(); err != nil {
		t.Fatal(err)
	}
	policies := trusting(t, trusted)
	name := fmt.Sprintf("%s-browser-%d-%d", stack.project, os.Getpid(), browsers.Add(1))
	inContainer := func(cmd *exec.Cmd) { // chromedp would pass its pipe as descriptors 3 and 4, which docker does not forward
		docker := stack.command(context.Background(), "docker", append([]string{"run", "--rm", "--interactive", "--name", name,
			"--network", stack.project + "_default", "--dns", stack.subnet + ".53", "--cap-drop", "ALL", "--shm-size", "256m",
			"--volume", policies + ":/etc/chromium/policies/managed:ro", "oneserver-browser"}, cmd.Args[1:]...)...)
		cmd.Path, cmd.Args, cmd.Env = docker.Path, docker.Args, docker.Env
		cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = cmd.ExtraFiles[0], cmd.ExtraFiles[1], nil
	}
	t.Cleanup(func() { // it exits by itself when the pipe closes, unless it hangs
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = stack.command(ctx, "docker", "rm", "--force", name).Run()
	})

	allocator, cancelAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("docker"), chromedp.ModifyCmdFunc(inContainer),
		chromedp.NoSandbox, // the container is the sandbox; it has no capability left to build another
		chromedp.Flag("force-prefers-reduced-motion", true), // nothing moves away from under a click
		chromedp.UserDataDir("/tmp/profile"))...)
	t.Cleanup(cancelAllocator)
	origin := "http://www.foobar.com"
	if len(trusted) > 0 {
		origin = "https://www.foobar.com"
	}
	return openTab(t, stack, origin, allocator)
}

// trusting returns a folder of Chromium policies, with which the owner of a machine makes every browser on it trust these
// authorities.
func trusting(t *testing.T, authorities []*x509.Certificate) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // the browser runs as another user
		t.Fatal(err)
	}
	if len(authorities) == 0 {
		return dir
	}
	var encoded []string
	for _, authority := range authorities {
		encoded = append(encoded, base64.StdEncoding.EncodeToString(authority.Raw))
	}
	policy, err := json.Marshal(map[string][]string{"CACertificates": encoded})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "trust.json"), policy, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// stranger opens a tab for somebody else in the same browser; it shares no cookies and no cache with any other.
func (t *tab) stranger(of *testing.T) *tab {
	of.Helper()
	return openTab(of, t.stack, t.origin, t.context, chromedp.WithNewBrowserContext())
}

func openTab(t *testing.T, stack *copyOfStack, origin string, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	page, cancelPage := chromedp.NewContext(parent, options...)
	t.Cleanup(cancelPage)
	one := &tab{T: t, stack: stack, origin: origin, context: page}
	leaveEvidence(t, stack)
	t.Cleanup(one.leaveScreenshot)

	messages := chromedp.Console(page) // this also starts the browser
	heard := make(chan string, 1000)
	go func() {
		defer close(heard)
		for message, err := range messages {
			if err != nil {
				return
			}
			if message.Type == chromedp.ConsoleError || message.Type == chromedp.ConsoleWarning || message.IsException() {
				heard <- string(message.Type) + ": " + message.Text + " " + message.URL
			}
		}
	}()
	one.console = func() []string {
		const end = "the tests have seen enough"
		ctx, cancel := context.WithTimeout(page, 10*time.Second)
		defer cancel()
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](`console.error("`+end+`")`)); err != nil {
			return []string{err.Error()}
		}
		var said []string
		for message := range heard { // messages arrive in order, so once this one has arrived, all earlier ones have
			if strings.Contains(message, end) {
				return said
			}
			said = append(said, message)
		}
		return append(said, "the browser has gone")
	}
	return one
}

// becomes waits until an expression is true, however many pages the tab visits meanwhile.
func (t *tab) becomes(expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.context, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		isTrue, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && isTrue {
			return
		}
		select {
		case <-ctx.Done():
			shown, _ := chromedp.Run(t.context, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
			t.Fatalf("it does not become true that %s (%v)\nconsole: %q\nthe page: %s\n%s", expression, err, t.console(), shown, t.stack.logs())
		case <-tick.C:
		}
	}
}

// settled: the page has loaded, knows who is signed in and waits for nothing more.
const settled = `document.readyState === "complete" && (!document.querySelector("#session") || document.querySelector("#session.known")) && !document.querySelector('[aria-busy="true"]')`

// open goes to a path of the site and waits until the page has settled.
func (t *tab) open(path string) {
	t.Helper()
	do(t, chromedp.Navigate(t.origin+path))
	t.becomes(settled)
}

// usable: the first element that matches the selector is visible, enabled, where it was a moment ago, and not covered by
// anything.
func usable(selector string) string {
	return fmt.Sprintf(`(() => {
		const element = document.querySelector(%q);
		if (!element?.checkVisibility({ visibilityProperty: true }) || element.matches(":disabled, [aria-disabled=true], :read-only:not(button, a)")) return false;
		element.scrollIntoView({ block: "center", behavior: "instant" });
		const { left, top, width, height } = element.getBoundingClientRect();
		const place = [left, top, width, height].join();
		const stands = element.stoodAt === place;
		element.stoodAt = place;
		return stands && element.contains(document.elementFromPoint(left + width / 2, top + height / 2));
	})()`, selector)
}

// fill replaces the content of a field by typing a text.
func (t *tab) fill(selector, text string) {
	t.Helper()
	t.becomes(usable(selector))
	do(t, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
	if got := see(t, chromedp.Value(chromedp.CSS(selector))); got != text {
		t.Fatalf("typed %q into %s, which holds %q", text, selector, got)
	}
}

// press clicks on the first element that matches the selector.
func (t *tab) press(selector string) {
	t.Helper()
	t.becomes(usable(selector))
	do(t, chromedp.Click(chromedp.CSS(selector)))
}

// text returns the visible text of the first element that matches the selector; empty if there is none.
func (t *tab) text(selector string) string {
	t.Helper()
	return see(t, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q)?.innerText.trim() ?? ''", selector)))
}

// do runs steps in the tab; see runs one step and returns its value. A failure shows the console and the services' logs.
func do(t *tab, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	see(t, chromedp.Steps(steps...))
}

func see[Value any](t *tab, step chromedp.Action[Value]) Value {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.context, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, step)
	if err != nil {
		t.Fatalf("%v\nconsole: %q\n%s", err, t.console(), t.stack.logs())
	}
	return value
}

// leaveScreenshot saves what the tab shows at the end of a failed test.
func (t *tab) leaveScreenshot() {
	if !t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(t.context, 10*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Logf("no screenshot: %v", err)
		return
	}
	dir, err := evidenceOf(t.T)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("tab-%d.png", screenshots.Add(1))), picture, 0o600)
	}
	if err != nil {
		t.Logf("no screenshot: %v", err)
	}
}

// screenshot saves pictures of the page for people to look at, if SCREENSHOTS names a folder for them: as a phone and as a
// desktop show it, light and dark.
func (t *tab) screenshot(name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, width := range []int64{390, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			do(t, chromedp.EmulateViewport(width, 800), func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
				return cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
			})
			file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
			if err := os.WriteFile(file, see(t, chromedp.FullScreenshot(100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

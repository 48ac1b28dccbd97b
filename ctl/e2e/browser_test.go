package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A person types http://www.foobar.com/ into a browser whose DNS server is the stack's, and reads what is in MySQL.
func TestAPersonTypesTheNameIntoABrowser(t *testing.T) {
	newScenario(t, site).When("a post is written", insertPost("Seen in a browser"))
	tab := newBrowser(t, site)

	var address, heading string
	var titles []string
	if err := chromedp.Run(tab.context,
		chromedp.Navigate("http://www.foobar.com/"),
		chromedp.WaitVisible("#posts article", chromedp.ByQuery),
		chromedp.Location(&address),
		chromedp.Text("h1", &heading, chromedp.ByQuery),
		chromedp.Evaluate(`[...document.querySelectorAll("#posts article h3")].map(title => title.textContent.trim())`, &titles),
	); err != nil {
		t.Fatalf("%v\nconsole: %q\n%s", err, tab.console(), site.logs())
	}
	if address != "http://www.foobar.com/" || heading == "" {
		t.Errorf("the browser is at %q and reads %q", address, heading)
	}
	stored, err := site.sql(t.Context(), "app", "SELECT title FROM foobar.posts ORDER BY id DESC LIMIT 20")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(titles, "\n"); got != stored {
		t.Errorf("the page shows\n%s\nMySQL holds\n%s", got, stored)
	}
	if said := tab.console(); len(said) > 0 {
		t.Errorf("the browser's console: %q", said)
	}
	if from := tab.servedFrom("http://www.foobar.com/"); from != site.subnet+".80" {
		t.Errorf("the page came from %q, want web's address, as dns tells it", from)
	}
	tab.screenshot(t, "home.png")
}

// With the application away, the page still comes and says what is wrong.
func TestTheBrowserIsToldWhenTheApplicationIsAway(t *testing.T) {
	newScenario(t, site).When("app is stopped", compose("stop", "app"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := site.compose(ctx, "up", "--detach", "--wait"); err != nil {
			t.Error(err)
		}
	})
	tab := newBrowser(t, site)
	var said string
	if err := chromedp.Run(tab.context,
		chromedp.Navigate("http://www.foobar.com/"),
		chromedp.WaitVisible(`#posts [role="alert"]`, chromedp.ByQuery),
		chromedp.Text(`#posts [role="alert"]`, &said, chromedp.ByQuery),
	); err != nil {
		t.Fatalf("%v\nconsole: %q\n%s", err, tab.console(), site.logs("web"))
	}
	if strings.TrimSpace(said) == "" {
		t.Error("the page says nothing")
	}
	tab.screenshot(t, "app-away.png")
}

// tab is one page of a real browser in a container of its own on the stack's network.
type tab struct {
	context context.Context

	mu        sync.Mutex
	said      []string          // errors and warnings on its console
	addresses map[string]string // the server's address by URL
}

// newBrowser starts the container; it is gone at the test's end.
func newBrowser(t *testing.T, stack *copyOfStack) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // the first run installs Chromium
	t.Cleanup(cancel)
	if _, err := stack.output(ctx, "docker", "build", "--quiet", "--tag", "oneserver-browser", "--file", "ctl/e2e/browser/Dockerfile", "."); err != nil {
		t.Fatal(err)
	}
	name := stack.project + "-browser-" + strings.ToLower(t.Name())
	if _, err := stack.output(ctx, "docker", "run", "--detach", "--rm", "--name", name, "--label", "com.docker.compose.project="+stack.project,
		"--network", stack.project+"_default", "--dns", stack.subnet+".53", "--publish", "127.0.0.1::9222", "oneserver-browser"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := stack.output(ctx, "docker", "rm", "--force", name); err != nil {
			t.Error(err)
		}
	})
	port, err := stack.output(ctx, "docker", "port", name, "9222/tcp")
	if err != nil {
		t.Fatal(err)
	}
	newScenario(t, stack).Then(30*time.Second, devToolsAnswer(strings.TrimSpace(port)))

	allocator, cancelAllocator := chromedp.NewRemoteAllocator(ctx, "http://"+strings.TrimSpace(port))
	t.Cleanup(cancelAllocator)
	page, cancelPage := chromedp.NewContext(allocator)
	t.Cleanup(cancelPage)
	page, cancelWait := context.WithTimeout(page, time.Minute)
	t.Cleanup(cancelWait)

	one := &tab{context: page, addresses: map[string]string{}}
	chromedp.ListenTarget(page, one.listen)
	if err := chromedp.Run(page, network.Enable(), log.Enable(), runtime.Enable()); err != nil {
		t.Fatal(err)
	}
	return one
}

func devToolsAnswer(address string) check {
	return check{"the browser takes orders", nil, func(ctx context.Context, c *copyOfStack) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/json/version", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return json.NewDecoder(response.Body).Decode(&struct{}{})
	}}
}

func (t *tab) listen(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch event := event.(type) {
	case *log.EventEntryAdded:
		t.said = append(t.said, fmt.Sprintf("%s: %s %s", event.Entry.Level, event.Entry.Text, event.Entry.URL))
	case *runtime.EventConsoleAPICalled:
		if event.Type == runtime.APITypeError || event.Type == runtime.APITypeWarning {
			t.said = append(t.said, fmt.Sprintf("%s: %v", event.Type, event.Args))
		}
	case *runtime.EventExceptionThrown:
		t.said = append(t.said, event.ExceptionDetails.Error())
	case *network.EventResponseReceived:
		t.addresses[event.Response.URL] = event.Response.RemoteIPAddress
	}
}

func (t *tab) console() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said
}

func (t *tab) servedFrom(url string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addresses[url]
}

// screenshot keeps a picture of the page in the folder SCREENSHOTS, if that is set, for people to look at.
func (t *tab) screenshot(test *testing.T, name string) {
	test.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	if err := chromedp.Run(t.context, chromedp.FullScreenshot(&picture, 90)); err != nil {
		test.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), picture, 0o600); err != nil {
		test.Fatal(err)
	}
}

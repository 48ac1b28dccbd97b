package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A deploy reports each step once it is done, and is killed at that moment. Visitors notice nothing, whichever command comes
// next.
func TestLongAKilledDeployIsPutRightByTheNextCommand(t *testing.T) {
	first, from := releases(t)
	const killed = "a command was killed here"
	reload := func(t *testing.T, _ *copyOfStack) string {
		site.says(t, root, false, []string{"reload"}, killed)
		return ""
	}
	up := func(t *testing.T, _ *copyOfStack) string {
		site.says(t, root, false, []string{"up"}, killed)
		return ""
	}
	deploy := func(t *testing.T, release *copyOfStack) string {
		release.says(t, root, false, []string{"deploy"}, killed)
		return ""
	}
	restart := func(t *testing.T, _ *copyOfStack) string { return restartDatabase(t, killed) }
	again := func(t *testing.T, release *copyOfStack) string { // nothing had begun that needs to be repaired
		release.says(t, root, false, []string{"deploy"}, "done")
		return ""
	}
	const (
		tables  = "the tables are as the new release needs them"
		pinned  = "requests go to the old release by its address"
		started = "the new release has started"
		ready   = "it is ready, and answers"
		onTrial = "visitors have it, and the old one answers what it cannot"
		passed  = "it has passed its trial"
		serves  = "the new release serves"
		drained = "the old release has answered what it had begun"
	)
	visits := startVisits(t, 20)
	for i, test := range []struct {
		at      string
		signal  os.Signal
		next    func(*testing.T, *copyOfStack) (reason string)
		becomes bool // whether the new release serves in the end
	}{
		{tables, syscall.SIGKILL, again, true},
		{pinned, syscall.SIGKILL, up, false},
		{started, syscall.SIGKILL, reload, false},
		{ready, syscall.SIGKILL, restart, false},
		{onTrial, syscall.SIGKILL, up, false},
		{onTrial, syscall.SIGKILL, deploy, true},
		{passed, syscall.SIGKILL, deploy, true}, // just as it is being decided which release stays
		{serves, syscall.SIGKILL, reload, true},
		{drained, syscall.SIGKILL, reload, true},
		{started, os.Interrupt, nil, false},
		{onTrial, os.Interrupt, nil, false},
		{started, syscall.SIGHUP, nil, false},
		{onTrial, syscall.SIGHUP, nil, false},
	} {
		t.Run(fmt.Sprintf("%d %s at %s", i, test.signal, test.at), func(t *testing.T) {
			if test.signal == syscall.SIGHUP && signal.Ignored(syscall.SIGHUP) {
				t.Skip("this run was started by nohup, so every program in it ignores SIGHUP")
			}
			before, _ := replicas(t)
			release := from(fmt.Sprintf("LABEL release=\"%d\"", i))
			visits.T = t
			visits.during("the deploy that is cut off", func() { release.cutOff(t, test.signal, test.at, "deploy") })
			if test.next != nil {
				visits.unless("the next command", func() string { return test.next(t, release) })
			}
			image, n := replicas(t)
			if (image != before) != test.becomes || n != 1 || routing(t) != byName {
				t.Errorf("%d replicas run %s (%s before), found by %q", n, image, before, routing(t))
			}
			if left := site.inWeb(t, "ls /run/nginx"); strings.Contains(left, "next") || strings.Contains(left, "trial") {
				t.Errorf("web still has %q", left)
			}
			if test.becomes { // and a rollback leads back to the right release
				visits.during("a rollback", func() { site.says(t, root, false, []string{"rollback"}, "done") })
				if image, _ := replicas(t); image != before {
					t.Errorf("a rollback leads to %s; before, it was %s", image, before)
				}
			}
		})
	}
	visits.T = t
	visits.end()
	if image, _ := replicas(t); image != first {
		t.Errorf("in the end, app runs %s; at first it ran %s", image, first)
	}
}

// What Compose itself does in a half-done state costs what it always costs, and the site works afterwards. The same is true
// if web or the application restarts.
func TestLongAHalfDoneSiteSurvivesWhatOthersDoToIt(t *testing.T) {
	first, from := releases(t)
	answers := check{"posts are served", []string{"web", "app"}, func(ctx context.Context, c *copyOfStack) error {
		_, err := c.get(ctx, "/api/v1/posts?limit=7")
		return err
	}}
	for i, test := range []struct {
		at  string
		do  action
		end string // the release that serves in the end
	}{
		{"the new release has started", compose("up", "--detach", "--wait"), ""},
		{"the old one answers what it cannot", compose("restart", "web"), first},
		{"the old one answers what it cannot", killNine("web"), first},
		{"the new release has started", compose("restart", "app"), first},
	} {
		t.Run(fmt.Sprint(i, " ", test.at), func(t *testing.T) {
			release := from(fmt.Sprintf("LABEL others=\"%d\"", i))
			release.cutOff(t, os.Kill, test.at, "deploy")
			newScenario(t, site).When("something else happens to the site", test.do).Then(30*time.Second, healthy("web"), answers)
			site.says(t, root, false, []string{"up"})
			if image, n := replicas(t); n != 1 || routing(t) != byName || test.end != "" && image != test.end {
				t.Errorf("%d replicas run %s, found by %q", n, image, routing(t))
			}
			newScenario(t, site).Then(5*time.Second, answers)
			if _, err := site.output(t.Context(), "docker", "image", "tag", first, "oneserver-app"); err != nil {
				t.Fatal(err)
			}
			if _, err := site.compose(t.Context(), "up", "--detach", "--wait"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A killed command can leave more than a half-done deploy. Whatever it leaves, the next command puts it right, and visitors
// notice nothing.
func TestLongOtherHalfDoneStatesArePutRight(t *testing.T) {
	visits := startVisits(t, 20)
	_, err := site.output(t.Context(), "docker", "run", "--detach", "--name", site.project+"-left", "--label", "oneserver.deploy="+site.project,
		"--network", "none", "--entrypoint", "sleep", "nginx:1.30", "600")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // if it is still there
		_, _ = site.output(context.Background(), "docker", "rm", "--force", site.project+"-left")
	})
	if _, err := site.sql(t.Context(), "root", "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0"); err != nil {
		t.Fatal(err)
	}
	configuration := site.inWeb(t, "cat /run/nginx/nginx.conf")
	site.inWeb(t, `cd /run/nginx && sed -i 's/server_tokens off;/server_tokens off; add_header X-Half done always;/' nginx.conf && mkdir next`)
	visits.during("make up", func() { site.says(t, root, false, []string{"up"}, "a command was killed here") })

	t.Run("a container meant for one command only is removed", func(t *testing.T) {
		if left, err := site.output(t.Context(), "docker", "ps", "--all", "--quiet", "--filter", "name="+site.project+"-left"); err != nil || left != "" {
			t.Errorf("it is still there: %q, %v", left, err)
		}
	})
	t.Run("MySQL no longer writes every page immediately", func(t *testing.T) {
		if got, err := site.sql(t.Context(), "root", "SELECT @@GLOBAL.innodb_max_dirty_pages_pct, @@GLOBAL.innodb_max_dirty_pages_pct_lwm"); err != nil || got != "90.000000\t10.000000" {
			t.Errorf("its limits for dirty pages are %q, %v", got, err)
		}
	})
	t.Run("a configuration that was put into place is in use, until a reload replaces it", func(t *testing.T) {
		if got := newVisitor(t, site).ask("GET", "/", nil).header.Get("X-Half"); got != "done" {
			t.Errorf("it is not in use: %q", got)
		}
		visits.T = t
		visits.during("make reload", func() { site.says(t, root, false, []string{"reload"}, "has taken nginx.conf and the words") })
		if site.inWeb(t, "cat /run/nginx/nginx.conf") != configuration || strings.Contains(site.inWeb(t, "ls /run/nginx"), "next") {
			t.Error("the configuration is not as it was")
		}
	})
	visits.T = t
	visits.end()
}

// The application is also connected to a second network, in which web cannot reach its addresses.
func TestLongASecondNetworkMakesNoDifference(t *testing.T) {
	_, from := releases(t)
	t.Cleanup(func() { // runs before the cleanup of releases, whose containers use the network
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if _, err := site.compose(ctx, "up", "--detach", "--wait"); err != nil {
			t.Error(err)
		}
		if _, err := site.output(ctx, "docker", "network", "rm", site.project+"_aaa"); err != nil {
			t.Error(err)
		}
	})
	two, err := json.Marshal(object{
		"services": object{"app": object{"networks": object{"default": object{}, "aaa": object{"priority": 1000}}}},
		"networks": object{"aaa": object{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "networks.json")
	write(t, file, string(two))
	visits := startVisits(t, 40)
	for i := range 5 {
		release := from(fmt.Sprintf("LABEL networks=\"%d\"", i))
		for _, variable := range release.env {
			if files, found := strings.CutPrefix(variable, "COMPOSE_FILE="); found {
				release = release.with("COMPOSE_FILE=" + files + string(os.PathListSeparator) + file)
			}
		}
		visits.during(fmt.Sprint("deploy ", i), func() { release.says(t, root, false, []string{"deploy"}, "done") })
	}
	visits.end()
}

// As soon as `up --wait` reports that all is healthy, the site answers.
func TestLongTheFirstRequestAfterAStartIsAnswered(t *testing.T) {
	one := newCopy("oneserver-test-first", "18084", "11057", "172.28.8")
	t.Cleanup(func() {
		if err := one.remove(); err != nil {
			t.Error(err)
		}
	})
	for range 5 {
		if _, err := one.compose(t.Context(), "up", "--detach", "--wait"); err != nil {
			t.Fatal(err)
		}
		if _, err := one.get(t.Context(), "/api/v1/posts"); err != nil {
			t.Error(err)
		}
		if _, err := one.compose(t.Context(), "down", "--timeout", "5"); err != nil {
			t.Fatal(err)
		}
	}
}

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// small is a copy whose database has its own small disk, in memory.
var small = newCopy("oneserver-test-disk", "18088", "11061", "172.28.12")

// The disk is actually filled, until less than the reserve is free.
func TestLongADiskThatFillsUpIsSaidAndStopsOnlyWhatGrows(t *testing.T) {
	override := filepath.Join(t.TempDir(), "override.yaml")
	if err := os.WriteFile(override, []byte(`
services: { db: { mem_limit: 1500m, memswap_limit: 1500m } } # a disk in memory counts as memory
volumes: { data: { driver_opts: { type: tmpfs, device: tmpfs, o: "size=800m,uid=999,gid=999,mode=0750" } } }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := small.with("COMPOSE_FILE="+filepath.Join(root, "compose.yaml")+string(os.PathListSeparator)+override, "DISK_RESERVE=200")
	t.Cleanup(func() {
		if err := small.remove(); err != nil {
			t.Error(err)
		}
	})
	s := newScenario(t, c).When("a stack with a small disk is started", compose("up", "--detach", "--wait"))
	v := newMember(t, c)
	kept, gone := v.write("Kept"), v.write("Gone")
	post := func(text string) reply {
		return v.ask("POST", "/api/v1/posts", object{"title": "New", "body": text}, "Idempotency-Key: "+rand.Text())
	}
	answers := func(says string, status int) check {
		return check{"a new post is " + says, []string{"app", "db"}, func(context.Context, *copyOfStack) error {
			if got := post(v.word); got.status != status {
				return fmt.Errorf("%d %s", got.status, got.body)
			}
			return nil
		}}
	}
	inDB := func(script string) action { return compose("exec", "--no-TTY", "db", "bash", "-c", script) }
	metrics := func() string {
		t.Helper()
		out, err := c.compose(t.Context(), "exec", "--no-TTY", "web", "curl", "--silent", "http://app:9090/metrics")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// A line reaches the engine's log after the answer that it explains has reached the visitor.
	said := func(words string) check {
		return check{"the log says once " + strconv.Quote(words), []string{"app"}, func(ctx context.Context, c *copyOfStack) error {
			out, err := c.compose(ctx, "logs", "--no-log-prefix", "app")
			if n := strings.Count(out, words); err == nil && n != 1 {
				err = fmt.Errorf("%d times", n)
			}
			return err
		}}
	}

	s.Then(10*time.Second, answers("created", http.StatusCreated)).
		When("the disk is filled up to 120 MB", inDB(`read -r blocks size < <(stat --file-system --format='%a %S' /var/lib/mysql); head -c $((blocks * size - 120000000)) /dev/zero >/var/lib/mysql/filler`)).
		Then(20*time.Second, answers("refused for lack of room", http.StatusInsufficientStorage))
	if got := post(v.word); !strings.Contains(got.body, "disk is nearly full") || !strings.Contains(got.header.Get("Content-Type"), "problem+json") {
		t.Errorf("the refusal says %s", got.body)
	}
	one := func(id int64) string { return fmt.Sprintf("/api/v1/posts/%d", id) }
	v.want(http.StatusInsufficientStorage, v.ask("PUT", one(kept.ID), object{"title": "Kept", "body": strings.Repeat("more ", 100)}))
	v.want(http.StatusInsufficientStorage, v.elsewhere().ask("POST", "/api/v1/accounts", object{"email": "new-" + v.email, "name": "New", "password": v.password}, "Idempotency-Key: "+rand.Text()))
	v.want(http.StatusOK, v.ask("PUT", one(kept.ID), object{"title": "Kept", "body": "Less."}))
	v.want(http.StatusOK, v.ask("GET", one(kept.ID), nil))
	v.want(http.StatusNoContent, v.ask("DELETE", one(gone.ID), nil))
	v.elsewhere().signIn()
	if out, err := c.ctl(t.Context(), nil, "doctor"); err != nil || !strings.Contains(out, "less than DISK_RESERVE=200") {
		t.Errorf("the doctor: %v\n%s", err, out)
	}
	if out := metrics(); !strings.Contains(out, "\ndatabase_disk_low 1\n") || strings.Contains(out, "\ndatabase_disk_free_bytes -1\n") {
		t.Errorf("the metrics do not show it: %s", out)
	}
	s.Then(40*time.Second, said("disk is nearly full: new posts"), healthy("app"), healthy("db"), healthy("web")).
		When("there is room again", inDB("rm /var/lib/mysql/filler")).
		Then(20*time.Second, answers("created", http.StatusCreated), said("disk has room again"))
	if out := metrics(); !strings.Contains(out, "\ndatabase_disk_low 0\n") {
		t.Errorf("the metrics do not show that there is room again: %s", out)
	}
}

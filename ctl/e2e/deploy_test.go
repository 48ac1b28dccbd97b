package e2e

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	written "oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/load"
)

// visits is a steady load on the shared copy, one fifth of it writes, over both reused and new connections.
type visits struct {
	*testing.T
	rate   float64 // requests per second
	attack *load.Attack
	stop   context.CancelFunc
	over   chan struct{}

	mu       sync.Mutex
	requests []history.Request
}

func startVisits(t *testing.T, rate float64) *visits {
	t.Helper()
	v := newMember(t, site)
	v.withoutQuotas()
	signedIn := "__Host-" + v.cookie // the cookie's name over https
	cookie := http.Header{"Cookie": {signedIn}}
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(authority)
	ctx, stop := context.WithCancel(t.Context())
	attack, err := load.Start(ctx, load.Config{
		Address: "127.0.0.1:" + site.httpsPort, Host: "www.foobar.com", Trusted: trusted,
		DNSAddress: "127.0.0.1:" + site.dnsPort, DNSNames: []string{"www.foobar.com"},
		Steps: []history.Step{{Rate: rate, For: 15 * time.Minute}}, Seed: 1,
		Reads: []load.Request{
			{Path: "/"}, {Path: "/api/v1/posts"}, {Path: "/api/v1/posts/1", Header: cookie}, {Path: "/api/v1/session", Header: cookie},
		},
		Write: func(token string) load.Request {
			body, err := json.Marshal(object{"title": token, "body": v.word})
			if err != nil {
				panic(err) // a map of strings
			}
			return load.Request{Method: "POST", Path: "/api/v1/posts", Body: body,
				Header: http.Header{"Content-Type": {"application/json"}, "Cookie": {signedIn}}}
		},
	})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	visits := &visits{T: t, rate: rate, attack: attack, stop: stop, over: make(chan struct{})}
	go func() {
		defer close(visits.over)
		for r := range attack.Requests() {
			visits.mu.Lock()
			visits.requests = append(visits.requests, r)
			visits.mu.Unlock()
		}
	}()
	t.Cleanup(func() { stop(); <-visits.over })
	return visits
}

// during calls do, and then fails the test if a visitor's request failed or took too long meanwhile.
func (v *visits) during(what string, do func()) {
	v.Helper()
	v.unless(what, func() string { do(); return "" })
}

// unless is during for an action that may return a good reason why visitors noticed it.
func (v *visits) unless(what string, do func() (reason string)) {
	v.Helper()
	from := v.attack.Since()
	reason := do()
	until := v.attack.Since()
	// Each request that was due meanwhile is answered or fails within its own limit of 15 s.
	deadline := time.After(20 * time.Second)
	for !v.answered(until) {
		select {
		case <-deadline:
			v.Fatalf("%s: some visitors' requests do not end", what)
		case <-v.over:
			v.Fatalf("%s: the load has ended", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var of, failed int
	var slowest time.Duration
	for _, r := range v.requests {
		if r.Due > until || r.Done < from {
			continue
		}
		of++
		slowest = max(slowest, r.Latency())
		if !r.OK() {
			if failed++; failed < 10 && reason == "" {
				v.Errorf("%s: %s, due %.1f s after it began, failed: %s %d %s", what, r.Name, (r.Due - from).Seconds(), r.Class, r.Status, r.Error)
			}
		}
	}
	v.Logf("%s: %.1f s, %d of %d requests failed, the slowest answer took %.2f s; %s", what, (until - from).Seconds(), failed, of, slowest.Seconds(), reason)
	if slowest > 10*time.Second && reason == "" {
		v.Errorf("%s: a visitor waited %s", what, slowest)
	}
}

// answered reports whether the outcomes of all requests that were due by then are known.
func (v *visits) answered(until time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := 0
	for _, r := range v.requests {
		if r.Due <= until {
			known++
		}
	}
	return known > int(v.rate*until.Seconds()) // the first is due immediately
}

// end ends the load and compares the acknowledged writes with the stored ones.
func (v *visits) end() {
	v.Helper()
	v.stop()
	<-v.over
	titles, err := site.sql(v.Context(), "root", "SELECT title FROM foobar.posts WHERE title LIKE '"+v.attack.TokenPrefix()+"%'")
	if err != nil {
		v.Fatal(err)
	}
	stored := written.Stored{}
	for title := range strings.Lines(titles) {
		stored[strings.TrimSpace(title)]++
	}
	writes := written.CheckWrites(v.requests, stored)
	v.Logf("%d writes were acknowledged", writes.Acknowledged)
	if 10*writes.Acknowledged < len(v.requests) || !writes.OK() {
		v.Errorf("of %d requests, %d are acknowledged writes; lost %q, stored twice %q, refused but stored %q, not shown %q",
			len(v.requests), writes.Acknowledged, writes.Lost, writes.Duplicated, writes.Phantom, writes.StaleReads)
	}
}

// releaseOf returns the shared copy with app built from another context and Dockerfile.
func releaseOf(t *testing.T, context, dockerfile string) *copyOfStack {
	t.Helper()
	build, err := json.Marshal(object{"services": object{"app": object{"build": object{"context": context, "dockerfile": dockerfile}}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "compose.json")
	write(t, file, string(build))
	return site.with("COMPOSE_FILE=" + filepath.Join(root, "compose.yaml") + string(os.PathListSeparator) + file)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// says runs a command of the tool, which must succeed, or exit with code 1 if it is to be refused, and must print these
// words.
func (c *copyOfStack) says(t *testing.T, dir string, refused bool, args []string, words ...string) (printed string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	cmd := c.command(ctx, tool(), args...)
	cmd.Dir = dir
	printed, err := combined(cmd)
	exit := (*exec.ExitError)(nil)
	if refused && (!errors.As(err, &exit) || exit.ExitCode() != 1) || !refused && err != nil {
		t.Fatalf("oneserver %s ends with %v\n%s", strings.Join(args, " "), err, printed)
	}
	t.Logf("oneserver %s\n%s", strings.Join(args, " "), printed)
	for _, word := range words {
		if !strings.Contains(printed, word) {
			t.Errorf("oneserver %s does not say %q", strings.Join(args, " "), word)
		}
	}
	return printed
}

// cutOff runs a command of the tool, sends it a signal as soon as it prints these words, and returns when it has ended.
func (c *copyOfStack) cutOff(t *testing.T, signal os.Signal, at string, args ...string) {
	t.Helper()
	err := c.reaches(t, at, func(tool *os.Process) {
		if err := tool.Signal(signal); err != nil {
			t.Error(err)
		}
	}, args...)
	if err == nil {
		t.Fatalf("oneserver %s succeeds although it was cut off", strings.Join(args, " "))
	}
}

// reaches runs a command of the tool, calls do once, when it prints these words, and returns how it has ended.
func (c *copyOfStack) reaches(t *testing.T, at string, do func(tool *os.Process), args ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := c.command(ctx, tool(), args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if !found && strings.Contains(lines.Text(), at) {
			found = true
			do(cmd.Process)
		}
	}
	err = cmd.Wait()
	if !found {
		t.Fatalf("oneserver %s does not say %q, and ends with %v", strings.Join(args, " "), at, err)
	}
	return err
}

// replicas returns the id of the image that app runs, and the number of its replicas.
func replicas(t *testing.T) (image string, n int) {
	t.Helper()
	ids, err := site.output(t.Context(), "docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+site.project, "--filter", "label=com.docker.compose.service=app")
	if err != nil || len(strings.Fields(ids)) == 0 {
		t.Fatalf("app has the containers %q, %v", ids, err)
	}
	images, err := site.output(t.Context(), "docker", append([]string{"inspect", "--format", "{{.Image}}"}, strings.Fields(ids)...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range strings.Fields(images) {
		if image = id; id != strings.Fields(images)[0] {
			t.Errorf("app runs %s", images)
		}
	}
	return image, len(strings.Fields(images))
}

// byName is web's routing while no deploy is running.
const byName = "server app:8080 resolve max_fails=0;"

// routing returns where web sends the requests for the application.
func routing(t *testing.T) string {
	t.Helper()
	conf, err := site.compose(t.Context(), "exec", "--no-TTY", "web", "cat", "/run/nginx/routing.conf")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(conf)
}

// releases returns the image that app runs, and a function that makes other releases from it by adding lines to a
// Dockerfile. When the test ends, images and containers are those of compose.yaml again.
func releases(t *testing.T) (first string, from func(lines string) *copyOfStack) {
	t.Helper()
	const good = "oneserver-app:e2e"
	first, _ = replicas(t)
	if _, err := site.output(t.Context(), "docker", "image", "tag", first, good); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if _, err := site.output(ctx, "docker", "image", "tag", first, "oneserver-app"); err != nil {
			t.Error(err)
		}
		if _, err := site.compose(ctx, "up", "--detach", "--wait"); err != nil {
			t.Error(err)
		}
		if _, err := site.output(ctx, "docker", "image", "rm", good); err != nil {
			t.Error(err)
		}
	})
	return first, func(lines string) *copyOfStack {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Dockerfile"), "FROM "+good+"\n"+lines+"\n")
		return releaseOf(t, dir, "Dockerfile")
	}
}

// restartDatabase runs restart-db, and returns a good reason why visitors may notice it, if there is one.
func restartDatabase(t *testing.T, words ...string) (reason string) {
	t.Helper()
	printed := site.says(t, root, false, []string{"restart-db"}, append(words, "healthy again")...)
	_, after, _ := strings.Cut(printed, "healthy again, ")
	var took float64
	if _, err := fmt.Sscanf(after, "%f s", &took); err != nil {
		t.Fatalf("it does not say how long it took: %v", err)
	}
	if took > 9 { // requests wait ten seconds, and health is seen a moment late
		return fmt.Sprintf("MySQL took %.1f s, longer than requests wait for it", took)
	}
	return ""
}

func TestLongMaintenanceIsNoticedByNobody(t *testing.T) {
	first, from := releases(t)
	visits := startVisits(t, 40)

	release := from(`LABEL release="next"`)
	visits.during("a deploy and Ctrl-C", func() { release.cutOff(t, os.Interrupt, "beside the old one", "deploy") })
	if image, n := replicas(t); image != first || n != 1 {
		t.Errorf("after Ctrl-C, %d replicas run %s", n, image)
	}
	visits.during("a deploy and kill -9 while Nginx has addresses, and make up", func() {
		release.cutOff(t, os.Kill, "beside the old one", "deploy")
		site.says(t, root, false, []string{"up"}, "a command was killed here")
	})
	if image, n := replicas(t); image != first || n != 1 || routing(t) != byName {
		t.Errorf("after kill -9 and make up, %d replicas run %s, found by %q", n, image, routing(t))
	}
	visits.during("make deploy REPLICAS=2", func() {
		release.says(t, root, false, []string{"deploy", "--replicas", "2"}, "it has passed its trial", "done")
	})
	next, n := replicas(t)
	if next == first || n != 2 {
		t.Errorf("after a deploy, %d replicas run %s", n, next)
	}
	visits.during("make rollback", func() { site.says(t, root, false, []string{"rollback"}, "done") })
	stays := func(after string) {
		t.Helper()
		if image, n := replicas(t); image != first || n != 2 {
			t.Errorf("after %s, %d replicas run %s", after, n, image)
		}
	}
	stays("a rollback")
	visits.during("a release that cannot be built", func() {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Dockerfile"), "FROM oneserver-e2e.invalid/base:1\n")
		releaseOf(t, dir, "Dockerfile").says(t, root, true, []string{"deploy"}, "oneserver-e2e.invalid/base:1 is not here", "was not built", "make images")
	})
	stays("a release that cannot be built")
	visits.during("a release that does not start", func() {
		from(`CMD ["nonsense"]`).says(t, root, true, []string{"deploy"}, "does not become ready", "ends again and again", `there is no command "nonsense"`, "as before")
	})
	stays("a release that does not start")

	source := t.TempDir()
	if err := os.CopyFS(filepath.Join(source, "services/app"), os.DirFS(filepath.Join(root, "services/app"))); err != nil {
		t.Fatal(err)
	}
	changed := releaseOf(t, source, "services/app/Dockerfile")
	server := filepath.Join(source, "services/app/api/server.go")
	whole := read(t, server)
	broken := strings.Replace(whole, "r.Use(s.observe,", `r.Use(func(c *gin.Context) { if c.GetHeader("Idempotency-Key") != "" { c.AbortWithStatus(500) } }, s.observe,`, 1)
	if broken == whole {
		t.Fatal("server.go has no line that this test knows how to break")
	}
	write(t, server, broken)
	visits.during("a release that fails writes", func() {
		changed.says(t, root, true, []string{"deploy"}, "the old one answers what it cannot", "fails its trial", "POST /api/v1/posts is answered with 500", "as before")
	})
	stays("a release that fails writes")
	write(t, server, whole)
	write(t, filepath.Join(source, "services/app/mysql/migrations/00099_drop.sql"), "-- +goose Up\nALTER TABLE posts DROP COLUMN title;\n")
	visits.during("a release that drops a column", func() {
		changed.says(t, root, true, []string{"deploy"}, "00099_drop.sql drops the column posts.title", "expand", "contract", "as before")
	})
	stays("a release that drops a column")

	// Each file is a new one, as if edited in an editor that saves by renaming.
	dir := t.TempDir()
	files := []string{"compose.yaml", "nginx.conf", "corefile", "services/dns/zone/site.zone"}
	restore := func() {
		for _, name := range files {
			write(t, filepath.Join(dir, name), read(t, filepath.Join(root, name)))
		}
	}
	edited := site.with("COMPOSE_FILE=" + filepath.Join(dir, "compose.yaml"))
	for _, file := range []struct{ name, line, says string }{
		{"nginx.conf", "nonsense on;", `unknown directive "nonsense"`},
		{"corefile", "foobar.com {\n\tnonsense\n}", "nonsense"},
		{"services/dns/zone/site.zone", "www IN A nonsense", "site.zone"},
	} {
		restore()
		write(t, filepath.Join(dir, file.name), read(t, filepath.Join(root, file.name))+file.line+"\n")
		visits.during("a broken "+file.name, func() {
			edited.says(t, dir, true, []string{"reload"}, file.says, "nothing was changed")
		})
	}
	restore()
	write(t, filepath.Join(dir, "nginx.conf"), strings.Replace(read(t, filepath.Join(root, "nginx.conf")),
		"server_tokens off;", "server_tokens off; add_header X-Reloaded ${DOMAIN} always;", 1))
	visits.during("make reload", func() {
		edited.says(t, dir, false, []string{"reload"}, "has taken nginx.conf and the words", "dns serves this corefile")
	})
	if got := newVisitor(t, site).ask("GET", "/", nil).header.Get("X-Reloaded"); got != "foobar.com" {
		t.Errorf("the header added to nginx.conf is %q", got)
	}
	write(t, filepath.Join(dir, "corefile"), strings.ReplaceAll(read(t, filepath.Join(root, "corefile")), "bufsize 1232", "bufsize 900"))
	visits.during("a corefile that was replaced", func() {
		edited.says(t, dir, true, []string{"reload"}, "docker compose restart dns")
	})
	visits.during("make reload with the original files", func() { site.says(t, root, false, []string{"reload"}, "dns serves this corefile") })
	visits.unless("make restart-db", func() string { return restartDatabase(t) })
	visits.end()
}

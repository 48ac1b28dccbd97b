package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bookmarks is a copy in which another application, with its own data, replaces the first.
var bookmarks = newCopy("oneserver-test-example", "18094", "11070", "172.28.16")

// The tool works with another application once what docs/your-application.md names has been changed: the image, and site.go.
func TestLongAnotherApplicationTakesThePlaceOfTheFirst(t *testing.T) {
	const image = "oneserver-example"
	work := t.TempDir()
	for _, dir := range []string{"services/app", "ctl/e2e/example"} { // what the image is built from
		if err := os.CopyFS(filepath.Join(work, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			t.Fatal(err)
		}
	}
	replaced, err := json.Marshal(object{"Replace": object{filepath.Join(root, "ctl/internal/site/site.go"): filepath.Join(root, "ctl/e2e/example/site/site.go")}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(work, "overlay.json"), string(replaced))
	its := filepath.Join(work, "oneserver")
	if _, err := site.output(t.Context(), "go", "build", "-C", "ctl", "-overlay", filepath.Join(work, "overlay.json"), "-o", its, "."); err != nil {
		t.Fatal(err)
	}
	services, err := json.Marshal(object{"services": object{
		"app":     object{"image": image, "build": object{"context": work, "dockerfile": "ctl/e2e/example/Dockerfile"}},
		"secrets": object{"image": image}, "migrate": object{"image": image}}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(work, "compose.json"), string(services))
	c := bookmarks.with("COMPOSE_FILE=" + filepath.Join(root, "compose.yaml") + string(os.PathListSeparator) + filepath.Join(work, "compose.json"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.remove(); err != nil {
			t.Error(err)
		}
		names, err := c.output(ctx, "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", image)
		if err == nil && names != "" {
			_, err = c.output(ctx, "docker", append([]string{"image", "rm"}, strings.Fields(names)...)...)
		}
		if err != nil {
			t.Error(err)
		}
	})
	does := func(words string, args ...string) string {
		t.Helper()
		printed, err := c.output(t.Context(), its, args...)
		if err != nil || !strings.Contains(printed, words) {
			t.Fatalf("oneserver %s does not say %q: %v\n%s", strings.Join(args, " "), words, err, printed)
		}
		t.Logf("oneserver %s\n%s", strings.Join(args, " "), printed)
		return printed
	}
	v := newVisitor(t, c)
	has := func(want ...string) {
		t.Helper()
		var list struct{ Bookmarks []struct{ Name string } }
		answer := v.ask("GET", "/api/bookmarks", nil)
		if err := json.Unmarshal([]byte(answer.body), &list); err != nil {
			t.Fatalf("%v: %s", err, answer.body)
		}
		var names []string
		for _, one := range list.Bookmarks {
			names = append(names, one.Name)
		}
		if strings.Join(names, " ") != strings.Join(want, " ") {
			t.Errorf("the site has the bookmarks %q, want %q", names, want)
		}
	}

	does("the site", "up")
	for range 2 { // the same key makes only one
		v.want(http.StatusCreated, v.ask("POST", "/api/bookmarks", object{"name": "first", "address": "https://example.com/"}, "Idempotency-Key: one"))
	}
	has("first")
	backups := filepath.Join(work, "backups")
	does("verified", "backup", "--dir", backups)

	write(t, filepath.Join(work, "ctl/e2e/example/migrations/00002_add_note.sql"), "-- +goose Up\nALTER TABLE bookmarks ADD COLUMN note varchar(200) NULL;\n")
	if said := does("it has passed its trial", "deploy"); !strings.Contains(said, "to migrate: 00002_add_note.sql") {
		t.Error("the migration was not checked")
	}
	does("done", "rollback")
	does("serves", "releases")
	var traced struct {
		App []struct {
			Route      string
			Statements []struct{ SQL string }
		}
	}
	if err := json.Unmarshal([]byte(does("", "trace", "--json")), &traced); err != nil {
		t.Fatal(err)
	}
	if len(traced.App) != 1 || traced.App[0].Route != "/api/bookmarks" || len(traced.App[0].Statements) != 1 {
		t.Errorf("the trace shows %+v", traced.App)
	}

	v.want(http.StatusCreated, v.ask("POST", "/api/bookmarks", object{"name": "second", "address": "https://example.com/"}))
	has("second", "first")
	does("restored", "restore", "--dir", backups, "--yes")
	has("first")

	report := filepath.Join(work, "report")
	does("kill -9 app", "drill", "spof", "--action", "kill-app", "--rate", "30", "--out", report)
	if writes := readDrill(t, report).Result.Writes; writes.Acknowledged < 20 || len(writes.Lost)+len(writes.Duplicated) != 0 {
		t.Errorf("the drill found %+v", writes)
	}
	has("first")
}

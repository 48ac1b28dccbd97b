package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// withoutPostSearch is the last commit whose application does not know the table post_search.
const withoutPostSearch = "1d9106a"

// finds waits until a search finds exactly these posts, since InnoDB misses words for a moment while it moves them to its
// index on disk.
func (v *visitor) finds(ctx context.Context, text string, want ...int64) error {
	var got []int64
	var last error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		answer, err := v.try(ctx, "GET", "/api/v1/search?q="+url.QueryEscape(text), nil)
		if err != nil || answer.status != http.StatusOK {
			last = fmt.Errorf("a search for %s is answered with %d %s, %v", text, answer.status, answer.body, err)
			continue
		}
		var page struct{ Posts []post }
		if err := json.Unmarshal([]byte(answer.body), &page); err != nil {
			return err
		}
		got = nil
		for _, post := range page.Posts {
			got = append(got, post.ID)
		}
		if slices.Equal(got, want) {
			return nil
		}
		last = fmt.Errorf("a search for %s finds %v, want %v", text, got, want)
	}
	return last
}

// A site created and filled by the previous release is deployed, rolled back and deployed again, while somebody writes,
// edits and deletes posts. Whichever release answers, a search finds the posts that exist.
func TestLongASearchIsRightWhileTheReleaseBeforeRunsToo(t *testing.T) {
	first, _ := releases(t)
	dir := t.TempDir()
	if out, err := site.output(t.Context(), "sh", "-c", `git archive "$0" services/app | tar -x -C "$1"`, withoutPostSearch, dir); err != nil {
		t.Fatalf("this needs the repository's history (git fetch --unshallow): %v\n%s", err, out)
	}
	now := newCopy("oneserver-test-search", "18093", "11069", "172.28.17")
	override := filepath.Join(t.TempDir(), "compose.json")
	write(t, override, fmt.Sprintf(`{"services": {"app": {"build": {"context": %q}}}}`, dir))
	before := now.with("COMPOSE_FILE=" + filepath.Join(root, "compose.yaml") + string(os.PathListSeparator) + override)
	defer func() {
		if err := now.remove(); err != nil {
			t.Error(err)
		}
		if _, err := now.output(context.Background(), "docker", "image", "tag", first, "oneserver-app"); err != nil {
			t.Error(err)
		}
	}()
	if out, err := before.compose(t.Context(), "up", "--build", "--detach", "--wait"); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, now.logs())
	}
	ada := newMember(t, now)
	ada.withoutQuotas()
	send := func(method, path, body string, status int) int64 {
		t.Helper()
		answer := ada.ask(method, path, object{"title": ada.word, "body": body}, "Idempotency-Key: "+rand.Text())
		if ada.want(status, answer); status == http.StatusNoContent {
			return 0
		}
		return decode[post](ada, status, answer).ID
	}
	create := func(body string) int64 { t.Helper(); return send("POST", "/api/v1/posts", body, http.StatusCreated) }
	change := func(id int64, body string) {
		t.Helper()
		send("PUT", fmt.Sprintf("/api/v1/posts/%d", id), body, http.StatusOK)
	}
	finds := func(text string, want ...int64) {
		t.Helper()
		if err := ada.finds(t.Context(), text, want...); err != nil {
			t.Error(err)
		}
	}

	chinese, english := create("今天我们在这里测试中文搜索"), create("a quokka")
	finds("quokka", english)
	finds(ada.word, english, chinese)

	// posts come and go meanwhile, whichever release answers
	ctx, stop := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	written := 0
	beside.Go(func() {
		for ; ctx.Err() == nil; written++ {
			word := "x" + strings.ToLower(rand.Text())
			answer, err := ada.try(t.Context(), "POST", "/api/v1/posts", object{"title": "beside", "body": word}, "Idempotency-Key: "+rand.Text())
			var made post
			if err == nil {
				err = json.Unmarshal([]byte(answer.body), &made)
			}
			path := fmt.Sprintf("/api/v1/posts/%d", made.ID)
			if err == nil && answer.status == http.StatusCreated {
				err = ada.finds(t.Context(), word, made.ID)
			}
			if err == nil {
				answer, err = ada.try(t.Context(), "PUT", path, object{"title": "beside", "body": word + "z other"})
			}
			if err == nil && answer.status == http.StatusOK {
				err = ada.finds(t.Context(), word+"z", made.ID)
			}
			if err == nil {
				answer, err = ada.try(t.Context(), "DELETE", path, nil)
			}
			if err == nil && answer.status == http.StatusNoContent {
				err = ada.finds(t.Context(), word)
			}
			if err != nil || answer.status != http.StatusNoContent {
				t.Errorf("meanwhile: %d %s, %v", answer.status, answer.body, err)
				return
			}
		}
	})
	defer func() { stop(); beside.Wait(); t.Logf("%d posts were written, edited and deleted meanwhile", written) }()

	says := func(c *copyOfStack, command string, words ...string) {
		t.Helper()
		c.says(t, root, false, []string{command}, words...)
	}
	says(now, "deploy", "done")
	finds("测试", chinese) // which today's release has indexed
	finds("quokka", english)
	both := create("a quokka 也测试")
	finds("测试", both, chinese)

	says(now, "rollback")
	late := create("a quokka 再测试") // the previous release writes neither this ...
	change(both, "a wombat")       // ... nor this into the new table
	if answer := ada.ask("DELETE", fmt.Sprintf("/api/v1/posts/%d", english), nil); answer.status != http.StatusNoContent {
		t.Fatal(answer.status, answer.body)
	}
	finds("quokka", late)
	finds("wombat", both)

	says(now, "deploy", "done")
	finds("quokka", late)
	finds("wombat", both)
	finds("测试", late, chinese)
	finds(ada.word, late, both, chinese)
}

package e2e

import (
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// another is a copy in which only web runs, with files that the test provides.
var another = newCopy("oneserver-test-files", "18091", "11064", "172.28.13")

// Files of the usual kinds are served with the right type. No file is served if a part of its path begins with a dot, except
// in /.well-known/.
func TestFilesAreServedAsWhatTheyAre(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(files, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(files, os.DirFS(filepath.Join(root, "services/web"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(files, 0o755); err != nil { // the container's user must be able to read it
		t.Fatal(err)
	}
	const utf8 = "; charset=utf-8"
	kinds := []struct {
		end, kind string
		zipped    bool
	}{
		{"html", "text/html" + utf8, true}, {"css", "text/css" + utf8, true}, {"js", "text/javascript" + utf8, true}, {"mjs", "text/javascript" + utf8, true},
		{"txt", "text/plain" + utf8, true}, {"md", "text/markdown" + utf8, true}, {"csv", "text/csv" + utf8, true}, {"vtt", "text/vtt" + utf8, true}, {"ics", "text/calendar" + utf8, true},
		{"json", "application/json", true}, {"map", "application/json", true}, {"webmanifest", "application/manifest+json", true},
		{"xml", "application/xml", true}, {"rss", "application/rss+xml", true}, {"atom", "application/atom+xml", true},
		{"pdf", "application/pdf", false}, {"wasm", "application/wasm", true}, {"zip", "application/zip", false},
		{"svg", "image/svg+xml", true}, {"png", "image/png", false}, {"jpg", "image/jpeg", false}, {"jpeg", "image/jpeg", false}, {"gif", "image/gif", false},
		{"webp", "image/webp", false}, {"avif", "image/avif", false}, {"ico", "image/x-icon", true},
		{"woff2", "font/woff2", false}, {"woff", "font/woff", false}, {"ttf", "font/ttf", true}, {"otf", "font/otf", true},
		{"mp3", "audio/mpeg", false}, {"m4a", "audio/mp4", false}, {"ogg", "audio/ogg", false}, {"opus", "audio/ogg", false}, {"wav", "audio/wav", false},
		{"mp4", "video/mp4", false}, {"webm", "video/webm", false}, {"bin", "application/octet-stream", false},
	}
	for _, one := range kinds {
		write("kinds/a."+one.end, strings.Repeat("0123456789", 1000))
	}
	found := []string{"/.well-known/security.txt", "/.well-known/acme-challenge/token", "/.well-known/assetlinks.json", "/.well-known/a.b/c"}
	hidden := []string{"/.env", "/.git/config", "/kinds/.env", "/kinds/.git/config", "/.well-known/.env", "/.well-known/.git/config", "/.well-known/a/.env", "/.well-known/a/.b/c",
		"/.well-known-not/a", "/.well-knownx", "/.Well-Known/a", "/kinds/.well-known/a", "/..a", "/.well-known/..a"}
	for _, path := range append(found, hidden...) {
		write(path, "text")
	}
	override := filepath.Join(t.TempDir(), "override.yaml")
	if err := os.WriteFile(override, []byte("services: { web: { volumes: ['"+files+":/srv/web:ro'] } }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := another.remove(); err != nil {
			t.Error(err)
		}
	})
	if out, err := another.compose(t.Context(), "-f", "compose.yaml", "-f", override, "up", "--detach", "--no-deps", "--wait", "web"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	v := newVisitor(t, another)
	for _, one := range kinds {
		path := "/kinds/a." + one.end
		got := v.ask("GET", path, nil, "Accept-Encoding: identity")
		v.want(http.StatusOK, got)
		if kind := got.header.Get("Content-Type"); kind != one.kind {
			t.Errorf("%s is %q, want %q", path, kind, one.kind)
		}
		if said := got.header.Get("Cache-Control"); said != "no-cache" || got.header.Get("ETag") == "" {
			t.Errorf("%s: Cache-Control %q, ETag %q", path, said, got.header.Get("ETag"))
		}
		if zipped := v.ask("GET", path, nil, "Accept-Encoding: gzip").header.Get("Content-Encoding") == "gzip"; zipped != one.zipped {
			t.Errorf("%s is compressed: %t, want %t", path, zipped, one.zipped)
		}
	}
	if got := v.ask("GET", "/kinds/a.mp4", nil, "Range: bytes=10-13"); got.status != http.StatusPartialContent || got.body != "0123" || got.header.Get("Content-Range") != "bytes 10-13/10000" {
		t.Errorf("a part of a film: %d %v %.50s", got.status, got.header, got.body)
	}
	if got := v.ask("GET", "/kinds/a.mp4", nil, "Range: bytes=0-1,3-4"); got.status != http.StatusOK || len(got.body) != 10_000 {
		t.Errorf("many parts of a film: %d, %d bytes", got.status, len(got.body))
	}
	got := v.ask("GET", "/kinds/a.mp4", nil, "Range: bytes=10000-")
	if got.status != http.StatusRequestedRangeNotSatisfiable || got.header.Get("Content-Range") != "bytes */10000" {
		t.Errorf("a part beyond the end of a film: %d %v", got.status, got.header)
	}
	for name, values := range got.header {
		if len(values) > 1 {
			t.Errorf("and the header %s comes %d times", name, len(values))
		}
	}
	for _, path := range found {
		if got := v.ask("GET", path, nil); got.status != http.StatusOK || got.body != "text" {
			t.Errorf("%s: %d %.100s", path, got.status, got.body)
		}
	}
	if kind := v.ask("GET", found[0], nil).header.Get("Content-Type"); kind != "text/plain"+utf8 {
		t.Errorf("%s is %q", found[0], kind)
	}
	for _, path := range append(hidden, "/.well-known", "/.well-known/", "/%2eenv", "/%2Egit/config", "/.well-known/%2eenv", "/.well-known%2f.env", "/.well-known/../.env", "//.env", "/kinds//.env", "/%0a/.env",
		"/errors/error.json", "/errors/error.html", "/errors/words.conf") {
		if got := v.ask("GET", path, nil); got.status != http.StatusNotFound || got.body == "text" {
			t.Errorf("%s: %d %.100s", path, got.status, got.body)
		}
	}
	t.Run("an edited file is served within a second", func(t *testing.T) {
		for _, encoding := range []string{"identity", "gzip"} {
			for _, path := range []string{"/kinds/a.js", "/kinds/a.html"} {
				v.ask("GET", path, nil, "Accept-Encoding: "+encoding)
				edited := strings.Repeat("edited, "+encoding, 1000)
				write(path, edited)
				time.Sleep(time.Second) // the guaranteed time
				if got := v.ask("GET", path, nil, "Accept-Encoding: "+encoding); decoded(t, got) != edited {
					t.Errorf("%s, %s: it is %d bytes that begin with %.50q", path, encoding, len(got.body), got.body)
				}
			}
		}
	})
	t.Run("clients that do not accept gzip get none", func(t *testing.T) {
		for accepts, zipped := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "deflate,gzip ; q=1": true, "gzip;q=0": false, "gzip;q=0.000, *": false, "xgzip": false, "gzipx": false, "": false} {
			if got := v.ask("GET", "/kinds/a.css", nil, "Accept-Encoding: "+accepts); (got.header.Get("Content-Encoding") == "gzip") != zipped || got.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%q gets %v, want it compressed: %t", accepts, got.header, zipped)
			}
		}
	})
	if got := v.ask("GET", "/kinds/a.js", nil, "Accept-Encoding: identity", "Range: bytes=0-5"); got.status != http.StatusPartialContent || got.body != "edited" {
		t.Errorf("a part of a script: %d %v %.50s", got.status, got.header, got.body)
	}
	if got := v.ask("GET", "/kinds/none.js", nil); got.status != http.StatusNotFound || !strings.Contains(got.body, "There is nothing at this address") {
		t.Errorf("a script that is not there: %d %.100s", got.status, got.body)
	}
	if got := v.ask("GET", "/api/v1/posts", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(got.body, `"status":503`) {
		t.Errorf("an error of the API is %d %q: %s", got.status, got.header.Get("Content-Type"), got.body)
	}
}

// decoded returns the body of an answer with its Content-Encoding undone.
func decoded(t *testing.T, got reply) string {
	t.Helper()
	if got.header.Get("Content-Encoding") != "gzip" {
		return got.body
	}
	reader, err := gzip.NewReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

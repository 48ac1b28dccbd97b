package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// When all is well, `make up` prints no complaint from the doctor, leaves running services alone, and shows the addresses of
// this copy.
func TestUpIsQuietWhereAllIsWell(t *testing.T) {
	before := mainProcess(t, "db")
	out, err := site.ctl(t.Context(), nil, "up")
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"warning", "error"} {
		if strings.Contains(strings.ToLower(out), words) {
			t.Errorf("it says %q:\n%s", words, out)
		}
	}
	for _, words := range []string{"http://localhost:" + site.httpPort + "/", "www.foobar.com:" + site.httpPort + ":127.0.0.1", "-p " + site.dnsPort} {
		if !strings.Contains(out, words) {
			t.Errorf("it does not say %q:\n%s", words, out)
		}
	}
	if now := mainProcess(t, "db"); now != before {
		t.Errorf("db was process %d and is %d", before, now)
	}
}

// One archive holds every image of the stack and can be loaded again.
func TestImagesTravelInOneArchive(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "images.tar.gz")
	for _, command := range [][]string{{"bundle", archive}, {"load", archive}} {
		out, err := site.ctl(t.Context(), nil, command...)
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range []string{"oneserver-dns", "oneserver-app", "nginx:1.30", "mysql:9.7"} {
			if !strings.Contains(out, image) {
				t.Errorf("%s does not mention %s:\n%s", command[0], image, out)
			}
		}
		saysWhichImages(t, command[0], out)
	}
}

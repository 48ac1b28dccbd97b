package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"testing"
)

// archiveOf makes an archive as `docker save` does, with a layer of 100 kB that does not compress.
func archiveOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	layer := make([]byte, 100_000)
	rand.Read(layer)
	var out bytes.Buffer
	compressor := gzip.NewWriter(&out)
	entries := tar.NewWriter(compressor)
	add := func(name, content string) {
		if err := entries.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := entries.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	add("layer.tar", string(layer))
	for name, content := range files {
		add(name, content)
	}
	if err := errors.Join(entries.Close(), compressor.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var saved = map[string]string{
	"manifest.json":     `[{"Config":"blobs/sha256/aa","RepoTags":["mysql:9.7"]},{"Config":"blobs/sha256/bb","RepoTags":["nginx:1.30"]},{"Config":"bb.json","RepoTags":["oneserver-app:latest"]}]`,
	"blobs/sha256/aa":   `{"os":"linux","architecture":"arm64","config":{"Labels":{"org.oneserver.stand-in":"0123"}}}`,
	"blobs/sha256/bb":   `{"os":"linux","architecture":"arm64","config":{"Labels":{"maintainer":"somebody"}}}`,
	"bb.json":           `{"os":"linux","architecture":"arm64"}`,
	"repositories":      `{}`,
	"index.json":        `{}`,
	"unrelated/VERSION": `1.0`,
}

func TestArchiveTellsItsImagesAndTheirPlatform(t *testing.T) {
	t.Parallel()
	got, err := readArchive(bytes.NewReader(archiveOf(t, saved)))
	want := map[string]archived{"mysql:9.7": {"linux/arm64", StandIn}, "nginx:1.30": {"linux/arm64", Official}, "oneserver-app:latest": {"linux/arm64", Official}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("the archive has %v, %v; want %v", got, err, want)
	}
}

func TestTruncatedArchiveIsToldWhereverItEnds(t *testing.T) {
	t.Parallel()
	whole := archiveOf(t, saved)
	for _, size := range []int{5, 15, 1000, len(whole) / 2, len(whole) - 500, len(whole) - 9, len(whole) - 8, len(whole) - 1} {
		if got, err := readArchive(bytes.NewReader(whole[:size])); !errors.Is(err, errCut) {
			t.Errorf("%d of %d bytes: %v, %v; want %v", size, len(whole), got, err, errCut)
		}
	}
}

func TestDamagedArchiveIsTold(t *testing.T) {
	t.Parallel()
	whole := archiveOf(t, saved)
	for _, at := range []int{20_000, 50_000, len(whole) - 6} {
		damaged := bytes.Clone(whole)
		for i := range 4 {
			damaged[at+i] ^= 0xff
		}
		if got, err := readArchive(bytes.NewReader(damaged)); !errors.Is(err, errDamaged) && !errors.Is(err, errCut) {
			t.Errorf("damaged at %d: %v, %v; want %v", at, got, err, errDamaged)
		}
	}
}

func TestForeignFileIsTold(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	compressor := gzip.NewWriter(&text)
	compressor.Write([]byte(strings.Repeat("a letter to my aunt\n", 100)))
	compressor.Close()
	for what, content := range map[string][]byte{
		"an empty file":        nil,
		"a text":               []byte("127.0.0.1 localhost\n"),
		"a compressed text":    text.Bytes(),
		"an archive of others": archiveOf(t, map[string]string{"README": "hello"}),
	} {
		if got, err := readArchive(bytes.NewReader(content)); !errors.Is(err, errForeign) {
			t.Errorf("%s: %v, %v; want %v", what, got, err, errForeign)
		}
	}
}

func TestOnlyWhatTheStackCanRunOnThisEngineIsLoaded(t *testing.T) {
	t.Parallel()
	needed := []string{"mysql:9.7", "oneserver-app"}
	for _, c := range []struct {
		what  string
		found map[string]archived
		says  string // empty: it can be loaded
	}{
		{"all there", map[string]archived{"mysql:9.7": {platform: "linux/amd64"}, "oneserver-app:latest": {platform: "linux/amd64"}, "other:1": {platform: "linux/s390x"}}, ""},
		{"another architecture", map[string]archived{"mysql:9.7": {platform: "linux/arm64"}, "oneserver-app:latest": {platform: "linux/arm64"}}, "for linux/arm64 and this machine's engine runs linux/amd64"},
		{"one missing", map[string]archived{"mysql:9.7": {platform: "linux/amd64"}}, "oneserver-app is not in this archive"},
		{"an older release", map[string]archived{"mysql:9.6": {platform: "linux/amd64"}, "oneserver-app:latest": {platform: "linux/amd64"}}, "mysql:9.7 is not in this archive"},
	} {
		err := check(c.found, needed, "linux", "amd64")
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.says)
		}
	}
}

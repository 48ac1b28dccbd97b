package images

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestVersionIsReadFromWhatEachPluginPrints(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]version{
		"Docker Compose version v2.40.3-3":                   {2, 40, 3},
		"Docker Compose version 2.24.5":                      {2, 24, 5},
		"Docker Compose version v2.39.1-desktop.1":           {2, 39, 1},
		"github.com/docker/buildx 0.29.1+ds1 0.29.1+ds1-4":   {0, 29, 1},
		"github.com/docker/buildx v0.17.1 257815a6fbaee8976": {0, 17, 1},
		"docker-compose version 5.0":                         {5, 0, 0},
	} {
		if got, err := parseVersion(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	if got, err := parseVersion("unknown command"); err == nil {
		t.Errorf("no version is read as %v", got)
	}
}

func TestVersionsAreComparedAsNumbers(t *testing.T) {
	t.Parallel()
	ascending := []version{{0, 9, 9}, {0, 17, 0}, {2, 9, 0}, {2, 24, 0}, {2, 24, 1}, {10, 0, 0}}
	for i, older := range ascending {
		for j, newer := range ascending {
			if got, want := older.before(newer), i < j; got != want {
				t.Errorf("%s before %s is %t, want %t", older, newer, got, want)
			}
		}
	}
}

func TestBasesAreTheImagesADockerfileTakesFromOutside(t *testing.T) {
	t.Parallel()
	const dockerfile = `# FROM comment:1
ARG X
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
RUN echo FROM nowhere
from debian:sid-slim as tools
FROM build AS test
FROM scratch
COPY --from=build /app /app
`
	if got, want := bases(dockerfile), []string{"golang:1.26", "debian:sid-slim"}; !slices.Equal(got, want) {
		t.Errorf("bases are %q, want %q", got, want)
	}
}

func TestPlanTellsWhatIsPulledFromWhatIsBuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM golang:1.26 AS build\nFROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(map[string]any{"services": map[string]any{
		"dns":     map[string]any{"image": "oneserver-dns", "build": map[string]any{"context": dir, "dockerfile": "Dockerfile"}},
		"app":     map[string]any{"image": "oneserver-app", "build": map[string]any{"context": dir, "dockerfile": "Dockerfile"}},
		"migrate": map[string]any{"image": "oneserver-app"},
		"web":     map[string]any{"image": "nginx:1.30"},
		"db":      map[string]any{"image": "mysql:9.7"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var p project
	if err := json.Unmarshal(answer, &p); err != nil {
		t.Fatal(err)
	}
	got, err := planOf(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"pulled", got.pulled, []string{"mysql:9.7", "nginx:1.30"}},
		{"built", got.built, []string{"oneserver-app", "oneserver-dns"}},
		{"bases", got.bases, []string{"golang:1.26"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestStandInsHaveADockerfileEach(t *testing.T) {
	t.Parallel()
	for image, folder := range folders {
		if _, err := os.Stat(filepath.Join("../../..", folder, "Dockerfile")); err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
}

func TestMirrorIsTheFirstThatAContainerCanUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what      string
		addresses []string
		want      string
	}{
		{"none known", nil, defaultMirror},
		{"the host's own", []string{"http://mirror.example/debian/", "http://other.example/debian"}, "http://mirror.example/debian"},
		{"a disc and a file first", []string{"cdrom://debian/", "file:/srv/debian/", "https://mirror.example/debian/"}, "https://mirror.example/debian"},
		{"with a password", []string{"https://me:secret@mirror.example/debian/"}, defaultMirror},
	} {
		if got := mirrorAmong(c.addresses); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestListReadsAsASentence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, ""}, {[]string{"a"}, "a"}, {[]string{"a", "b"}, "a and b"}, {[]string{"a", "b", "c"}, "a, b and c"},
	} {
		if got := list(c.names); got != c.want {
			t.Errorf("%q is %q, want %q", c.names, got, c.want)
		}
	}
}

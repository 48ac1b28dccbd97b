package images

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/stack"
)

// fake replaces docker with a shell script. Each call of docker is recorded in the file that fake returns.
func fake(t *testing.T, script string) (*stack.Stack, string) {
	t.Helper()
	dir := dockertest.Replace(t, "echo \"$*\" >> \"${0%/*}/calls\"\n"+script)
	return stack.New(dir), filepath.Join(dir, "calls")
}

func TestARegistryThatRefusesForNowIsAnErrorAndOneThatIsAwayIsNot(t *testing.T) {
	for _, c := range []struct {
		says   string
		reason string // why pulling goes on without the registry; empty if this is an error
	}{
		{"Error response from daemon: toomanyrequests: You have reached your pull rate limit.", ""},
		{"Error response from daemon: error parsing HTTP 429 response body: invalid character", ""},
		{"Error response from daemon: Get https://registry-1.docker.io/v2/: no such host", "Get https://registry-1.docker.io/v2/: no such host"},
	} {
		cli, _ := fake(t, "echo '"+c.says+"' >&2; exit 1")
		r, _ := plain(t)
		reason, err := pull(t.Context(), cli, r, []string{"mysql:9.7"})
		if reason != c.reason || (err == nil) != (c.reason != "") {
			t.Errorf("%s: %q, %v; want %q", c.says, reason, err, c.reason)
		}
		if err != nil && !strings.Contains(err.Error(), "docker login") {
			t.Errorf("%s: it does not say what to do: %v", c.says, err)
		}
	}
}

// The images from an archive are enough to run if nothing can be pulled, and buildx is then not needed. If pulling is
// possible, as after a plain `docker compose up`, which keeps no base image, ours are rebuilt.
func TestLoadedImagesAreTakenAsTheyAreWhereNothingCanBePulled(t *testing.T) {
	for _, c := range []struct{ pull, says string }{
		{"echo 'no such host' >&2; exit 1", "golang:1.26 is not here and cannot be pulled: oneserver-app stay"},
		{"echo pulled", "pulled golang:1.26"},
	} {
		cli, calls := fake(t, `case "$1 $3" in
"compose --format") echo '{"services":{"app":{"image":"oneserver-app","build":{"context":"'"$PWD"'","dockerfile":"Dockerfile"}},"web":{"image":"nginx:1.30"}}}' ;;
"image golang:1.26") echo '[]'; echo 'Error: No such image: golang:1.26' >&2; exit 1 ;;
"image "*) echo '[{"Id":"sha256:1"}]' ;;
"pull "*) `+c.pull+` ;;
"info "*) echo '{"ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v0.29.0"}]}}' ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac`)
		if err := os.WriteFile(filepath.Join(cli.Dir, "Dockerfile"), []byte("FROM golang:1.26\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, out := plain(t)
		err := Ensure(t.Context(), cli, r)
		text, _ := os.ReadFile(calls)
		built := strings.Contains(string(text), "info") // the first thing that a build asks for is buildx
		if !strings.Contains(out.String(), c.says) || built != (c.pull == "echo pulled") || built != (err != nil) {
			t.Errorf("%v, printed %q; docker was called with\n%s", err, out, text)
		}
	}
}

func TestAnInterruptedQuestionIsNotAMissingPlugin(t *testing.T) {
	cli, _ := fake(t, "echo {}")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, out := plain(t)
	if _, err := EnsurePlugin(ctx, cli, r, docker.Buildx); !errors.Is(err, context.Canceled) || out.Len() > 0 {
		t.Errorf("%v, printed %q; want %v alone", err, out, context.Canceled)
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
	var p stack.Project
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
	if got, err = planOf(p, "app"); err != nil || !slices.Equal(got.built, []string{"oneserver-app"}) || len(got.pulled) > 0 {
		t.Errorf("for app alone it is %+v, %v", got, err)
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

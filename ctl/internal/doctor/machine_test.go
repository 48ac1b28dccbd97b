package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oneserver/ctl/internal/stack"
)

func TestAFolderThatDockerReadsOtherwiseIsTold(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/home/ada/oneserver": "", "/home/ada/my site's (new) #1 $x é": "",
		"/srv/12:30/site": "a colon", "/srv/a,b": "a comma", `/srv/"site"`: "a double quote", "/srv/100%sure": "a percent sign", "/srv/a\nb": "a line break",
	} {
		if got := oddCharacter(path); got != want {
			t.Errorf("of %q it says %q, want %q", path, got, want)
		}
	}
}

func TestVariablesThatLeadElsewhereAreToldByName(t *testing.T) {
	t.Parallel()
	dir, other := withoutEnvFile(t), t.TempDir()
	write(t, dir, "more.yaml", "services: {}")
	for _, c := range []struct{ variable, about string }{
		{"COMPOSE_FILE=" + filepath.Join(other, "compose.yaml"), "COMPOSE_FILE"},
		{"COMPOSE_FILE=" + filepath.Join(dir, "compose.yaml") + string(os.PathListSeparator) + "more.yaml", "folder"},
		{"COMPOSE_FILE=compose.yaml", "folder"},
		{"DOCKER_CONTENT_TRUST=1", "DOCKER_CONTENT_TRUST"},
		{"DOCKER_HOST=tcp://192.0.2.1:2375", "Docker"},
	} {
		f := gather(t.Context(), stack.New(dir, append(os.Environ(), "COMPOSE_PROJECT_NAME=ctl-test-machine", c.variable)...))
		f.engine = func() (engine, error) { return engine{}, nil } // an engine that answers, wherever it is
		got, err := checkClone(t.Context(), f)
		if err != nil || len(got) != 1 || got[0].About != c.about || (got[0].Level == Error) == (c.about == "folder") {
			t.Errorf("with %s it finds %+v, %v; want something about %s", c.variable, got, err, c.about)
		}
	}
}

func TestFilesThatNoContainerCanReadAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "nginx.conf", "")
	if err := os.Mkdir(filepath.Join(dir, "site"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "site/style.css", "")
	mode := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	project := stack.Project{Services: map[string]stack.Service{"web": {Volumes: []struct{ Type, Source string }{
		{"bind", filepath.Join(dir, "nginx.conf")}, {"bind", filepath.Join(dir, "site")}, {"volume", "data"},
	}}}}
	for _, c := range []struct {
		conf, folder, style os.FileMode
		want                []string
	}{
		{0o644, 0o755, 0o644, nil},
		{0o600, 0o755, 0o644, []string{"nginx.conf"}},
		{0o644, 0o700, 0o644, []string{"site"}},
		{0o600, 0o700, 0o600, []string{"nginx.conf", "site", "site/style.css"}}, // umask 077
	} {
		mode("nginx.conf", c.conf)
		mode("site", c.folder)
		mode("site/style.css", c.style)
		got, err := unreadable(project)
		for i, path := range got {
			got[i] = strings.TrimPrefix(path, dir+string(os.PathSeparator))
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("with %o, %o and %o: %q, %v; want %q", c.conf, c.folder, c.style, got, err, c.want)
		}
	}
}

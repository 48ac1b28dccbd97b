package stack

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestTheRootIsFoundFromAnywhereInTheRepository(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	deep := filepath.Join(root, "services", "web")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := FindRoot(deep); err == nil {
		t.Errorf("without a compose.yaml it finds %s", got)
	}
	if err := os.WriteFile(filepath.Join(root, "compose.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, deep} {
		if got, err := FindRoot(dir); err != nil || got != root {
			t.Errorf("from %s it finds %q, %v; want %s", dir, got, err, root)
		}
	}
}

func TestEverySettingIsDocumentedWithItsDefault(t *testing.T) {
	t.Parallel()
	got, err := New("../../..").Defaults()
	if err != nil {
		t.Fatal(err)
	}
	delete(got, "GOPROXY") // GOPROXY concerns builds and is Go's own
	text, err := os.ReadFile("../../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	documented := Settings{}
	for line := range strings.Lines(string(text)) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), "="); is && !strings.HasPrefix(line, "#") {
			documented[name] = value
		}
	}
	if !maps.Equal(got, documented) {
		t.Errorf("compose.yaml has %q, .env.example %q", got, documented)
	}
}

func TestWithoutComposeTheEnvironmentStillCounts(t *testing.T) {
	t.Parallel()
	got, err := New("../../..", "DOMAIN=example.net", "DOMAIN=example.org", "HTTP_PORT=").EnvironmentSettings()
	if err != nil || got["DOMAIN"] != "example.org" || got["HTTP_PORT"] != "80" {
		t.Errorf("the settings are %q, %v; want the last DOMAIN, and the default for an empty HTTP_PORT", got, err)
	}
}

// fakeDocker replaces docker with a shell script.
func fakeDocker(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for docker is a shell script")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// Docker joins filters for the same label by "and", as does this stand-in.
func TestContainersOfSeveralServicesAreFound(t *testing.T) {
	fakeDocker(t, `case "$*" in
compose*) echo '{"name": "p"}' ;;
ps*com.docker.compose.service=*com.docker.compose.service=*) ;;
ps*) echo a b c ;;
inspect*) echo '[{"Id": "a", "Config": {"Labels": {"com.docker.compose.service": "app"}}},
	{"Id": "b", "Config": {"Labels": {"com.docker.compose.service": "db"}}}, {"Id": "c", "Config": {"Labels": {"com.docker.compose.service": "web"}}}]' ;;
esac`)
	s := New(t.TempDir())
	for _, test := range []struct {
		services []string
		want     string
	}{{nil, "abc"}, {[]string{"db"}, "b"}, {[]string{"web", "app"}, "ac"}, {[]string{"dns"}, ""}} {
		list, err := s.Containers(t.Context(), test.services...)
		got := ""
		for _, c := range list {
			got += c.ID
		}
		if err != nil || got != test.want {
			t.Errorf("of %q it finds %q, %v; want %q", test.services, got, err, test.want)
		}
	}
}

func TestWhatIsSetOnThisMachineDoesNotReachACopy(t *testing.T) {
	t.Parallel()
	s := New("../../..", "DISK_RESERVE=1000000", "HTTPS_PORT=8443", "COMPOSE_PATH_SEPARATOR=,", "GOPROXY=https://proxy.example")
	copied, err := s.Copy("p", "more.yaml", "SUBNET=172.28.7")
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	want["SUBNET"], want["GOPROXY"] = "172.28.7", "https://proxy.example"
	got, err := copied.EnvironmentSettings()
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("the copy has %q, %v; want %q", got, err, want)
	}
	if files := strings.Split(copied.Getenv("COMPOSE_FILE"), copied.Getenv("COMPOSE_PATH_SEPARATOR")); len(files) != 2 {
		t.Errorf("Compose would read the files %q", files)
	}
}

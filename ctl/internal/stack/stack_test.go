package stack

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/docker/dockertest"
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

// Docker joins filters for the same label by "and", as does this stand-in.
func TestContainersOfSeveralServicesAreFound(t *testing.T) {
	dockertest.Replace(t, `case "$*" in
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

func TestWaitingForHealthEndsWithItOrWithWhatIsHopeless(t *testing.T) {
	t.Parallel()
	well, sick := docker.Container{Name: "/well"}, docker.Container{Name: "/sick"}
	for _, c := range []*docker.Container{&well, &sick} {
		state := `{"State": {"Status": "running", "Health": {"Status": "` + map[bool]string{true: "healthy", false: "unhealthy"}[c == &well] + `"}}}`
		if err := json.Unmarshal([]byte(state), c); err != nil {
			t.Fatal(err)
		}
	}
	s := New(t.TempDir())
	await := func(within time.Duration, hopeless bool, answers ...[]docker.Container) error {
		asked := 0
		return s.Await(t.Context(), within, func(context.Context) ([]docker.Container, error) {
			if asked++; asked == 1 {
				return []docker.Container{sick}, errors.New("there are two") // which of them counts is not known yet
			}
			return answers[min(asked-2, len(answers)-1)], nil
		}, func(docker.Container) bool { return hopeless })
	}
	if err := await(time.Minute, false, []docker.Container{well, sick}, []docker.Container{well}); err != nil {
		t.Errorf("it becomes healthy: %v", err)
	}
	if err := await(500*time.Millisecond, false, []docker.Container{well, sick}); err == nil || err.Error() != "after 500ms: sick is not healthy" {
		t.Errorf("it does not: %v", err)
	}
	if err := await(time.Minute, true, []docker.Container{well, sick}); err == nil || err.Error() != "sick is not healthy" {
		t.Errorf("it never will: %v", err)
	}
}

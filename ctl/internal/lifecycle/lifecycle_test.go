package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

const shellImage = "nginx:1.30" // any image with a shell would do; the stack needs this one anyway

// project makes a small, separate Compose project on the real engine, which is removed when the test ends.
func project(t *testing.T, name, composeFile string) *stack.Stack {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(composeFile), 0o600); err != nil {
		t.Fatal(err)
	}
	cli := stack.New(dir, append(os.Environ(), "COMPOSE_PROJECT_NAME="+name)...)
	if _, err := cli.Output(t.Context(), "image", "inspect", shellImage); err != nil {
		t.Skip(err)
	}
	down := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own context has ended by then
		defer cancel()
		if _, err := cli.Output(ctx, "compose", "down", "--volumes", "--timeout", "0"); err != nil {
			t.Error(err)
		}
	}
	down() // what a run that was killed has left
	t.Cleanup(down)
	return cli
}

// output returns a file to print to, and a function that returns what has been printed.
func output(t *testing.T) (*os.File, func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, func() string {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestAFailedStartIsExplainedByTheServiceAtFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, db string // what db runs, and its health check
		says     []string
	}{
		{"it ends", `{image: nginx:1.30, network_mode: none, entrypoint: [sh, -c, "echo no room on the disk; exit 3"]}`,
			[]string{"db ended with exit code 3", "its log ends with:\n    no room on the disk"}},
		{"it is unhealthy", `{image: nginx:1.30, network_mode: none, init: true, entrypoint: [sh, -c, "echo here I am; exec sleep 600"],
			healthcheck: {test: [CMD-SHELL, "echo the first start was cut off; exit 1"], interval: 100ms, retries: 2}}`,
			[]string{"db runs and is unhealthy", "its log ends with:\n    here I am", "its health check says:\n    the first start was cut off"}},
		{"it cannot be started", `{image: nginx:1.30, network_mode: none, entrypoint: [/no/such/program]}`,
			[]string{"db could not be started:", "/no/such/program"}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cli := project(t, "ctl-test-up-"+string(rune('a'+i)), `services:
  web: {image: nginx:1.30, network_mode: none, init: true, entrypoint: [sh, -c, "echo all is well; exec sleep 600"]}
  db: `+test.db)
			out, printed := output(t)
			if err := start(t.Context(), cli, out); err == nil {
				t.Fatal("the stack started")
			}
			explain(t.Context(), cli, out)
			for _, words := range test.says {
				if !strings.Contains(printed(), words) {
					t.Errorf("it does not say %q:\n%s", words, printed())
				}
			}
			if strings.Contains(printed(), "all is well") {
				t.Errorf("it blames web too:\n%s", printed())
			}
		})
	}
}

func TestTheAddressesFollowTheSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		settings stack.Settings
		want     string
	}{
		{"a laptop", stack.Settings{"DOMAIN": "foobar.com", "BIND": "127.0.0.1", "HTTP_PORT": "80", "DNS_PORT": "1053"}, `
the site  http://localhost/
          curl --resolve www.foobar.com:80:127.0.0.1 http://www.foobar.com/
its name  dig @127.0.0.1 -p 1053 www.foobar.com
next      make ps, make logs, make test, make down
`},
		{"a server", stack.Settings{"DOMAIN": "example.org", "BIND": "0.0.0.0", "HTTP_PORT": "8080", "DNS_PORT": "53"}, `
the site  http://localhost:8080/
          curl --resolve www.example.org:8080:127.0.0.1 http://www.example.org:8080/
its name  dig @127.0.0.1 -p 53 www.example.org
next      make ps, make logs, make test, make down
`},
		{"a server with a certificate of a public authority", stack.Settings{"DOMAIN": "example.org", "BIND": "0.0.0.0", "HTTP_PORT": "80", "DNS_PORT": "53", "ACME": "https://ca.example/directory"}, `
the site  https://www.example.org/ once its certificate has come: make doctor says why it has not
its name  dig @127.0.0.1 -p 53 www.example.org
next      make ps, make logs, make test, make down
`},
		{"one address of several", stack.Settings{"DOMAIN": "example.org", "BIND": "192.0.2.7", "HTTP_PORT": "80", "DNS_PORT": "53"}, `
the site  curl --resolve www.example.org:80:192.0.2.7 http://www.example.org/
its name  dig @192.0.2.7 -p 53 www.example.org
next      make ps, make logs, make test, make down
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := printAddresses(&out, test.settings); err != nil || out.String() != test.want {
				t.Errorf("%v, printed %s\nwant %s", err, out.String(), test.want)
			}
		})
	}
}

// If only the certificate is missing, the site is reported as up; any other fault prevents that.
func TestASiteIsUpWithoutItsCertificate(t *testing.T) {
	t.Parallel()
	one := func(service, status, health string) docker.Container {
		var c docker.Container
		text := fmt.Sprintf(`{"Name": "/x-%s-1", "State": {"Status": %q, "Health": {"Status": %q}}, "Config": {"Labels": {"com.docker.compose.service": %q}}}`, service, status, health, service)
		if health == "" {
			text = strings.Replace(text, `, "Health": {"Status": ""}`, "", 1)
		}
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	lacking := one("certs", "running", "unhealthy")
	for _, test := range []struct {
		name       string
		containers []docker.Container
		says       string // empty if only the certificate is missing
	}{
		{"all else is well", []docker.Container{lacking, one("web", "running", "healthy"), one("migrate", "exited", "")}, ""},
		{"another one is starting", []docker.Container{lacking, one("app", "running", "starting")}, "x-app-1 is not healthy yet"},
		{"another one is not there yet", []docker.Container{lacking, one("app", "created", "")}, "x-app-1 is not healthy yet"},
		{"another one is not well", []docker.Container{lacking, one("app", "running", "unhealthy")}, "x-app-1 runs and is unhealthy"},
		{"certs ends again and again", []docker.Container{one("certs", "restarting", "unhealthy"), one("web", "running", "healthy")}, "x-certs-1 ends again"},
		{"it is something else", []docker.Container{one("certs", "running", "healthy"), one("web", "running", "healthy")}, "has a certificate"},
	} {
		err := judgeLack(test.containers)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}

func TestResetRemovesWhatItShowsAndOnlyWhenToldTo(t *testing.T) {
	t.Parallel()
	cli := project(t, "ctl-test-reset", `services:
  web: {image: nginx:1.30, network_mode: none, entrypoint: ["true"]}
  db:
    image: nginx:1.30
    network_mode: none
    user: "999:999"
    init: true
    tmpfs: /tmp
    entrypoint: [sleep, "600"]
    volumes: ["data:/data", "certs:/certs"]
volumes: {data: {}, certs: {}}`)
	if _, err := cli.Output(t.Context(), "compose", "up", "--detach"); err != nil {
		t.Fatal(err)
	}
	notATerminal, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notATerminal.Close() })

	out, printed := output(t)
	if err := Reset(t.Context(), cli, notATerminal, out, false); err == nil || !errors.Is(err, ErrDeclined) || !strings.Contains(err.Error(), "bin/oneserver reset --yes") {
		t.Errorf("without a terminal and without --yes: %v", err)
	}
	for _, words := range []string{"container ctl-test-reset-db-1, running", "volume    ctl-test-reset_data, 1 MB"} {
		if !strings.Contains(printed(), words) {
			t.Errorf("it does not show %q:\n%s", words, printed())
		}
	}
	if left := remaining(t, cli); len(left) != 4 {
		t.Fatalf("after it was refused there are %q", left)
	}
	if err := Reset(t.Context(), cli, notATerminal, out, true); err != nil {
		t.Errorf("with --yes: %v", err)
	}
	if left := remaining(t, cli); len(left) != 1 || left[0] != "ctl-test-reset_certs" || !strings.Contains(printed(), "kept: the volume ctl-test-reset_certs") {
		t.Errorf("after it there are %q, want the certificates alone:\n%s", left, printed())
	}
	if err := Reset(t.Context(), cli, notATerminal, out, false); err != nil || !strings.Contains(printed(), "nothing to remove") {
		t.Errorf("with nothing there: %v\n%s", err, printed())
	}
}

func remaining(t *testing.T, cli *stack.Stack) []string {
	t.Helper()
	ofProject := "label=com.docker.compose.project=ctl-test-reset"
	containers, err := cli.Output(t.Context(), "ps", "--all", "--quiet", "--filter", ofProject)
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := cli.Output(t.Context(), "volume", "ls", "--quiet", "--filter", ofProject)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(containers + volumes)
}

func TestOnlyTheProjectsNameConfirms(t *testing.T) {
	t.Parallel()
	for typed, confirmed := range map[string]bool{"oneserver\n": true, " oneserver \r\n": true, "oneserver": true, "yes\n": false, "y\n": false, "\n": false, "": false, "Oneserver\n": false} {
		if err := confirm(t.Context(), strings.NewReader(typed), "oneserver"); (err == nil) != confirmed || err != nil && !errors.Is(err, ErrDeclined) {
			t.Errorf("%q: %v, want it taken for a yes: %t", typed, err, confirmed)
		} else if err != nil && (!strings.Contains(err.Error(), strconv.Quote(strings.TrimSpace(typed))) || !strings.Contains(err.Error(), `"oneserver"`)) {
			t.Errorf("%q: %v does not say what was typed and what was to be", typed, err)
		}
	}
}

func TestCtrlCAtTheQuestionRemovesNothing(t *testing.T) {
	t.Parallel()
	silent, typing := io.Pipe() // nobody types
	t.Cleanup(func() { typing.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := confirm(ctx, silent, "oneserver"); !errors.Is(err, ErrDeclined) {
		t.Errorf("it ends with %v, want %v", err, ErrDeclined)
	}
}

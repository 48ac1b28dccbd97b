package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// copyOf returns a copy of the repository's stack, not started, with a different project name, the given settings and none
// of this machine's.
func copyOf(t *testing.T, project string, settings ...string) *stack.Stack {
	t.Helper()
	env := append(os.Environ(), "COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_PROJECT_NAME="+project, "DOMAIN=foobar.com", "SERVER_IP=8.8.8.8",
		"BIND=127.0.0.1", "HTTP_PORT=18071", "HTTPS_PORT=18471", "ACME=", "DNS_PORT=11071", "SUBNET=172.30.71")
	return stack.New("../../..", append(env, settings...)...)
}

// needEngine skips a test if there is no engine to examine.
func needEngine(t *testing.T, cli *stack.Stack) *facts {
	t.Helper()
	facts := gather(t.Context(), cli)
	if _, err := facts.engine(); err != nil {
		t.Skip(err)
	}
	return facts
}

func find(findings []Finding, about string) (Finding, bool) {
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.About == about })
	if i < 0 {
		return Finding{}, false
	}
	return findings[i], true
}

func TestAPortInUseIsNamedWithWhoHoldsIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		setting string
		hold    func() (net.Addr, func() error, error)
	}{
		{"HTTP_PORT", func() (net.Addr, func() error, error) { return holdTCP("127.0.0.1:" + quietPort(t)) }},
		{"HTTP_PORT", func() (net.Addr, func() error, error) { return holdTCP(":" + quietPort(t)) }},
		{"HTTPS_PORT", func() (net.Addr, func() error, error) { return holdTCP("127.0.0.1:" + quietPort(t)) }},
		{"DNS_PORT", func() (net.Addr, func() error, error) { return holdTCP("127.0.0.1:" + quietPort(t)) }},
		{"DNS_PORT", func() (net.Addr, func() error, error) {
			socket, err := net.ListenPacket("udp", "127.0.0.1:"+quietPort(t))
			if err != nil {
				return nil, nil, err
			}
			return socket.LocalAddr(), socket.Close, nil
		}},
	}
	for _, test := range tests {
		address, release, err := test.hold()
		if err != nil {
			t.Fatal(err)
		}
		t.Run(test.setting+" "+address.Network()+" "+address.String(), func(t *testing.T) {
			t.Parallel()
			port := netip.MustParseAddrPort(address.String()).Port()
			cli := copyOf(t, "ctl-test-ports", fmt.Sprintf("%s=%d", test.setting, port))
			got, err := checkPorts(t.Context(), needEngine(t, cli))
			if err != nil {
				t.Fatal(err)
			}
			holder := fmt.Sprintf("(pid %d)", os.Getpid())
			if len(got) != 1 || got[0].Level != Error || got[0].About != test.setting || !strings.Contains(got[0].Says, holder) || !strings.Contains(got[0].Do, test.setting+"=") {
				t.Errorf("found %+v, want one error about %s that says %q", got, test.setting, holder)
			}
			if err := release(); err != nil {
				t.Fatal(err)
			}
			got, err = checkPorts(t.Context(), needEngine(t, cli))
			if err != nil || len(got) != 1 || got[0].Level != OK {
				t.Errorf("with the port given back, found %+v, %v", got, err)
			}
		})
	}
}

// looked is how many ports quietPort has looked at.
var looked atomic.Uint32

// quietPort returns a port that is free over TCP and UDP. It stays free after it is released, because it is below those that
// systems assign to outgoing connections, of which other programs on this machine make many.
func quietPort(t *testing.T) string {
	t.Helper()
	for number := 20000 + looked.Add(1); number < 30000; number = 20000 + looked.Add(1) { // no two parallel tests get the same
		address := netip.AddrPortFrom(netip.MustParseAddr("0.0.0.0"), uint16(number))
		if listen(t.Context(), published{network: "tcp", address: address}) == nil && listen(t.Context(), published{network: "udp", address: address}) == nil {
			return strconv.Itoa(int(number))
		}
	}
	t.Fatal("no port is free between 20000 and 30000")
	return ""
}

func holdTCP(address string) (net.Addr, func() error, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	return socket.Addr(), socket.Close, nil
}

func TestASubnetOfAnotherNetworkIsNamed(t *testing.T) {
	t.Parallel()
	const name = "ctl-test-collision"
	cli := copyOf(t, "ctl-test-network", "SUBNET=172.30.72")
	facts := needEngine(t, cli)
	fresh(t, cli, "network", name)
	if _, err := cli.Output(t.Context(), "network", "create", "--subnet", "172.30.72.0/25", "--label", "com.docker.compose.project=shop", name); err != nil {
		t.Fatal(err)
	}
	got, err := checkNetwork(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Level != Error || !strings.Contains(got[0].Says, name+" of the Compose project shop") || !strings.Contains(got[0].Do, "docker network rm "+name) {
		t.Errorf("found %+v, want one error that names %s", got, name)
	}

	own := copyOf(t, "ctl-test-network", "SUBNET=172.30.73")
	if got, err := checkNetwork(t.Context(), gather(t.Context(), own)); err != nil || len(got) != 1 || got[0].Level != OK {
		t.Errorf("in another subnet, found %+v, %v", got, err)
	}
}

// This uses real volumes; TestWhatIsInTheVolumesDecides has the other cases.
func TestADataVolumeThatCannotServeIsTold(t *testing.T) {
	t.Parallel()
	const (
		incomplete = "mkdir /data/mysql && touch /data/ibdata1"
		complete   = incomplete + " && echo 123 > /data/stack_id"
		matching   = "echo 123 > /secrets/stack_id"
	)
	tests := []struct {
		name         string
		volumes      []string // the volumes that exist
		content      string   // a shell script that fills them
		level        Level
		says, remedy string
	}{
		{"nothing yet", nil, "", OK, "none yet", ""},
		{"a first start that was cut off", []string{"data", "secrets"}, incomplete + " && " + matching, Error, "never fully initialised", "make reset"},
		{"the secrets are gone", []string{"data"}, complete, Error, "passwords that are not here", "restore"},
		{"both belong together", []string{"data", "secrets"}, complete + " && " + matching, OK, "complete", ""},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			project := fmt.Sprintf("ctl-test-data-%d", i)
			cli := copyOf(t, project)
			facts := needEngine(t, cli)
			image := "nginx:1.30" // the image that the check uses to read the volumes
			if here, err := facts.images(); err != nil || here[image].ID == "" {
				t.Skipf("%s is not here (%v)", image, err)
			}
			run := []string{"run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", "sh"}
			for _, volume := range test.volumes {
				name := project + "_" + volume
				fresh(t, cli, "volume", name)
				if _, err := cli.Output(t.Context(), "volume", "create", name); err != nil {
					t.Fatal(err)
				}
				run = append(run, "--volume", name+":/"+volume)
			}
			if test.content != "" {
				if _, err := cli.Output(t.Context(), append(run, image, "-c", test.content)...); err != nil {
					t.Fatal(err)
				}
			}
			got, err := checkData(t.Context(), facts)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Level != test.level || !strings.Contains(got[0].Says, test.says) || !strings.Contains(got[0].Do, test.remedy) {
				t.Errorf("found %+v, want one %s that says %q and %q", got, test.level, test.says, test.remedy)
			}
			there, err := cli.Output(t.Context(), "volume", "ls", "--quiet", "--filter", "name="+project)
			if err != nil || len(strings.Fields(there)) != len(test.volumes) {
				t.Errorf("after the check these volumes are there: %q, %v; want %q", there, err, test.volumes)
			}
		})
	}
}

// fresh removes what a test creates, both before the test, in case a killed run has left it, and afterwards.
func fresh(t *testing.T, cli *stack.Stack, kind, name string) {
	t.Helper()
	_, _ = cli.Output(t.Context(), kind, "rm", name) // usually it does not exist
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // the test's own has ended
		defer cancel()
		if _, err := cli.Output(ctx, kind, "rm", name); err != nil {
			t.Error(err)
		}
	})
}

func TestSettingsComeFromWhereComposeTakesThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "compose.yaml", "services: {web: {image: none, environment: {A: '${DOMAIN:-foobar.com}', B: '${HTTP_PORT:-80}', C: '${SERVER_IP:-8.8.8.8}', D: '${BIND:-127.0.0.1}', E: '${DNS_PORT:-1053}'}, ports: ['${HTTP_PORT:-80}:80']}}")
	write(t, dir, ".env", "SERVER_IP='203.0.113.10' # with a comment\nHTTP_PORT=no-port\nBIND=\nDNS_PORT=53\n")
	// without this machine's own settings
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return laptop[name] != "" || strings.HasPrefix(name, "COMPOSE_")
	})
	cli := stack.New(dir, append(env, "DOMAIN=", "DNS_PORT=5353")...)
	if _, err := cli.Output(t.Context(), "compose", "version"); err != nil {
		t.Skip(err)
	}
	got, err := cli.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := stack.Settings{"DOMAIN": "foobar.com", "HTTP_PORT": "no-port", "SERVER_IP": "203.0.113.10", "BIND": "127.0.0.1", "DNS_PORT": "5353"}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

func TestNoDockerCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	findings := Examine(t.Context(), stack.New(withoutEnvFile(t), "DOMAIN=foobar"))
	if got, _ := find(findings, "Docker"); got.Level != Error || !strings.Contains(got.Do, "https://docs.docker.com/get-docker/") {
		t.Errorf("of Docker it says %+v", got)
	}
	if got, _ := find(findings, "DOMAIN"); got.Level != Error {
		t.Errorf("of DOMAIN=foobar it says %+v", got)
	}
	for _, f := range findings {
		if f.Level > Note && f.About != "Docker" && f.About != "DOMAIN" {
			t.Errorf("it also says %+v", f)
		}
	}
}

// withoutEnvFile returns a folder with the repository's compose.yaml but no .env.
func withoutEnvFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "compose.yaml", string(text))
	return dir
}

// Only Compose reads .env. A check that assumed the defaults might report a port that .env has already changed.
func TestWithoutComposeAnEnvFileMakesTheSettingsUnknown(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "docker", infoPrints(`{"ServerVersion":"28.0.0","OSType":"linux"}`))
	t.Setenv("PATH", dir)
	address, release, err := holdTCP("127.0.0.1:" + quietPort(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { release() })
	port := netip.MustParseAddrPort(address.String()).Port()
	cli := stack.New(withoutEnvFile(t), "PATH="+dir, fmt.Sprintf("HTTP_PORT=%d", port))
	for _, check := range []func(context.Context, *facts) ([]Finding, error){checkSettings, checkPorts} {
		if got, err := check(t.Context(), gather(t.Context(), cli)); errors.Is(err, errUnknown) {
			t.Errorf("without .env: %+v, %v; want it checked", got, err)
		}
	}
	write(t, cli.Dir, ".env", "HTTP_PORT=8080\n")
	for _, check := range []func(context.Context, *facts) ([]Finding, error){checkSettings, checkPorts, checkNetwork} {
		if got, err := check(t.Context(), gather(t.Context(), cli)); !errors.Is(err, errUnknown) || !strings.Contains(err.Error(), "needs Compose to read .env") {
			t.Errorf("with .env: %+v, %v; want it unknown", got, err)
		}
	}
}

// If a database ends before its first probe, it has a health check but no log of it.
func TestWhatADatabaseThatIsNotWellSaysLast(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{
		`{}`:                      "it ends again and again, before its first health check",
		`{"Health": {"Log": []}}`: "it ends again and again, before its first health check",
		`{"Health": {"Log": [{"Output": "starting\n"}, {"Output": "cut off before\nit was complete\n"}]}}`: "cut off before it was complete",
	} {
		var c docker.Container
		if err := json.Unmarshal([]byte(`{"State": `+state+`}`), &c); err != nil {
			t.Fatal(err)
		}
		if got := lastHealth(c); got != want {
			t.Errorf("of %s it says %q, want %q", state, got, want)
		}
	}
}

// infoPrints returns a fake docker command whose info prints the given text. Like docker before 23.0, it treats "json" as a
// template.
func infoPrints(info string) string {
	return "#!/bin/sh\n[ \"$3\" != json ] || { echo json; exit; }\nprintf '%s' '" + info + "'\n"
}

func TestAnEngineThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	closed, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	closed.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	cli := copyOf(t, "ctl-test-closed", "DOCKER_HOST=unix://"+socket)
	findings := Examine(t.Context(), cli)
	if got, _ := find(findings, "Docker"); got.Level != Error || !strings.Contains(got.Says, "does not answer") || !strings.Contains(got.Do, "unset DOCKER_HOST") {
		t.Errorf("of Docker it says %+v", got)
	}
	if err := Verdict(findings); err == nil || !strings.Contains(err.Error(), "the error above") {
		t.Errorf("its verdict is %v, of %+v", err, findings)
	}
}

func TestAnEngineThatHangs(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	deaf, err := net.Listen("unix", socket) // the kernel accepts connections, but nobody reads from them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deaf.Close() })
	ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, docker.ErrSilent) // instead of the real patience
	defer cancel()
	facts := gather(ctx, copyOf(t, "ctl-test-hanging", "DOCKER_HOST=unix://"+socket))
	got, err := checkEngine(t.Context(), facts)
	if err != nil || len(got) != 1 || got[0].Level != Error || !strings.Contains(got[0].Says, docker.ErrSilent.Error()) {
		t.Errorf("found %+v, %v; want an error that says %q", got, err, docker.ErrSilent.Error())
	}
	if _, err := checkMemory(t.Context(), facts); !errors.Is(err, errUnknown) {
		t.Errorf("of memory it knows %v, want %v", err, errUnknown)
	}
}

// A fake docker command shows problems that this machine's own does not have.
func TestPartsOfDockerThatWillNotDo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for docker is a shell script")
	}
	tests := []struct {
		name, info   string
		apt          bool
		level        Level
		about        string
		says, remedy string
	}{
		{"an old engine", `{"ServerVersion":"19.03.15","OSType":"linux"}`, false, Error, "Docker", "20.10 is the oldest", "upgrade"},
		{"Windows containers", `{"ServerVersion":"28.0.0","OSType":"windows"}`, false, Error, "Docker", "windows containers", "Switch to Linux containers"},
		{"no Compose", `{"ServerVersion":"28.0.0","OSType":"linux"}`, false, Error, "Compose", "not installed", "https://docs.docker.com/compose/install"},
		{"no Compose, and apt to get it with", `{"ServerVersion":"28.0.0","OSType":"linux"}`, true, Note, "Compose", "not installed", "make up gets it"},
		{"an old Compose", `{"ServerVersion":"28.0.0","OSType":"linux","ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.23.3"}]}}`, false, Error, "Compose", "2.24 is the oldest", "install"},
		{"a broken Compose", `{"ServerVersion":"28.0.0","OSType":"linux","ClientInfo":{"Plugins":[{"Name":"compose","Err":"exec format error"}]}}`, false, Error, "Compose", "not installed", "install"},
		{"an old buildx", `{"ServerVersion":"28.0.0","OSType":"linux","ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v0.11.2"}]}}`, true, Note, "buildx", "0.17 is the oldest", "make up gets it"},
		{"a stopped engine, as 20.10 tells it", `{"ServerErrors":["Cannot connect to the Docker daemon"],"ClientInfo":{"Context":"default"}}`, false, Error, "Docker", "does not answer", ""},
		{"no right to the socket", `permission denied while trying to connect to the Docker daemon socket`, false, Error, "Docker", "may not talk", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			script := infoPrints(test.info)
			if !strings.HasPrefix(test.info, "{") {
				script = "#!/bin/sh\necho '" + test.info + "' >&2\nexit 1\n"
			}
			program(t, dir, "docker", script)
			if test.apt {
				program(t, dir, "apt-get", "#!/bin/sh\nexit 1\n")
			}
			t.Setenv("PATH", dir)
			facts := gather(t.Context(), stack.New("../../..", "PATH="+dir))
			var findings []Finding
			for _, check := range checks[:3] {
				some, err := check.run(t.Context(), facts)
				if err != nil {
					t.Fatal(err)
				}
				findings = append(findings, some...)
			}
			if got, _ := find(findings, test.about); got.Level != test.level || !strings.Contains(got.Says, test.says) || !strings.Contains(got.Do, test.remedy) {
				t.Errorf("of %s it says %+v, want a %s with %q and %q", test.about, got, test.level, test.says, test.remedy)
			}
		})
	}
}

func program(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

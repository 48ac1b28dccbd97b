package doctor

import (
	"strings"
	"testing"
)

func TestWhyTheEngineDoesNotAnswerDecidesTheAdvice(t *testing.T) {
	t.Parallel()
	const (
		stopped = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
		denied  = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
	)
	tests := []struct {
		name, failure, goos, dockerHost, context string
		does                                     string
	}{
		{"stopped on Linux", stopped, "linux", "", "default", "sudo systemctl start docker"},
		{"hanging on Linux", timedOut, "linux", "", "default", "sudo systemctl restart docker"},
		{"stopped on a Mac", stopped, "darwin", "", "desktop-linux", "docker context use default"},
		{"stopped on a Mac with one context", stopped, "darwin", "", "default", "start Docker Desktop"},
		{"stopped on Windows", stopped, "windows", "", "", "start Docker Desktop"},
		{"not in the group", denied, "linux", "", "default", "usermod -aG docker"},
		{"not in the group, with DOCKER_HOST", denied, "linux", "unix:///run/other.sock", "default", "usermod -aG docker"},
		{"denied on a Mac", denied, "darwin", "", "default", "quit Docker Desktop"},
		{"DOCKER_HOST leads nowhere", stopped, "linux", "tcp://192.0.2.1:2375", "default", "unset DOCKER_HOST"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			info := engine{failure: test.failure}
			info.ClientInfo.Context = test.context
			got := unreachable(info, test.goos, test.dockerHost)
			if got.Level != Error || !strings.Contains(got.Do, test.does) {
				t.Errorf("found %+v, want an error and %q", got, test.does)
			}
		})
	}
}

func TestVersionsAreReadAsDockersPartsWriteThem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text   string
		want   version
		before bool // 20.10
	}{
		{"20.10.24+dfsg1", version{20, 10}, false},
		{"19.03.15", version{19, 3}, true},
		{"v2.40.3-desktop.1", version{2, 40}, true},
		{"0.29.1+ds1", version{0, 29}, true},
		{"28.0.0-rc.1", version{28, 0}, false},
	}
	for _, test := range tests {
		got, err := parseVersion(test.text)
		if err != nil || got != test.want || got.before(version{20, 10}) != test.before {
			t.Errorf("%q is read as %v, %v, before 20.10 %t; want %v, %t", test.text, got, err, got.before(version{20, 10}), test.want, test.before)
		}
	}
	if got, err := parseVersion("latest"); err == nil {
		t.Errorf("latest is read as %v", got)
	}
}

func TestOnlyAnEndpointOfThisMachineIsLocal(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]bool{
		"unix:///var/run/docker.sock": true, "npipe:////./pipe/docker_engine": true, "tcp://127.0.0.1:2375": true, "tcp://localhost:2375": true, "tcp://[::1]:2375": true,
		"ssh://me@server": false, "tcp://192.0.2.1:2376": false, "": false,
	} {
		if got := isLocal(endpoint); got != want {
			t.Errorf("isLocal(%q) = %t", endpoint, got)
		}
	}
}

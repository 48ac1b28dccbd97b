package doctor

import (
	"strings"
	"testing"

	"oneserver/ctl/internal/docker"
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
		{"hanging on Linux", docker.ErrSilent.Error(), "linux", "", "default", "sudo systemctl restart docker"},
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

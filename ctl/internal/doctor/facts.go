package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// facts is what the checks look at. Each is fetched when the first check asks, and once.
type facts struct {
	cli        docker.CLI
	info       func() (engine, error)
	engine     func() (engine, error) // info, or errUnknown where the engine does not answer
	local      func() (bool, error)   // the engine's ports, disk and network are this machine's own
	settings   func() (stack.Settings, error)
	project    func() (stack.Project, error)
	containers func() ([]stack.Container, error)
	networks   func() ([]network, error)
	images     func() ([]image, error)
}

// engine is what `docker info` says of the engine and of the client.
type engine struct {
	ServerVersion   string
	OSType          string
	OperatingSystem string
	Architecture    string
	DockerRootDir   string
	MemTotal        uint64 // bytes
	SecurityOptions []string
	ServerErrors    []string
	ClientInfo      struct {
		Version string
		Context string
		Plugins []struct{ Name, Version, Err string }
	}
	failure string // why the engine does not answer; empty if it does
}

// network is what `docker network inspect` says.
type network struct {
	Name   string
	Labels map[string]string
	IPAM   struct {
		Config []struct{ Subnet string }
	}
}

// image is what `docker image inspect` says.
type image struct {
	RepoTags     []string
	Architecture string
}

// patience is how long the engine may take to say what it is. It is well inside the time of each check that waits for
// that, and long for an engine that works: a busy machine needs a second.
const patience = 8 * time.Second

// timedOut is the failure of an engine that takes a connection and says nothing.
const timedOut = "it says nothing"

func gather(ctx context.Context, cli docker.CLI) *facts {
	f := &facts{cli: cli}
	f.info = sync.OnceValues(func() (engine, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		out, err := cli.Output(ctx, "info", "--format", "json")
		if errors.Is(err, exec.ErrNotFound) {
			return engine{}, err
		}
		var info engine
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			info.failure = timedOut
			return info, nil
		}
		if unread := json.Unmarshal([]byte(out), &info); unread != nil && err == nil {
			return engine{}, fmt.Errorf("docker info: %w", unread)
		}
		if err != nil {
			// Docker's command says it at one place or the other, by its age.
			info.failure = strings.Join(append(info.ServerErrors, errors.Unwrap(err).Error()), "\n")
		}
		return info, nil
	})
	f.engine = sync.OnceValues(func() (engine, error) {
		info, err := f.info()
		if err != nil || info.failure != "" {
			return engine{}, fmt.Errorf("%w: needs a Docker Engine that answers", errUnknown)
		}
		return info, nil
	})
	f.local = sync.OnceValues(func() (bool, error) {
		out, err := cli.Output(ctx, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
		if err != nil {
			return false, err
		}
		return isLocal(strings.TrimSpace(out)), nil
	})
	f.settings = sync.OnceValues(func() (stack.Settings, error) {
		if !f.hasCompose() {
			return stack.EnvironmentSettings(cli)
		}
		return stack.ReadSettings(ctx, cli)
	})
	f.project = sync.OnceValues(func() (stack.Project, error) {
		if !f.hasCompose() {
			return stack.Project{}, fmt.Errorf("%w: needs Compose", errUnknown)
		}
		project, err := stack.ReadProject(ctx, cli)
		if err != nil {
			return stack.Project{}, refusal{err}
		}
		return project, nil
	})
	f.containers = sync.OnceValues(func() ([]stack.Container, error) {
		if _, err := f.engine(); err != nil {
			return nil, err
		}
		return stack.Running(ctx, cli)
	})
	f.networks = sync.OnceValues(func() ([]network, error) {
		if _, err := f.engine(); err != nil {
			return nil, err
		}
		ids, err := cli.Output(ctx, "network", "ls", "--quiet")
		if err != nil {
			return nil, err
		}
		// One that is removed meanwhile makes the command fail and is left out of the list.
		var list []network
		out, failed := cli.Output(ctx, append([]string{"network", "inspect"}, strings.Fields(ids)...)...)
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return nil, errors.Join(failed, err)
		}
		return list, nil
	})
	f.images = sync.OnceValues(func() ([]image, error) {
		if _, err := f.engine(); err != nil {
			return nil, err
		}
		project, err := f.project()
		if err != nil {
			return nil, err
		}
		inspect := []string{"image", "inspect"}
		for _, service := range project.Services {
			inspect = append(inspect, service.Image)
		}
		// The command fails where an image is missing, and lists the others.
		var list []image
		out, failed := cli.Output(ctx, inspect...)
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return nil, errors.Join(failed, err)
		}
		return list, nil
	})
	return f
}

func (f *facts) hasCompose() bool {
	info, err := f.info()
	if err != nil {
		return false
	}
	_, has := info.plugin("compose")
	return has
}

// refusal is Compose's refusal to read compose.yaml. One check reports why; to the others it is an unknown.
type refusal struct{ why error }

func (refusal) Error() string {
	return errUnknown.Error() + ": needs a compose.yaml that Compose can read"
}
func (refusal) Unwrap() error { return errUnknown }

// plugin returns the version of a plugin of the docker command.
func (e engine) plugin(name string) (string, bool) {
	for _, plugin := range e.ClientInfo.Plugins {
		if plugin.Name == name && plugin.Err == "" {
			return plugin.Version, true
		}
	}
	return "", false
}

// inVM says whether the engine runs in a virtual machine of its own, as Docker Desktop's does: its disk and its
// networks are then not this machine's.
func (e engine) inVM() bool {
	return runtime.GOOS != "linux" || strings.Contains(e.OperatingSystem, "Docker Desktop")
}

// tags returns the names of the images that are here.
func tags(list []image) map[string]bool {
	names := map[string]bool{}
	for _, one := range list {
		for _, tag := range one.RepoTags {
			names[tag] = true
			names[strings.TrimSuffix(tag, ":latest")] = true
		}
	}
	return names
}

// isLocal says whether an engine's endpoint is on this machine.
func isLocal(endpoint string) bool {
	at, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	switch at.Scheme {
	case "unix", "npipe":
		return true
	}
	ip := net.ParseIP(at.Hostname())
	return at.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

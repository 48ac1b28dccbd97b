package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// facts are what the checks examine. Each is fetched once, when the first check asks for it.
type facts struct {
	stack      *stack.Stack
	info       func() (engine, error)
	engine     func() (engine, error) // info, or errUnknown if the engine does not answer
	local      func() (bool, error)   // whether the engine's ports, disk and network are this machine's own
	settings   func() (stack.Settings, error)
	project    func() (stack.Project, error)
	containers func() ([]docker.Container, error) // all running ones, of any project
	networks   func() ([]network, error)
	images     func() (map[string]docker.Image, error) // the stack's images that the engine has
}

// engine holds what is known about the engine and the client.
type engine struct {
	docker.Info
	failure string // why the engine does not answer; empty if it does
}

// network holds what `docker network inspect` says.
type network struct {
	Name   string
	Labels map[string]string
	IPAM   struct {
		Config []struct{ Subnet string }
	}
}

func gather(ctx context.Context, s *stack.Stack) *facts {
	f := &facts{stack: s}
	f.info = sync.OnceValues(func() (engine, error) {
		info, err := s.Info(ctx)
		if errors.Is(err, docker.ErrSilent) {
			return engine{failure: err.Error()}, nil
		}
		return engine{info, strings.Join(info.ServerErrors, "\n")}, err
	})
	f.engine = sync.OnceValues(func() (engine, error) {
		info, err := f.info()
		if err != nil || info.failure != "" {
			return engine{}, fmt.Errorf("%w: needs a Docker Engine that answers", errUnknown)
		}
		return info, nil
	})
	f.local = sync.OnceValues(func() (bool, error) { return Local(ctx, s) })
	f.settings = sync.OnceValues(func() (stack.Settings, error) {
		if !f.hasCompose() {
			if _, err := os.Stat(filepath.Join(s.Dir, ".env")); !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("%w: needs Compose to read .env", errUnknown)
			}
			return s.EnvironmentSettings()
		}
		settings, err := s.Settings(ctx)
		if err != nil {
			return nil, refusal{err, "settings that Compose can read"}
		}
		return settings, nil
	})
	f.project = sync.OnceValues(func() (stack.Project, error) {
		if !f.hasCompose() {
			return stack.Project{}, fmt.Errorf("%w: needs Compose", errUnknown)
		}
		project, err := s.Project(ctx)
		if err != nil {
			return stack.Project{}, refusal{err, "a compose.yaml that Compose can read"}
		}
		return project, nil
	})
	f.containers = sync.OnceValues(func() ([]docker.Container, error) {
		if _, err := f.engine(); err != nil {
			return nil, err
		}
		return s.List(ctx)
	})
	f.networks = sync.OnceValues(func() ([]network, error) {
		if _, err := f.engine(); err != nil {
			return nil, err
		}
		ids, err := s.Output(ctx, "network", "ls", "--quiet")
		if err != nil {
			return nil, err
		}
		// If a network is removed meanwhile, the command fails but still prints the others.
		var list []network
		out, failed := s.Output(ctx, append([]string{"network", "inspect"}, strings.Fields(ids)...)...)
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return nil, errors.Join(failed, err)
		}
		return list, nil
	})
	f.images = sync.OnceValues(func() (map[string]docker.Image, error) {
		if _, err := f.engine(); err != nil {
			return nil, err
		}
		project, err := f.project()
		if err != nil {
			return nil, err
		}
		return s.Images(ctx, project.Images()...)
	})
	return f
}

func (f *facts) hasCompose() bool {
	info, err := f.info()
	if err != nil {
		return false
	}
	version, _ := info.Plugin(docker.Compose)
	return version != ""
}

// projectName returns the name under which Docker knows this stack, even if Compose cannot be asked.
func (f *facts) projectName() string {
	if project, err := f.project(); err == nil {
		return project.Name
	}
	if name := f.stack.Getenv("COMPOSE_PROJECT_NAME"); name != "" {
		return name
	}
	return "oneserver" // as compose.yaml says
}

// refusal means that Compose refused to read something. One check reports the reason; to the others, the fact is unknown.
type refusal struct {
	why   error
	needs string
}

func (r refusal) Error() string { return errUnknown.Error() + ": needs " + r.needs }
func (refusal) Unwrap() error   { return errUnknown }

// inVM reports whether the engine runs in its own virtual machine, as Docker Desktop's does. Its disk and its networks are
// then not this machine's.
func (e engine) inVM() bool {
	return runtime.GOOS != "linux" || strings.Contains(e.OperatingSystem, "Docker Desktop")
}

// hidesAddresses returns in words why containers do not see where a connection comes from; empty if they do. One more cause
// does not show in `docker info`: an engine with "iptables": false.
func (e engine) hidesAddresses() string {
	switch {
	case e.inVM():
		return "the Docker Engine runs in a virtual machine, which hides visitors' addresses"
	case slices.Contains(e.SecurityOptions, "name=rootless"):
		return "the Docker Engine runs without root, which hides visitors' addresses"
	}
	return ""
}

// isLocal reports whether an engine's endpoint is on this machine.
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

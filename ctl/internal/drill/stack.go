package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
)

// services are the parts of the site, in the order in which a request travels.
var services = []string{"dns", "web", "app", "db"}

// Stack is the running project that a drill works on.
type Stack struct {
	cli     docker.CLI
	project stack.Project
	domain  string
	http    netip.AddrPort // where web is published on this machine
	dns     netip.AddrPort // and dns, over UDP
	apps    int            // how many replicas of app it was found with
}

// container is what `docker inspect` says of a container, as far as drills ask.
type container struct {
	ID    string
	Name  string
	Image string // its id
	State struct {
		Status    string
		Paused    bool
		Pid       int
		StartedAt time.Time
		Health    *struct{ Status string }
	}
	Config struct {
		Env    []string
		Labels map[string]string
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string }
		Networks map[string]struct{ IPAddress string }
	}
}

func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }

func (c container) healthy() bool {
	return c.State.Status == "running" && c.State.Health != nil && c.State.Health.Status == "healthy"
}

// Find finds the project that a drill was told to work on: the one of this checkout, or the one named. It refuses one
// that is elsewhere, on another machine or in another checkout, and one that is not as compose.yaml says, since a drill
// could not leave it as it was.
func Find(ctx context.Context, cli docker.CLI, name string) (*Stack, error) {
	if name != "" {
		if cli.Env == nil {
			cli.Env = os.Environ()
		}
		cli.Env = append(slices.Clone(cli.Env), "COMPOSE_PROJECT_NAME="+name)
	}
	endpoint, err := cli.Output(ctx, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return nil, err
	}
	if endpoint = strings.TrimSpace(endpoint); !strings.HasPrefix(endpoint, "unix://") && !strings.HasPrefix(endpoint, "npipe://") {
		return nil, fmt.Errorf("docker's engine is at %s: a drill works on this machine only", endpoint)
	}
	project, err := stack.ReadProject(ctx, cli)
	if err != nil {
		return nil, err
	}
	if err := deploy.Recover(ctx, cli, io.Discard); err != nil {
		return nil, err
	}
	s := &Stack{cli: cli, project: project}
	if err := s.await(ctx, 5*time.Second, nil); err != nil { // a busy machine can make a health check late
		return nil, fmt.Errorf("a drill needs %s to be up and healthy: make up; %w", project.Name, err)
	}
	all, err := s.containers(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.asComposeSays(ctx, all); err != nil {
		return nil, err
	}
	for _, c := range all {
		switch c.service() {
		case "app":
			s.apps++
		case "web":
			s.http, err = published(c, "80/tcp")
		case "dns":
			for _, entry := range c.Config.Env {
				if domain, found := strings.CutPrefix(entry, "DOMAIN="); found {
					s.domain = domain
				}
			}
			s.dns, err = published(c, "53/udp")
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// asComposeSays is an error where `docker compose up` would change something of its own accord.
func (s *Stack) asComposeSays(ctx context.Context, all []container) error {
	lines, err := s.cli.Output(ctx, "compose", "config", "--hash", "*")
	if err != nil {
		return err
	}
	want := map[string]string{}
	for line := range strings.Lines(lines) {
		service, hash, _ := strings.Cut(strings.TrimSpace(line), " ")
		want[service] = hash
	}
	for _, c := range all {
		service, labels := c.service(), c.Config.Labels
		if dir := labels["com.docker.compose.project.working_dir"]; !sameFolder(dir, s.cli.Dir) {
			return fmt.Errorf("the project %s was started in %s: a drill works on the stack of its own checkout", s.project.Name, dir)
		}
		image, err := s.imageID(ctx, s.project.Services[service].Image)
		if err != nil {
			return err
		}
		if labels["com.docker.compose.config-hash"] != want[service] || c.Image != image {
			return fmt.Errorf("%s of the project %s is not as compose.yaml, its settings and its image are now: make up", service, s.project.Name)
		}
	}
	return nil
}

func sameFolder(a, b string) bool {
	realA, errA := filepath.EvalSymlinks(a)
	realB, errB := filepath.EvalSymlinks(b)
	return errA == nil && errB == nil && realA == realB
}

// published returns the loopback address at which a container's port can be reached. A port that is published elsewhere
// only is an error: nothing is ever sent there.
func published(c container, port string) (netip.AddrPort, error) {
	for _, binding := range c.NetworkSettings.Ports[port] {
		address, err := netip.ParseAddrPort(net.JoinHostPort(binding.HostIP, binding.HostPort))
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("%s publishes %s: %w", c.Name, port, err)
		}
		switch ip := address.Addr(); {
		case ip.IsLoopback():
			return address, nil
		case ip == netip.IPv4Unspecified():
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), address.Port()), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("%s of %s is not published on 127.0.0.1, and a drill sends to no other address: BIND is 127.0.0.1 or 0.0.0.0 for it", port, c.service())
}

// containers returns the project's containers, one-shots that have ended included, in the order of their names.
func (s *Stack) containers(ctx context.Context) ([]container, error) {
	list, err := docker.Containers[container](ctx, s.cli, s.project.Name, "")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the project %s has no container", s.project.Name)
	}
	slices.SortFunc(list, func(a, b container) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// of returns the containers of a service.
func (s *Stack) of(ctx context.Context, service string) ([]container, error) {
	all, err := s.containers(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c container) bool { return c.service() != service }), nil
}

// await asks again until all parts are healthy and, where a condition is given, it holds too. The error says what was
// wrong last.
func (s *Stack) await(ctx context.Context, within time.Duration, holds func([]container) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond) // an inspect costs the engine a few milliseconds
	defer tick.Stop()
	wrong := errors.New("nothing was asked yet")
	for {
		all, err := s.containers(ctx)
		if err == nil {
			err = allHealthy(all)
		}
		if err == nil && holds != nil {
			err = holds(all)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			wrong = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", within, wrong)
		case <-tick.C:
		}
	}
}

func allHealthy(all []container) error {
	healthy := map[string]bool{}
	for _, c := range all {
		if !slices.Contains(services, c.service()) {
			continue // a one-shot
		}
		if !c.healthy() {
			return fmt.Errorf("%s is not healthy", strings.TrimPrefix(c.Name, "/"))
		}
		healthy[c.service()] = true
	}
	for _, service := range services {
		if !healthy[service] {
			return fmt.Errorf("%s has no container", service)
		}
	}
	return nil
}

// compose runs a docker compose command.
func (s *Stack) compose(ctx context.Context, args ...string) error {
	_, err := s.cli.Output(ctx, append([]string{"compose", "--progress", "quiet"}, args...)...)
	return err
}

// up is docker compose up, with as many replicas as there were.
func (s *Stack) up(ctx context.Context) error {
	if s.apps == 1 {
		return s.compose(ctx, "up", "--detach")
	}
	return s.compose(ctx, "up", "--detach", "--scale", "app="+strconv.Itoa(s.apps))
}

// sql runs statements as root of the database and returns the rows, tab-separated.
func (s *Stack) sql(ctx context.Context, statements string) (string, error) {
	cmd := s.cli.Command(ctx, "compose", "exec", "--no-TTY", "db", "sh", "-c", stack.RootMySQL+" "+site.Schema)
	cmd.Stdin = strings.NewReader(statements)
	out, err := s.cli.OutputOf(cmd)
	return strings.TrimSpace(out), err
}

func (s *Stack) imageID(ctx context.Context, name string) (string, error) {
	id, err := s.cli.Output(ctx, "image", "inspect", "--format", "{{.Id}}", name)
	return strings.TrimSpace(id), err
}

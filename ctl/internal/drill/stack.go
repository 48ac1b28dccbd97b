package drill

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/trust"
)

// Stack is the running project that a drill works on.
type Stack struct {
	*stack.Stack
	project stack.Project
	domain  string
	https   netip.AddrPort // where web is published on this machine
	trusted *x509.CertPool // the authorities that may have issued its certificate
	dns     netip.AddrPort // where dns is published, over UDP
	apps    int            // how many replicas of app there were at first
}

// Find finds the project that a drill is to work on: this checkout's, or the named one. It refuses a project on another
// machine or in another checkout, and one that differs from compose.yaml, because a drill could not leave it as it was.
func Find(ctx context.Context, of *stack.Stack, name string) (*Stack, error) {
	if name != "" {
		of = of.As(of.With("COMPOSE_PROJECT_NAME=" + name))
	}
	endpoint, err := of.Output(ctx, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return nil, err
	}
	if endpoint = strings.TrimSpace(endpoint); !strings.HasPrefix(endpoint, "unix://") && !strings.HasPrefix(endpoint, "npipe://") {
		return nil, fmt.Errorf("docker's engine is at %s: a drill works on this machine only", endpoint)
	}
	project, err := of.Project(ctx)
	if err != nil {
		return nil, err
	}
	if err := deploy.Recover(ctx, of, io.Discard); err != nil {
		return nil, err
	}
	s := &Stack{Stack: of, project: project}
	if err := s.AwaitHealthy(ctx, 5*time.Second, nil); err != nil { // a busy machine can delay a health check
		return nil, fmt.Errorf("a drill needs %s to be up and healthy: make up; %w", project.Name, err)
	}
	all, err := s.Containers(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.asComposeSays(ctx, all); err != nil {
		return nil, err
	}
	for _, c := range all {
		switch c.Service() {
		case "app":
			s.apps++
		case "web":
			s.https, err = published(c, "443/tcp")
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
	s.trusted, err = trust.Pool(ctx, of)
	return s, err
}

// host returns the name that visitors type.
func (s *Stack) host() string { return "www." + s.domain }

// asComposeSays returns an error if `docker compose up` would change anything by itself.
func (s *Stack) asComposeSays(ctx context.Context, all []docker.Container) error {
	want, err := s.ConfigHashes(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		service := c.Service()
		if dir := c.Config.Labels["com.docker.compose.project.working_dir"]; !s.In(dir) {
			return fmt.Errorf("the project %s was started in %s: a drill works on the stack of its own checkout", s.project.Name, dir)
		}
		image, err := s.imageID(ctx, s.project.Services[service].Image)
		if err != nil {
			return err
		}
		if c.ConfigHash() != want[service] || c.Image != image {
			return fmt.Errorf("%s of the project %s is not as compose.yaml, its settings and its image are now: make up", service, s.project.Name)
		}
	}
	return nil
}

// published returns the loopback address at which a container's port can be reached. A port that is published only
// elsewhere is an error: a drill never sends anything there.
func published(c docker.Container, port string) (netip.AddrPort, error) {
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
	return netip.AddrPort{}, fmt.Errorf("%s of %s is not published on 127.0.0.1, and a drill sends to no other address: BIND is 127.0.0.1 or 0.0.0.0 for it", port, c.Service())
}

// compose runs a docker compose command and discards its output.
func (s *Stack) compose(ctx context.Context, args ...string) error {
	_, err := s.Compose(ctx, args...)
	return err
}

// up runs docker compose up, with as many replicas as there were at first.
func (s *Stack) up(ctx context.Context) error {
	if s.apps == 1 {
		return s.compose(ctx, "up", "--detach")
	}
	return s.compose(ctx, "up", "--detach", "--scale", "app="+strconv.Itoa(s.apps))
}

// sql runs statements on the site's tables and returns their rows.
func (s *Stack) sql(ctx context.Context, statements string) ([][]string, error) {
	db := s.Database()
	db.Schema, db.Limit = site.Schema, 5*time.Minute
	return db.SQL(ctx, statements)
}

func (s *Stack) imageID(ctx context.Context, name string) (string, error) {
	id, err := s.Output(ctx, "image", "inspect", "--format", "{{.Id}}", name)
	return strings.TrimSpace(id), err
}

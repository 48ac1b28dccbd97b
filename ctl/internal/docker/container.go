package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Container is the result of `docker inspect` for one container.
type Container struct {
	ID           string
	Name         string // begins with a slash; Title has none
	Image        string // the id of its image
	Created      time.Time
	RestartCount int
	State        struct {
		Status    string // created, running, paused, restarting, exited, dead
		StartedAt time.Time
		Pid       int
		ExitCode  int
		OOMKilled bool
		Error     string // why the engine could not start it
		Health    *struct {
			Status string
			Log    []struct{ Output string }
		}
	}
	Config struct {
		Cmd, Env []string
		User     string
		Labels   map[string]string
	}
	HostConfig      struct{ Memory int64 } // bytes
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string } // by the container's port, such as 80/tcp
		Networks map[string]struct{ IPAddress string }
	}
}

// Inspect returns the containers with these ids.
func (c CLI) Inspect(ctx context.Context, ids ...string) ([]Container, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	text, err := c.Output(ctx, append([]string{"inspect", "--type", "container"}, ids...)...)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

func parse(text string) ([]Container, error) {
	var list []Container
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("docker inspect: %w", err)
	}
	return list, nil
}

// List returns the containers that `docker ps` lists with these arguments, except those that have been removed meanwhile.
func (c CLI) List(ctx context.Context, arguments ...string) ([]Container, error) {
	ids, err := c.Output(ctx, append([]string{"ps", "--quiet", "--no-trunc"}, arguments...)...)
	if err != nil || strings.TrimSpace(ids) == "" {
		return nil, err
	}
	text, failed := c.Output(ctx, append([]string{"inspect", "--type", "container"}, strings.Fields(ids)...)...)
	if failed != nil && !Gone(failed) {
		return nil, failed
	}
	return parse(text)
}

// Gone reports whether docker's error means that the object of the command no longer exists. Of a command that was cut off,
// it is not known what became of its other objects.
func Gone(err error) bool {
	_, cutOff := errors.AsType[cutOffError](err)
	return err != nil && !cutOff && strings.Contains(strings.ToLower(err.Error()), "no such ")
}

// IDs returns the containers' ids.
func IDs(list []Container) []string {
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

// Title returns the container's name as docker ps shows it.
func (c Container) Title() string { return strings.TrimPrefix(c.Name, "/") }

// Project returns the container's Compose project; empty if Compose did not create it.
func (c Container) Project() string { return c.Config.Labels["com.docker.compose.project"] }

// Service returns the container's service in the project.
func (c Container) Service() string { return c.Config.Labels["com.docker.compose.service"] }

// ConfigHash returns the hash of the service's configuration that Compose recorded when it created the container.
func (c Container) ConfigHash() string { return c.Config.Labels["com.docker.compose.config-hash"] }

// Running reports whether the container is running and not paused.
func (c Container) Running() bool { return c.State.Status == "running" }

// Healthy reports whether the container's health check passes.
func (c Container) Healthy() bool {
	return c.Running() && c.State.Health != nil && c.State.Health.Status == "healthy"
}

// HealthCheckSaid returns the last output of the container's health check; empty if there was none yet.
func (c Container) HealthCheckSaid() string {
	if c.State.Health == nil || len(c.State.Health.Log) == 0 {
		return ""
	}
	return strings.TrimSpace(c.State.Health.Log[len(c.State.Health.Log)-1].Output)
}

// Failure describes what went wrong with the container; empty if nothing did, or if it is waiting for another container.
func (c Container) Failure() string {
	switch state := c.State; {
	case state.Error != "":
		return "could not be started: " + state.Error
	case state.OOMKilled && state.Status != "running": // the kernel may have ended a child, or an earlier run
		return "was ended by the kernel: it needed more memory than its limit in compose.yaml"
	case state.Status == "restarting":
		return fmt.Sprintf("ends again and again, with exit code %d", state.ExitCode)
	case state.Status == "exited" && state.ExitCode != 0:
		return fmt.Sprintf("ended with exit code %d", state.ExitCode)
	case state.Status == "running" && state.Health != nil && state.Health.Status == "unhealthy":
		return "runs and is unhealthy"
	}
	return ""
}

// Ill returns the error for a container that is not healthy.
func (c Container) Ill() error {
	switch said := c.HealthCheckSaid(); {
	case c.RestartCount > 0 || c.State.Status == "restarting":
		return fmt.Errorf("%s ends again and again", c.Title()) // the exit code is gone once it has restarted
	case !c.Running():
		return fmt.Errorf("%s has ended with exit code %d", c.Title(), c.State.ExitCode)
	case said != "":
		return fmt.Errorf("%s is not healthy: %s", c.Title(), said)
	}
	return fmt.Errorf("%s is not healthy", c.Title())
}

// Address returns the container's address in a network, whatever other networks it is connected to.
func (c Container) Address(network string) (netip.Addr, error) {
	address, err := netip.ParseAddr(c.NetworkSettings.Networks[network].IPAddress)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s has no address in the network %s: %w", c.Title(), network, err)
	}
	return address, nil
}

package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/wait"
)

const (
	nestedImage  = "oneserver-server"
	nestedFolder = "ctl/internal/cluster/nested"

	// engineWithin is how long an engine may take to answer after its start, on a busy machine. Otherwise it takes 4 s.
	engineWithin = time.Minute
)

// container returns the name of a nested server's container, and the beginning of its volumes' names.
func (c *Cluster) container(one Server) string { return c.Name + "-" + one.Letter }

// startNested makes the nested servers that are missing, starts those that do not run, and waits until their engines answer.
func (c *Cluster) startNested(ctx context.Context, out *images.Runner) error {
	if err := images.Build(ctx, c.here, out, nestedImage, filepath.Join(c.here.Dir, nestedFolder)); err != nil {
		return err
	}
	out.Begin("starting three servers")
	if err := c.makeNetwork(ctx); err != nil {
		return out.Fail(err)
	}
	if err := each(ctx, c.Servers, c.startServer); err != nil {
		return out.Fail(err)
	}
	out.Done("started three servers: %s", c.names())
	return nil
}

func (c *Cluster) names() string { return names(c, c.Servers) }

// names describes servers in one line.
func names(c *Cluster, servers []Server) string {
	var names []string
	for _, one := range servers {
		name := one.Host
		if name == "" {
			name = c.container(one)
		}
		names = append(names, fmt.Sprintf("%s (%s)", name, one.PrivateIP))
	}
	return strings.Join(names, ", ")
}

func (c *Cluster) makeNetwork(ctx context.Context) error {
	if _, err := c.here.Output(ctx, "network", "inspect", c.Name); err == nil || !noNetwork(err) {
		return err
	}
	_, err := c.here.Output(ctx, "network", "create", "--subnet", c.Subnet+".0/24", "--gateway", c.Subnet+".1", c.Name)
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "overlap") {
		return fmt.Errorf("%w: another network uses these addresses; choose others: make cluster-down, then bin/oneserver cluster --subnet 172.30.0", err)
	}
	return err
}

// noNetwork reports whether an error means that there is no such network. Engines differ in how they say so.
func noNetwork(err error) bool {
	return docker.Gone(err) || strings.Contains(err.Error(), "not found")
}

func (c *Cluster) startServer(ctx context.Context, one Server) error {
	name := c.container(one)
	list, err := c.here.List(ctx, "--all", "--filter", "name=^"+name+"$")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if _, err := c.here.Output(ctx, "create", "--name", name, "--hostname", one.Letter, "--label", "oneserver.cluster="+c.Name,
			"--pull", "never", "--init", "--network", c.Name, "--ip", one.PrivateIP,
			// What an engine needs, found by leaving out one after the other; the container is not privileged.
			"--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE",
			"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--tmpfs", "/run",
			"--volume", name+"-engine:/var/lib/docker", "--volume", name+"-stack:"+there,
			nestedImage); err != nil {
			return err
		}
	}
	if _, err := c.here.Output(ctx, "start", name); err != nil {
		return err
	}
	return wait.Until(ctx, engineWithin, wait.Often, func(ctx context.Context) error {
		now, err := c.here.Inspect(ctx, name)
		if err != nil {
			return err
		}
		if !now[0].Running() {
			return wait.Final(fmt.Errorf("it ends by itself: docker logs %s says why", name))
		}
		if _, err := c.on[one.Letter].Output(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
			return fmt.Errorf("its engine does not answer: docker logs %s may say why: %w", name, err)
		}
		return nil
	})
}

// removeNested removes the nested servers and their network. What is on their disks stays.
func (c *Cluster) removeNested(ctx context.Context) error {
	list, err := c.here.List(ctx, "--all", "--filter", "label=oneserver.cluster="+c.Name)
	if err != nil {
		return err
	}
	var stopping errgroup.Group
	for _, one := range list {
		stopping.Go(func() error {
			_, err := c.here.Output(ctx, "rm", "--force", one.ID)
			if docker.Gone(err) {
				return nil
			}
			return err
		})
	}
	if err := stopping.Wait(); err != nil {
		return err
	}
	if _, err := c.here.Output(ctx, "network", "rm", c.Name); err != nil && !noNetwork(err) {
		return err
	}
	return nil
}

// nestedVolumes returns those of the nested servers' disks that exist.
func (c *Cluster) nestedVolumes(ctx context.Context) (names []string, err error) {
	out, err := c.here.Output(ctx, "volume", "ls", "--quiet")
	if err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(out) {
		for _, one := range c.Servers {
			if name == c.container(one)+"-engine" || name == c.container(one)+"-stack" {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

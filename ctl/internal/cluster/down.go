package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/lifecycle"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// downWithin is how long a server may take to stop its containers: a database has 90 s to leave the group.
const downWithin = 3 * time.Minute

// Down removes the nested servers or, from real ones, the stack's containers. Then it removes the data too, after asking, or
// without asking if yes is set.
func Down(ctx context.Context, here *stack.Stack, name string, in, to *os.File, yes bool) error {
	c, unlock, err := openLocked(here, name)
	if err != nil {
		return err
	}
	defer unlock()
	out := images.NewRunner(terminal.NewTeller(to))
	what, doomed := "the servers", c.Servers
	if !c.Nested() {
		what = "the stack's containers from"
		if doomed, err = c.ours(ctx); err != nil {
			return err
		}
	}
	if len(doomed) == 0 {
		fmt.Fprintln(to, "no server has anything of this cluster")
		return os.RemoveAll(c.dir)
	}
	out.Begin("removing %s %s", what, names(c, doomed))
	if err := c.stop(ctx, doomed); err != nil {
		return out.Fail(err)
	}
	out.Done("removed %s %s", what, names(c, doomed))

	kept := fmt.Sprintf("the data stays: make cluster-recover and then make cluster use it again; it goes with bin/oneserver cluster-down --yes --name %s\n", c.Name)
	if !yes {
		fmt.Fprintf(to, "The data of all three databases is still there.\n")
		err := lifecycle.Ask(ctx, in, to, c.Name, "bin/oneserver cluster-down --yes")
		if errors.Is(err, lifecycle.ErrDeclined) {
			_, err = fmt.Fprint(to, kept)
			return err
		}
		if err != nil {
			return err
		}
	}
	if err := c.erase(ctx, doomed); err != nil {
		return err
	}
	// The last: with it, this machine still knows what there was to remove.
	if err := os.RemoveAll(c.dir); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(c.dir)) // if it was the only cluster
	_, err = fmt.Fprintln(to, "removed the data")
	return err
}

// ours returns the servers that belong to this cluster. One that make cluster has refused may hold a site of its own.
func (c *Cluster) ours(ctx context.Context) ([]Server, error) {
	configs, err := c.configs(ctx)
	if err != nil {
		return nil, err
	}
	var ours []Server
	for i, one := range c.Servers {
		if valueOf(configs[i], "loose-group-replication-group-name") == c.Group {
			ours = append(ours, one)
		}
	}
	return ours, nil
}

// stop removes the servers, or the containers on real servers.
func (c *Cluster) stop(ctx context.Context, servers []Server) error {
	if !c.Nested() {
		return each(ctx, servers, func(ctx context.Context, one Server) error {
			ctx, cancel := context.WithTimeout(ctx, downWithin)
			defer cancel()
			_, err := c.on[one.Letter].Compose(ctx, "down", "--remove-orphans")
			return err
		})
	}
	return c.removeNested(ctx)
}

// erase removes what is on the servers' disks. On real servers the certificates of the site stay, as with make reset.
func (c *Cluster) erase(ctx context.Context, servers []Server) error {
	if c.Nested() {
		names, err := c.nestedVolumes(ctx)
		if err != nil || len(names) == 0 {
			return err
		}
		_, err = c.here.Output(ctx, append([]string{"volume", "rm"}, names...)...)
		return err
	}
	return each(ctx, servers, func(ctx context.Context, one Server) error {
		ctx, cancel := context.WithTimeout(ctx, downWithin)
		defer cancel()
		out, err := c.on[one.Letter].Output(ctx, "volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+project)
		if err != nil {
			return err
		}
		var names []string
		for volume := range strings.FieldsSeq(out) {
			if volume != project+"_certs" {
				names = append(names, volume)
			}
		}
		if len(names) > 0 {
			if _, err = c.on[one.Letter].Output(ctx, append([]string{"volume", "rm"}, names...)...); err != nil {
				return err
			}
		}
		// What makes the folder this cluster's goes last. Whatever else a person put there stays.
		_, err = docker.Output(ctx, c.command(ctx, one, "rm", "-f", "compose.yaml", "compose.cluster.yaml", ".env", releaseFile, "group.cnf"))
		return err
	})
}

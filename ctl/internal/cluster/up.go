package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// servedWithin is how long the services of a server may take until they are healthy, once its database is in the group.
const servedWithin = 5 * time.Minute

// DefaultSubnet holds nested servers, as the first three numbers of a /24.
const DefaultSubnet = "172.27.0"

// Options say which servers to use.
type Options struct {
	Name   string
	Hosts  []string // as ssh takes them, each perhaps followed by =ADDRESS; none for servers in containers on this machine
	Subnet string   // of servers in containers
}

// Up makes what is missing of a cluster, in steps that can each be repeated, and waits until all of it is healthy. It leaves
// alone what is there.
func Up(ctx context.Context, here *stack.Stack, options Options, to *os.File) error {
	out := images.NewRunner(terminal.NewTeller(to))
	dir, err := folder(here, options.Name)
	if err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := images.EnsurePlugin(ctx, here, out, docker.Compose); err != nil {
		return err
	}
	c, err := openOrMake(ctx, here, dir, options)
	if err != nil {
		return err
	}
	if err := images.Ensure(ctx, here, out); err != nil {
		return err
	}
	if c.Nested() {
		err = c.startNested(ctx, out)
	} else {
		err = c.checkHosts(ctx, out)
	}
	if err != nil {
		return err
	}
	if err := c.adopt(ctx); err != nil {
		return err
	}
	plan, err := here.Project(ctx)
	if err != nil {
		return err
	}
	if err := c.sendImages(ctx, out, plan.Images()); err != nil {
		return err
	}
	settings, err := here.Settings(ctx)
	if err != nil {
		return err
	}
	files, err := c.mounted(ctx)
	if err != nil {
		return err
	}
	// If there is no group yet, the first server will form it. Nothing that needs to know the primary is started before it is
	// known.
	standing := latest(c.askRunning(ctx))
	primary, known := c.primary(standing)
	if !known {
		primary = c.Servers[0]
	}
	if err := c.sendStack(ctx, out, files, settings, primary); err != nil {
		return err
	}
	out.Begin("sharing the secrets")
	if err := c.shareSecrets(ctx); err != nil {
		return out.Fail(err)
	}
	out.End()
	if standing.quorum() {
		err = c.startInTurn(ctx, out, primary)
	} else {
		err = c.startDatabases(ctx, out)
	}
	if err != nil {
		return err
	}
	if primary, err = c.formGroup(ctx, out); err != nil {
		return err
	}
	if err := c.sendStack(ctx, out, files, settings, primary); err != nil {
		return err
	}
	// The migrations, on the primary, are there before anybody copies its data.
	if err := c.serve(ctx, out, primary); err != nil {
		return err
	}
	// Compose would take the restart after the copy for a failure, so it is not what waits for it.
	out.Begin("waiting for the other databases to join")
	if err := c.awaitMembers(ctx, joinWithin, c.Servers...); err != nil {
		return out.Fail(fmt.Errorf("%w; make cluster-status shows the group, and docker compose logs db on that server may say why", err))
	}
	out.Done("all databases are in the group")
	if err := c.serve(ctx, out, c.others(primary)...); err != nil {
		return err
	}
	return c.printAddresses(to, settings)
}

// openOrMake opens the cluster of that name. If there is none, it writes down what the new one will be.
func openOrMake(ctx context.Context, here *stack.Stack, dir string, options Options) (*Cluster, error) {
	c, err := Open(here, options.Name)
	if err == nil {
		return c, c.sameAs(options)
	}
	if !errors.Is(err, ErrNone) {
		return nil, err
	}
	c = &Cluster{Name: options.Name, Group: newGroup(), here: here, dir: dir}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	if len(options.Hosts) == 0 {
		c.Subnet = options.Subnet
		if _, err := netip.ParsePrefix(c.Subnet + ".0/24"); err != nil {
			return nil, fmt.Errorf("--subnet takes the first three numbers of an address, such as %s, and not %q", DefaultSubnet, c.Subnet)
		}
		for i, letter := range letters {
			c.Servers = append(c.Servers, Server{Letter: letter, PrivateIP: fmt.Sprintf("%s.%d", c.Subnet, 11+i)})
		}
	} else if c.Servers, err = findHosts(ctx, options.Hosts); err != nil {
		return nil, err
	}
	return c, errors.Join(c.connect(), c.save())
}

// adopt takes over the group that the servers already have, if another machine made it or this one has forgotten it.
func (c *Cluster) adopt(ctx context.Context) error {
	configs, err := c.configs(ctx)
	if err != nil {
		return err
	}
	group, err := groupOf(c.Servers, configs)
	if err != nil || group == "" || group == c.Group {
		return err
	}
	c.Group = group
	return c.save()
}

// configs returns each server's group.cnf.
func (c *Cluster) configs(ctx context.Context) ([]string, error) {
	configs := make([]string, len(c.Servers))
	return configs, each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		ctx, cancel := context.WithTimeout(ctx, sendWithin)
		defer cancel()
		// Not in the folder, which a server may not have yet.
		out, err := docker.Output(ctx, c.transport(one, "/").Command(ctx, nil, "sh", "-c", "cd "+there+" 2>/dev/null || exit 0; "+askConfig))
		configs[indexOf(one)] = out
		return err
	})
}

// askConfig prints a server's group.cnf. A folder with a stack and without that file is not ours: docs/server.md puts a site of
// one server into a folder of the same name.
const askConfig = `if [ -e group.cnf ]; then cat group.cnf; elif [ -e compose.yaml ]; then echo ` + notOurs + `; fi`

const notOurs = "another stack"

// groupOf returns the group that the servers' group.cnf name; empty if there is none yet. It refuses a folder that is not ours.
func groupOf(servers []Server, configs []string) (group string, err error) {
	for i, config := range configs {
		name, its := valueOf(config, "report-host"), valueOf(config, "loose-group-replication-group-name")
		switch {
		case strings.TrimSpace(config) == notOurs:
			return "", fmt.Errorf("server %s has a stack of its own in %s, perhaps a site of one server, which cannot become a cluster yet: "+
				"take another server, or stop that site and move its folder away", servers[i].Letter, there)
		case its == "":
		case name != servers[i].Database():
			return "", fmt.Errorf("the server %s has been %s until now: name the hosts in the order in which they were named first",
				servers[i].Letter, strings.TrimPrefix(name, "db-"))
		case group != "" && its != group:
			return "", fmt.Errorf("server %s belongs to another cluster than those before it", servers[i].Letter)
		default:
			group = its
		}
	}
	return group, nil
}

// valueOf returns a setting's value in a file of MySQL's settings.
func valueOf(config, name string) string {
	for line := range strings.Lines(config) {
		if value, found := strings.CutPrefix(line, name+" = "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// sameAs returns an error if the options name other servers than those that the cluster has.
func (c *Cluster) sameAs(options Options) error {
	if len(options.Hosts) == 0 {
		return nil
	}
	for i, host := range options.Hosts {
		name, address, _ := strings.Cut(host, "=")
		if i >= len(c.Servers) || name != c.Servers[i].Host || address != "" && address != c.Servers[i].PrivateIP {
			return fmt.Errorf("the cluster %s has the servers %s: make cluster without HOSTS goes on with them; for others, first make cluster-down", c.Name, c.names())
		}
	}
	return nil
}

// sendStack gives every server its files.
func (c *Cluster) sendStack(ctx context.Context, out *images.Runner, files []string, settings stack.Settings, primary Server) error {
	out.Begin("sending the stack")
	release := c.release(ctx)
	if err := each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		config, err := c.groupConfig(one)
		if err != nil {
			return err
		}
		return c.sendFiles(ctx, one, files, map[string]string{".env": c.environment(one, settings, primary), "group.cnf": config, releaseFile: release + "\n"})
	}); err != nil {
		return out.Fail(err)
	}
	out.End()
	return nil
}

const releaseFile = "release"

// release names the state of the repository that a server's files come from.
func (c *Cluster) release(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, stack.Brief)
	defer cancel()
	out, err := docker.Output(ctx, c.here.Server.Command(ctx, nil, "git", "describe", "--always", "--abbrev=12", "--dirty=-changed", "--exclude=*"))
	if err != nil { // no git, or an unpacked archive
		return "unknown"
	}
	return strings.TrimSpace(out)
}

// serve starts all services of these servers, and waits until they are healthy.
func (c *Cluster) serve(ctx context.Context, out *images.Runner, servers ...Server) error {
	var names []string
	for _, one := range servers {
		names = append(names, one.Letter)
	}
	title := "server " + strings.Join(names, " and server ")
	out.Begin("starting all services on %s", title)
	if err := each(ctx, servers, func(ctx context.Context, one Server) error {
		limited, cancel := context.WithTimeout(ctx, servedWithin+30*time.Second) // Compose gives up first
		defer cancel()
		_, err := c.on[one.Letter].Compose(limited, "up", "--detach", "--wait", "--wait-timeout", strconv.Itoa(int(servedWithin.Seconds())))
		if err == nil || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w\n%s", err, c.explain(ctx, one))
	}); err != nil {
		return out.Fail(err)
	}
	out.Done("all services are healthy on %s", title)
	return nil
}

// explain returns what the containers at fault say.
func (c *Cluster) explain(ctx context.Context, one Server) string {
	s := c.on[one.Letter]
	containers, err := s.Containers(ctx)
	if err != nil {
		return err.Error()
	}
	var said []string
	for _, container := range containers {
		waits := container.State.Health != nil && !container.Healthy()
		if container.Failure() == "" && !waits {
			continue
		}
		said = append(said, fmt.Sprintf("%s: %s %s\n%s", container.Service(), container.Failure(), container.HealthCheckSaid(), s.Log(ctx, container)))
	}
	return strings.Join(said, "\n")
}

func (c *Cluster) printAddresses(to *os.File, settings stack.Settings) error {
	www := "www." + settings["DOMAIN"]
	fmt.Fprintln(to)
	for _, one := range c.Servers {
		if c.Nested() {
			fmt.Fprintf(to, "server %s  curl --resolve %s:80:%s http://%[2]s/\n", one.Letter, www, one.PrivateIP)
		} else {
			fmt.Fprintf(to, "server %s  %s\n", one.Letter, one.Host)
		}
	}
	_, err := fmt.Fprintln(to, "next      make cluster-status, make cluster-down")
	return err
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/server"
)

const reachWithin = 20 * time.Second

// hostFacts prints what a server must have, one fact a line. It changes nothing but the stack's folder, which it makes. The
// server's own addresses are read from the kernel, since not every Debian has a program that lists them.
const hostFacts = `. /etc/os-release
echo "system ${ID:-unknown} ${VERSION_ID:-}"
echo "address $(set -- ${SSH_CONNECTION:-}; echo "${3:-}")"
echo "engine $(docker version --format '{{.Server.Version}}' 2>&1 | tail -n 1)"
echo "compose $(docker compose version --short 2>&1 | tail -n 1)"
echo "folder $(mkdir -p ` + there + ` && [ -w ` + there + ` ] && echo writable || echo "$(id -un) may not write to ` + there + `")"
echo "own $(awk '/32 host LOCAL/ { print last } { last = $2 }' /proc/net/fib_trie | sort -u | tr '\n' ' ')"`

// askHost returns the facts about a host, by their first word.
func askHost(ctx context.Context, host string) (map[string]string, error) {
	there := server.SSH{Host: host, Dir: "/"}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	out, err := docker.Output(ctx, there.Command(ctx, nil, "sh", "-c", hostFacts))
	if err != nil {
		said := err.Error()
		if inner := errors.Unwrap(err); inner != nil {
			said = inner.Error() // without the long command
		}
		return nil, fmt.Errorf("%s cannot be reached: %s\nAn ssh key must open it without a question: ssh %[1]s true", host, said)
	}
	facts := map[string]string{}
	for line := range strings.Lines(out) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		facts[word] = strings.TrimSpace(rest)
	}
	return facts, nil
}

// findHosts returns the servers that the hosts name, after asking each for the address at which the others can reach it.
func findHosts(ctx context.Context, hosts []string) ([]Server, error) {
	if len(hosts) != len(letters) {
		return nil, fmt.Errorf(`HOSTS takes three servers, such as HOSTS="root@one root@two root@three", and not %d`, len(hosts))
	}
	if err := server.PrepareSSH(); err != nil {
		return nil, err
	}
	var servers []Server
	var errs []error
	for i, entry := range hosts {
		host, address, given := strings.Cut(entry, "=")
		facts, err := askHost(ctx, host)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !given {
			address = facts["address"]
		}
		if err := judgeAddress(host, address, facts["own"], given); err != nil {
			errs = append(errs, err)
			continue
		}
		servers = append(servers, Server{Letter: letters[i], Host: host, PrivateIP: address})
	}
	return servers, errors.Join(errs...)
}

// judgeAddress returns an error if a database must not listen at an address of a host, or cannot.
func judgeAddress(host, address, own string, given bool) error {
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is4() {
		return fmt.Errorf("%s: %q is no IPv4 address: name the one at which the other servers reach it, as %[1]s=10.0.0.1", host, address)
	}
	found := false
	for _, one := range strings.Fields(own) {
		found = found || one == address
	}
	if !found {
		return fmt.Errorf("%s has no address %s: it has %s. Name the one at which the other servers reach it, as %[1]s=10.0.0.1", host, address, own)
	}
	if !given && !ip.IsPrivate() {
		return fmt.Errorf("%s was reached at %s, which is a public address, and its database must not be open to everybody: "+
			"name its address in the servers' private network, as %[1]s=10.0.0.1", host, address)
	}
	return nil
}

// checkHosts says everything that the servers lack, before anything is changed on any of them.
func (c *Cluster) checkHosts(ctx context.Context, out *images.Runner) error {
	out.Begin("checking the servers")
	if err := each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		facts, err := askHost(ctx, one.Host)
		if err != nil {
			return err
		}
		return judgeHost(one.Host, facts)
	}); err != nil {
		return out.Fail(err)
	}
	out.Done("the servers have what is needed: %s", c.names())
	return nil
}

func judgeHost(host string, facts map[string]string) error {
	var errs []error
	if system := facts["system"]; !strings.HasPrefix(system, "debian") && !strings.HasPrefix(system, "ubuntu") {
		errs = append(errs, fmt.Errorf("%s runs %s, and this was tried with Debian only", host, system))
	}
	if version, err := docker.ParseVersion(facts["engine"]); err != nil {
		errs = append(errs, fmt.Errorf("%s: the engine does not answer (%s): on Debian 13 apt-get install docker.io docker-cli docker-compose there, as root; or sign in as a user who may use it", host, facts["engine"]))
	} else if oldest := (docker.Version{20, 10}); version.Before(oldest) {
		errs = append(errs, fmt.Errorf("%s: its engine is %s, and %s is the oldest that will do", host, facts["engine"], oldest))
	}
	if version, err := docker.ParseVersion(facts["compose"]); err != nil || version.Before(docker.Compose.Oldest) {
		errs = append(errs, fmt.Errorf("%s: its Compose is %q, and %s is the oldest that will do: apt-get install docker-compose there", host, facts["compose"], docker.Compose.Oldest))
	}
	if facts["folder"] != "writable" {
		errs = append(errs, fmt.Errorf("%s: %s: sign in as root, or give that folder to the user", host, facts["folder"]))
	}
	return errors.Join(errs...)
}

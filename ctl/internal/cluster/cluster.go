// Package cluster runs the stack on three servers, with MySQL Group Replication between their databases. It sends files, runs
// Compose on each server and asks. It decides nothing for the group: membership, election and the order of writes are the
// group's, and what a member does to come back is in its own container (services/db/group.sh).
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/server"
	"oneserver/ctl/internal/stack"
)

const (
	// Folder is where this machine keeps what it knows of clusters, under their names.
	Folder = "cluster"
	// DefaultName is the name of a cluster that was given none.
	DefaultName = "oneserver-cluster"

	there   = "/srv/oneserver" // the stack's folder on each server
	project = "oneserver"      // the project's name there
)

// letters name the servers. A group of three survives the loss of one; more is not built.
var letters = []string{"a", "b", "c"}

// A Server is one of the three machines.
type Server struct {
	Letter    string `json:"server"`         // a, b or c
	Host      string `json:"host,omitempty"` // as ssh takes it; empty for a nested server
	PrivateIP string `json:"private_ip"`     // where the other servers reach it
}

// Database returns the name of the server's database, which is also its container's host name.
func (s Server) Database() string { return "db-" + s.Letter }

// A Cluster is three servers and what this machine knows of them.
type Cluster struct {
	Name    string   `json:"name"`
	Group   string   `json:"group"`            // the UUID of the group of databases
	Subnet  string   `json:"subnet,omitempty"` // of nested servers: the first three numbers of a /24
	Servers []Server `json:"servers"`

	here *stack.Stack // the repository that the servers' files come from
	dir  string       // of this file
	on   map[string]*stack.Stack
}

// openLocked opens a cluster to change it.
func openLocked(here *stack.Stack, name string) (c *Cluster, unlock func(), err error) {
	if c, err = Open(here, name); err != nil {
		return nil, nil, err
	}
	unlock, err = lock(c.dir)
	return c, unlock, err
}

// ErrNone means that this machine knows no cluster of that name.
var ErrNone = errors.New("there is no cluster here: make cluster makes one")

// validName matches the names that a cluster may have. It is the name of a folder, which cluster-down removes, and the beginning
// of containers' names.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,50}$`)

// folder returns where this machine keeps what it knows of the cluster of that name.
func folder(here *stack.Stack, name string) (string, error) {
	if !validName.MatchString(name) {
		return "", fmt.Errorf("--name takes small letters, digits, _ and -, such as %s, and not %q", DefaultName, name)
	}
	return here.Path(filepath.Join(Folder, name)), nil
}

// Open returns the cluster of that name, or ErrNone.
func Open(here *stack.Stack, name string) (*Cluster, error) {
	dir, err := folder(here, name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{here: here, dir: dir}
	text, err := os.ReadFile(filepath.Join(c.dir, "servers.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s/servers.json: %w", c.dir, err)
	}
	if len(c.Servers) != len(letters) {
		return nil, fmt.Errorf("%s/servers.json names %d servers, and a cluster has %d", c.dir, len(c.Servers), len(letters))
	}
	return c, c.connect()
}

// connect prepares the way to each server.
func (c *Cluster) connect() error {
	if !c.Nested() {
		if err := server.PrepareSSH(); err != nil {
			return err
		}
	}
	c.on = map[string]*stack.Stack{}
	for _, one := range c.Servers {
		c.on[one.Letter] = &stack.Stack{CLI: docker.CLI{Server: c.transport(one, there)}, Dir: c.here.Dir}
	}
	return nil
}

// transport returns the way to a server, for programs that run in a folder there.
func (c *Cluster) transport(one Server, dir string) server.Server {
	if one.Host != "" {
		return server.SSH{Host: one.Host, Dir: dir}
	}
	return server.Nested{Outer: c.here.Server, Container: c.container(one), Dir: dir}
}

// Nested reports whether the servers are containers on this machine.
func (c *Cluster) Nested() bool { return c.Servers[0].Host == "" }

// save writes servers.json, whole or not at all.
func (c *Cluster) save() error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(c.dir, "servers.json"), append(text, '\n'), 0o600)
}

// writeFile replaces a file, whole or not at all.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	partial, err := os.CreateTemp(filepath.Dir(path), ".partial-*")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	_, err = partial.Write(content)
	if err := errors.Join(err, partial.Chmod(mode), partial.Sync(), partial.Close()); err != nil {
		return err
	}
	return os.Rename(partial.Name(), path)
}

// lock keeps other commands from changing the cluster. They wait for nothing: two people should talk first.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	held := flock.New(filepath.Join(dir, "lock"))
	locked, err := held.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, errors.New("another command is changing this cluster: wait until it has ended")
	}
	return func() { _ = held.Unlock() }, nil // the lock ends with this program in any case
}

// newGroup returns a random UUID (RFC 9562, version 4) for a group.
func newGroup() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// indexOf returns a server's place among all.
func indexOf(one Server) int { return slices.Index(letters, one.Letter) }

// others returns the servers but one.
func (c *Cluster) others(than Server) []Server {
	return slices.DeleteFunc(slices.Clone(c.Servers), func(s Server) bool { return s.Letter == than.Letter })
}

// errStopped adds nothing to an error's text. It marks the errors of databases that certainly do not run.
var errStopped = errors.New("")

// containers returns a server's containers in any state, without asking Compose there, which takes longer.
func (c *Cluster) containers(ctx context.Context, one Server, filters ...string) ([]docker.Container, error) {
	return c.on[one.Letter].List(ctx, append([]string{"--all", "--filter", "label=com.docker.compose.project=" + project,
		"--filter", "label=com.docker.compose.oneoff=False"}, filters...)...)
}

// databaseContainer returns the database's container on a server.
func (c *Cluster) databaseContainer(ctx context.Context, one Server) (docker.Container, error) {
	list, err := c.containers(ctx, one, "--filter", "label=com.docker.compose.service=db")
	if err != nil {
		return docker.Container{}, fmt.Errorf("server %s: %w", one.Letter, err)
	}
	if len(list) == 0 {
		return docker.Container{}, fmt.Errorf("server %s has no container of db: make cluster%w", one.Letter, errStopped)
	}
	return list[0], nil
}

// sql runs statements as root on a server's database.
func (c *Cluster) sql(ctx context.Context, one Server, limit time.Duration, statements string) ([][]string, error) {
	db, err := c.databaseContainer(ctx, one)
	if err != nil {
		return nil, err
	}
	if !db.Running() {
		return nil, fmt.Errorf("server %s: db does not run (%s)%w", one.Letter, db.State.Status, errStopped)
	}
	d := c.on[one.Letter].DatabaseIn(db.ID)
	d.Limit = limit
	rows, err := d.SQL(ctx, statements)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", one.Database(), err)
	}
	return rows, nil
}

// Package deploy changes a running site while visitors use it: another release of the application, changed files, a new
// start of the database. What cannot be done is refused before anything has changed.
package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// brief bounds a command that asks or tells the engine one thing, on a machine that is busy.
const brief = 30 * time.Second

// ErrBusy is another command that changes this site.
var ErrBusy = errors.New("another deploy, rollback or reload of this site is under way: wait until it has ended")

// site is the running project that is changed.
type site struct {
	cli     docker.CLI
	project stack.Project
	out     io.Writer
	began   time.Time
	web     container // whose Nginx passes requests on
	held    *os.File  // what holds the lock, once we have it
}

// container is what `docker inspect` says of one, as far as it is asked here.
type container struct {
	ID           string
	Name         string
	Image        string // its id
	Created      time.Time
	RestartCount int
	State        struct {
		Status   string
		ExitCode int
		Health   *struct {
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
	Mounts          []struct{ Source, Destination string }
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

func (c container) configHash() string {
	return c.Config.Labels["com.docker.compose.config-hash"]
}
func (c container) name() string  { return strings.TrimPrefix(c.Name, "/") }
func (c container) running() bool { return c.State.Status == "running" }
func (c container) healthy() bool {
	return c.running() && c.State.Health != nil && c.State.Health.Status == "healthy"
}

// ill is the error of a container that has not become healthy.
func (c container) ill() error {
	switch {
	case c.RestartCount > 0 || c.State.Status == "restarting":
		return fmt.Errorf("%s ends again and again", c.name()) // the exit code is gone once it has started anew
	case !c.running():
		return fmt.Errorf("%s has ended with exit code %d", c.name(), c.State.ExitCode)
	case c.State.Health != nil && len(c.State.Health.Log) > 0:
		said := c.State.Health.Log[len(c.State.Health.Log)-1].Output
		return fmt.Errorf("%s is not healthy: %s", c.name(), strings.TrimSpace(said))
	}
	return fmt.Errorf("%s is not healthy", c.name())
}

// open reads the project of this checkout.
func open(ctx context.Context, cli docker.CLI, out io.Writer) (*site, error) {
	project, err := stack.ReadProject(ctx, cli)
	if err != nil {
		return nil, err
	}
	return &site{cli: cli, project: project, out: out, began: time.Now()}, nil
}

// find is open for what is done behind web, which must run.
func find(ctx context.Context, cli docker.CLI, out io.Writer) (*site, error) {
	s, err := open(ctx, cli, out)
	if err != nil {
		return nil, err
	}
	if s.web, err = s.one(ctx, "web"); err != nil {
		return nil, err
	}
	if _, err := s.inWeb(ctx, "", "test -f /run/nginx/routing.conf"); err != nil {
		return nil, fmt.Errorf("web was started before its routing had a file of its own: make up: %w", err)
	}
	return s, nil
}

// one returns the running container of a service of which there is one.
func (s *site) one(ctx context.Context, service string) (container, error) {
	list, err := s.of(ctx, service)
	if err != nil {
		return container{}, err
	}
	if len(list) != 1 || !list[0].running() {
		return container{}, fmt.Errorf("%s of %s does not run: make up", service, s.project.Name)
	}
	return list[0], nil
}

// configHash is what Compose notes of a service as it is described now.
func (s *site) configHash(ctx context.Context, service string) (string, error) {
	text, err := s.composeWithin(ctx, brief, "config", "--hash", service)
	if err != nil {
		return "", err
	}
	_, hash, found := strings.Cut(strings.TrimSpace(text), " ")
	if !found {
		return "", fmt.Errorf("docker compose config --hash prints %q", text)
	}
	return hash, nil
}

// say tells what has been done, and when.
func (s *site) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// docker runs a docker command that takes moments.
func (s *site) docker(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, brief)
	defer cancel()
	return s.cli.OutputOf(s.command(ctx, args...))
}

// command prepares a docker command that a terminal does not interrupt.
func (s *site) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := s.cli.Command(ctx, args...)
	ownGroup(cmd)
	return cmd
}

// composeWithin runs a docker compose command that may take so long.
func (s *site) composeWithin(ctx context.Context, within time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := s.command(ctx, append([]string{"compose", "--progress", "quiet"}, args...)...)
	if s.held != nil && runtime.GOOS != "windows" { // where a command inherits nothing but its input and outputs
		cmd.ExtraFiles = []*os.File{s.held}
	}
	return s.cli.OutputOf(cmd)
}

// of returns the containers of a service, or of all, whatever their state, the oldest first.
func (s *site) of(ctx context.Context, service string) ([]container, error) {
	ctx, cancel := context.WithTimeout(ctx, brief)
	defer cancel()
	list, err := docker.Containers[container](ctx, s.cli, s.project.Name, service)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b container) int { return a.Created.Compare(b.Created) })
	return list, nil
}

// inWeb runs a shell script in web, as Nginx' own user.
func (s *site) inWeb(ctx context.Context, stdin, script string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, brief)
	defer cancel()
	cmd := s.command(ctx, append([]string{"exec", "--interactive", s.web.ID, "sh", "-c", script}, args...)...)
	var stdout, stderr bytes.Buffer // docker prints warnings of its own on the other one
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("in web: %w: %s", err, strings.TrimSpace(stdout.String()+stderr.String()))
	}
	return stdout.String(), nil
}

// log returns the last lines that a container has printed.
func (s *site) log(ctx context.Context, c container) string {
	ctx, cancel := context.WithTimeout(ctx, brief)
	defer cancel()
	out, err := s.cli.Command(ctx, "logs", "--tail", "20", c.ID).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("its log cannot be read: %v", err)
	}
	return fmt.Sprintf("the log of %s ends with:\n  | %s", c.name(), strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n  | "))
}

func ids(list []container) []string {
	var all []string
	for _, c := range list {
		all = append(all, c.ID)
	}
	return all
}

// address is a container's own in the network that compose.yaml describes, whatever others it was connected to.
func (s *site) address(c container) (netip.Addr, error) {
	network := s.project.Networks["default"].Name
	address, err := netip.ParseAddr(c.NetworkSettings.Networks[network].IPAddress)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s has no address in the network %s: %w", c.name(), network, err)
	}
	return address, nil
}

// replicasOf says of containers what a routing has to know.
func (s *site) replicasOf(list []container) ([]replica, error) {
	var all []replica
	for _, c := range list {
		address, err := s.address(c)
		if err != nil {
			return nil, err
		}
		all = append(all, replica{c.ID, address})
	}
	return all, nil
}

// image is the name of the application's image, which the next start takes.
func (s *site) image() string { return s.project.Services["app"].Image }

func (s *site) tag(ctx context.Context, image, name string) error {
	_, err := s.docker(ctx, "image", "tag", image, name)
	return err
}

// permanent is an error that waiting does not mend.
type permanent struct{ error }

func (e permanent) Unwrap() error { return e.error }

// await asks again until holds has nothing to object. The error is its last objection.
func await(ctx context.Context, within time.Duration, holds func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond) // each look costs the engine some 40 ms of CPU time
	defer tick.Stop()
	wrong := errors.New("nothing was asked yet")
	for {
		err := holds(limited)
		if err == nil {
			return nil
		}
		if limited.Err() == nil {
			wrong = err
		}
		if final, ok := errors.AsType[permanent](err); ok {
			return final.error
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limited.Done():
			return fmt.Errorf("after %s: %w", within, wrong)
		case <-tick.C:
		}
	}
}

// lock makes sure that nobody else changes the site meanwhile, from whatever machine. Its holder is a process in web that
// ends with its input, so that a lock is never left behind: the last who can write to that input are we and the commands
// of Compose that we have begun, which go on for a while where we are killed.
func (s *site) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cmd := s.command(ctx, "exec", "--interactive", s.web.ID, "sh", "-c",
		"exec 9>/run/nginx/deploy.lock && flock --timeout 20 9 && echo locked && exec cat")
	end, stdin, err := os.Pipe()
	if err != nil {
		cancel()
		return nil, err
	}
	defer end.Close()
	cmd.Stdin = end
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = os.Stderr
		err = cmd.Start()
	}
	if err != nil {
		stdin.Close()
		cancel()
		return nil, err
	}
	s.held = stdin
	unlock = func() {
		s.held = nil
		stdin.Close()
		err := cmd.Wait()
		cancel()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			fmt.Fprintln(s.out, err)
		}
	}
	got := make(chan string, 1)
	go func() {
		line := make([]byte, len("locked\n"))
		n, _ := io.ReadFull(stdout, line) // nothing, where the lock is another's
		got <- string(line[:n])
	}()
	select {
	case line := <-got:
		if line != "locked\n" {
			unlock()
			return nil, ErrBusy
		}
	case <-time.After(brief):
		cancel()
		unlock()
		return nil, fmt.Errorf("web did not answer within %s", brief)
	}
	return unlock, nil
}

// Package deploy changes a running site while visitors use it: it replaces the application's release, reloads changed files,
// and restarts the database. It refuses what cannot be done before it changes anything.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// ErrBusy means that another command is changing this site.
var ErrBusy = errors.New("another deploy, rollback, reload or restart of MySQL is under way on this site: wait until it has ended")

// site is the running stack. Ctrl-C in a terminal does not interrupt its commands.
type site struct {
	*stack.Stack
	project stack.Project
	tell    *terminal.Teller
	web     docker.Container // the container whose Nginx passes requests on, and which holds the lock
}

// open reads the project of this checkout.
func open(ctx context.Context, s *stack.Stack, out io.Writer) (*site, error) {
	project, err := s.Project(ctx)
	if err != nil {
		return nil, err
	}
	return &site{Stack: s.Detached(), project: project, tell: terminal.NewTeller(out).Since(time.Now())}, nil
}

// openLocked is like open, and takes the lock if web runs. Without web there is none, and no deploy, rollback or reload either.
func openLocked(ctx context.Context, running *stack.Stack, out io.Writer) (s *site, unlock func(), err error) {
	if s, err = open(ctx, running, out); err != nil {
		return nil, nil, err
	}
	runs, err := s.webRuns(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !runs {
		return s, func() {}, nil
	}
	unlock, err = s.lock(ctx)
	return s, unlock, err
}

// webRuns reports whether web runs, and notes which container that is.
func (s *site) webRuns(ctx context.Context) (bool, error) {
	web, err := s.Containers(ctx, "web")
	if err != nil || len(web) != 1 || !web[0].Running() {
		return false, err
	}
	s.web = web[0]
	return true, nil
}

// find is like open, for changes that need web. It returns an error if web is not running.
func find(ctx context.Context, running *stack.Stack, out io.Writer) (*site, error) {
	s, err := open(ctx, running, out)
	if err != nil {
		return nil, err
	}
	if s.web, err = s.One(ctx, "web"); err != nil {
		return nil, err
	}
	if _, err := s.inWeb(ctx, "", "test -f /run/nginx/routing.conf"); err != nil {
		return nil, fmt.Errorf("web was started before its routing had a file of its own: make up: %w", err)
	}
	return s, nil
}

// composeWithin runs a docker compose command with the given time limit.
func (s *site) composeWithin(ctx context.Context, within time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return s.Compose(ctx, args...)
}

// inWeb runs a shell script in web, as Nginx's own user.
func (s *site) inWeb(ctx context.Context, stdin, script string, args ...string) (string, error) {
	return s.Exec(ctx, s.web, strings.NewReader(stdin), script, args...)
}

// replicasOf returns the containers as replicas for a routing.
func (s *site) replicasOf(list []docker.Container) ([]replica, error) {
	var all []replica
	for _, c := range list {
		address, err := c.Address(s.project.Networks["default"].Name)
		if err != nil {
			return nil, err
		}
		all = append(all, replica{c.ID, address})
	}
	return all, nil
}

// image returns the name of the application's image, which the next start uses.
func (s *site) image() string { return s.project.Services["app"].Image }

func (s *site) tag(ctx context.Context, image, name string) error {
	_, err := s.Output(ctx, "image", "tag", image, name)
	return err
}

// lock keeps every other deploy, rollback, reload and restart of MySQL, on any machine, from changing the site until unlock is
// called. A process in web holds the lock and ends when its input does, so no lock is ever left behind. Only this program and
// the Compose commands that it has started keep that input open; if this program is killed, those commands run on for a while.
func (s *site) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cmd := s.Command(ctx, "exec", "--interactive", s.web.ID, "sh", "-c",
		"exec 9>/run/nginx/deploy.lock; flock --timeout 20 -E 9 9; case $? in 0) echo locked && exec cat ;; 9) echo busy ;; esac")
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
	s.Inherited = stdin
	unlock = func() {
		s.Inherited = nil
		stdin.Close()
		err := cmd.Wait()
		cancel()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			s.tell.Say("%v", err)
		}
	}
	got := make(chan string, 1)
	go func() {
		line := make([]byte, len("locked\n"))
		n, _ := io.ReadFull(stdout, line) // nothing, if web has stopped
		got <- string(line[:n])
	}()
	select {
	case line := <-got:
		if line == "locked\n" {
			return unlock, nil
		}
		unlock()
		if line == "busy\n" {
			return nil, ErrBusy
		}
		return nil, errors.New("the lock in web could not be taken: docker compose restart web, and try again")
	case <-time.After(stack.Brief):
		cancel()
		unlock()
		return nil, fmt.Errorf("web did not answer within %s: docker compose restart web, and try again", stack.Brief)
	}
}

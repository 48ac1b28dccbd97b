// Package throwaway runs a MySQL that nobody else can reach, for what must not be done on the site's: to load a backup that
// may hold anything, to carry out what a log says, to try a change of tables. It is of the image that the site runs, has
// no network, no secret and nothing of the site's, and goes with the program that started it.
package throwaway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/ctxio"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

// Label marks the containers and volumes with their project, so that what an engine that was killed has left is found.
const Label = "oneserver.throwaway"

const (
	startWithin  = 5 * time.Minute  // a new data directory and a start, on a machine that is busy: seconds where it is not
	leaveWithin  = 15 * time.Second // for one whose program was killed to end
	justMade     = 3 * time.Second  // its program is about to start it
	noticed      = 2 * time.Second  // until its end is known here
	removeWithin = time.Minute
	askWithin    = 10 * time.Minute // a statement over all rows
	data         = "/var/lib/mysql"
)

// mysqld's settings. What it holds is made again if it is lost, so nothing waits for the disk. Its server_id differs from
// the site's: a replica leaves out in silence whatever came from a server with its own.
const settings = `--no-defaults --datadir=` + data + ` --socket=/var/run/mysqld/mysqld.sock --pid-file=/var/run/mysqld/mysqld.pid \
 --skip-networking --mysqlx=OFF --secure-file-priv=NULL --event-scheduler=OFF --default-time-zone=+00:00 --character-set-server=utf8mb4 \
 --server-id=4294967295 --gtid-mode=ON --enforce-gtid-consistency=ON --skip-log-bin --log-replica-updates=OFF \
 --skip-replica-start --relay-log=` + data + `/relay --relay-log-recovery=OFF --relay-log-purge=ON --replica-parallel-workers=1 \
 --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF --innodb-flush-method=O_DIRECT_NO_FSYNC --innodb-redo-log-capacity=256M \
 --innodb-buffer-pool-size=128M --innodb-log-buffer-size=8M --temptable-max-ram=32M --performance-schema=OFF --max-connections=20 \
 --loose-innodb-numa-interleave=OFF`

// memory is more than it needs with these settings, whatever the size of the data.
const memory = "512m"

// The container ends with mysqld, and with its input: that ends when the program at the other end does, however it ends.
const script = `set -eu
{ mysqld ` + settings + ` --initialize-insecure && exec mysqld ` + settings + ` "$@"; } </dev/null &
cat <&0 >/dev/null &
wait -n || if grep -qs '^oom_kill [1-9]' /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; then
  echo 'the kernel has ended it: it needed more memory than the ` + memory + ` that it may have'
fi >&2`

// A Server is a running throw-away.
type Server struct {
	stack.Database
	of    *stack.Stack
	id    string
	hold  io.Closer // its input
	said  *tail
	ended chan struct{}
}

// Start starts one for a purpose, of which there is one at a time in a project. options are further ones of mysqld. It
// removes what an earlier one has left; where that still runs, somebody is at work.
func Start(ctx context.Context, of *stack.Stack, purpose string, options ...string) (*Server, error) {
	project, err := of.Project(ctx)
	if err != nil {
		return nil, err
	}
	db, found := project.Services["db"]
	if !found {
		return nil, errors.New("compose.yaml has no service db")
	}
	var id string
	err = wait.Until(ctx, leaveWithin, time.Second, func(ctx context.Context) error {
		if err := Clean(ctx, of); err != nil {
			return wait.Final(err)
		}
		if id, err = create(ctx, of, purpose, db, options); err != nil && !errors.Is(err, errTaken) {
			return wait.Final(err)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a throw-away MySQL: %w", err)
	}
	s := &Server{Database: of.DatabaseIn(id), of: of, id: id, said: new(tail), ended: make(chan struct{})}
	s.Login, s.Limit = Login, askWithin
	attach := of.Detached().Command(context.WithoutCancel(ctx), "start", "--attach", "--interactive", id) // Ctrl-C is for this program, which ends it in its own time
	attach.Stdout, attach.Stderr = s.said, s.said
	if s.hold, err = attach.StdinPipe(); err != nil {
		return nil, err
	}
	if err := attach.Start(); err != nil {
		return nil, fmt.Errorf("docker start: %w", err)
	}
	go func() {
		attach.Wait() // what it has said tells why
		close(s.ended)
	}()
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a throw-away MySQL: %w", err), s.Remove())
	}
	return s, nil
}

var errTaken = errors.New("another one is at work: wait until it has ended")

// create makes the container, which does not run yet. Its name is taken while there is one.
func create(ctx context.Context, of *stack.Stack, purpose string, db stack.Service, options []string) (id string, err error) {
	project, err := of.Project(ctx)
	if err != nil {
		return "", err
	}
	name := project.Name + "-" + purpose
	mark := Label + "=" + project.Name
	volume := ",volume-label=" + mark // without a name: it goes with the container
	args := []string{"create", "--rm", "--interactive", "--name", name, "--label", mark, "--pull", "never",
		"--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", db.User,
		"--mount", "type=volume,destination=" + data + volume, "--mount", "type=volume,destination=/tmp" + volume,
		"--tmpfs", "/var/run/mysqld:uid=999,gid=999,mode=0700,size=1m",
		"--memory", memory, "--memory-swap", memory, "--pids-limit", "256",
		"--cpu-shares", "512", // of 1024 that each of the site's containers has: it works in the time that they leave
		"--log-driver", "none",
		"--entrypoint", "bash", db.Image, "-c", script, "bash"}
	id, err = of.Output(ctx, append(args, options...)...)
	if err != nil && strings.Contains(err.Error(), "is already in use") {
		return "", fmt.Errorf("%w (docker ps --all shows it as %s)", errTaken, name)
	}
	return strings.TrimSpace(id), err
}

// Network is what a container joins that is to reach it, where it listens. It leads nowhere else.
func (s *Server) Network() string { return "container:" + s.id }

// await returns once it answers.
func (s *Server) await(ctx context.Context) error {
	return wait.Until(ctx, startWithin, wait.Often, func(ctx context.Context) error {
		select {
		case <-s.ended:
			return wait.Final(fmt.Errorf("it has ended: %s", s.said))
		default:
		}
		// what it holds is made again if it is lost; without this log a load takes less time, and the disk is the site's
		_, err := s.SQL(ctx, "ALTER INSTANCE DISABLE INNODB REDO_LOG")
		return err
	})
}

// Login are the options of MySQL's programs with which they are root in it.
const Login = `--no-defaults --protocol=socket --socket=/var/run/mysqld/mysqld.sock --user=root`

// WriteFile writes a file into its data directory.
func (s *Server) WriteFile(ctx context.Context, name string, content io.Reader) error {
	cmd := s.Bash(ctx, `exec cat >"$0"`, data+"/"+name)
	cmd.Stdin = ctxio.Reader{Context: ctx, Reader: content}
	if _, err := docker.Output(cmd); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	return nil
}

// Explain adds to an error what mysqld has said, where it has ended by itself: what was asked of it fails in other words.
func (s *Server) Explain(err error) error {
	select {
	case <-s.ended:
		return fmt.Errorf("%w; the MySQL apart has ended: %s", err, s.said)
	case <-time.After(noticed):
		return err
	}
}

// Log is the end of what mysqld has said since its start.
func (s *Server) Log() string { return s.said.String() }

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-2000):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

// Remove ends it, and it is gone with its data when Remove returns. It works too where the context of the caller has ended.
func (s *Server) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	s.hold.Close()
	_, err := s.of.Output(ctx, "rm", "--force", "--volumes", s.id)
	if gone(err) {
		err = nil
	}
	select {
	case <-s.ended: // docker run returns when the engine has removed it
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("%s does not end", s.id))
	}
	return errors.Join(err, Clean(ctx, s.of)) // of volumes the engine takes leave a moment later
}

// Running says whether there is one for a purpose, and so somebody at work.
func Running(ctx context.Context, of *stack.Stack, purpose string) (bool, error) {
	project, err := of.Project(ctx)
	if err != nil {
		return false, err
	}
	ids, err := of.Output(ctx, "ps", "--quiet", "--filter", "label="+Label+"="+project.Name, "--filter", "name=^"+project.Name+"-"+purpose+"$")
	return strings.TrimSpace(ids) != "", err
}

// Clean removes what earlier throw-aways of the project have left: those that have ended, and volumes of which none is
// left. One that runs ends with the program that started it, so it is waited for, and then somebody is at work.
func Clean(ctx context.Context, of *stack.Stack) error {
	project, err := of.Project(ctx)
	if err != nil {
		return err
	}
	filter := "label=" + Label + "=" + project.Name
	ctx, cancel := context.WithTimeout(ctx, removeWithin)
	defer cancel()
	left, err := of.List(ctx, "--all", "--filter", filter, "--filter", "status=created", "--filter", "status=exited", "--filter", "status=dead")
	if err != nil {
		return err
	}
	for _, c := range left {
		// One that was just made is about to be started, or its program was killed before it could.
		if young := justMade - time.Since(c.Created); c.State.Status == "created" && young > 0 {
			started := wait.Until(ctx, young, wait.Often, func(ctx context.Context) error {
				now, err := of.Inspect(ctx, c.ID)
				if err == nil {
					c = now[0]
				}
				if c.State.Status == "created" && !docker.Gone(err) {
					return errors.New("it has not been started")
				}
				return nil
			})
			if started != nil && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if c.Running() {
			continue
		}
		if _, err := of.Output(ctx, "rm", "--force", "--volumes", c.ID); err != nil && !gone(err) {
			return err
		}
	}
	names, err := of.Output(ctx, "volume", "ls", "--quiet", "--filter", filter, "--filter", "dangling=true")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(names) {
		if _, err := of.Output(ctx, "volume", "rm", name); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

// gone says of an error that somebody was quicker.
func gone(err error) bool {
	if err == nil {
		return false
	}
	said := strings.ToLower(err.Error())
	return strings.Contains(said, "no such") || strings.Contains(said, "already in progress") || strings.Contains(said, "in use")
}

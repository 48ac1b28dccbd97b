// Package throwaway runs a MySQL server that nobody else can reach, for work that must not be done on the site's: loading a
// backup that may hold anything, replaying a log, trying a change of tables. It uses the image that the site runs, but has
// no network, no secret and nothing else of the site's. It ends with the program that started it.
package throwaway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/ctxio"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

// Label marks the containers and volumes with their project, so that those left by a killed engine can be found.
const Label = "oneserver.throwaway"

const (
	startWithin  = 5 * time.Minute  // to make a data directory and start, on a busy machine; otherwise this takes seconds
	leaveWithin  = 15 * time.Second // for a throw-away server to end after its program was killed
	justMade     = 3 * time.Second  // until a container that was made is started
	noticed      = 2 * time.Second  // how long it may take until this program notices the end
	removeWithin = time.Minute
	askWithin    = 10 * time.Minute // a statement over all rows
	data         = "/var/lib/mysql"
)

// settings are the settings of mysqld. Its data can be made again if it is lost, so nothing waits for the disk. Its
// server_id differs from the site's, since a replica silently skips whatever came from a server with its own id.
const settings = `--no-defaults --datadir=` + data + ` --socket=/var/run/mysqld/mysqld.sock --pid-file=/var/run/mysqld/mysqld.pid \
 --skip-networking --mysqlx=OFF --secure-file-priv=NULL --event-scheduler=OFF --default-time-zone=+00:00 --character-set-server=utf8mb4 \
 --server-id=4294967295 --gtid-mode=ON --enforce-gtid-consistency=ON --skip-log-bin --log-replica-updates=OFF \
 --skip-replica-start --relay-log=` + data + `/relay --relay-log-recovery=OFF --relay-log-purge=ON --replica-parallel-workers=1 \
 --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF --innodb-flush-method=O_DIRECT_NO_FSYNC --innodb-redo-log-capacity=256M \
 --innodb-buffer-pool-size=128M --innodb-log-buffer-size=8M --temptable-max-ram=32M --performance-schema=OFF --max-connections=20 \
 --loose-innodb-numa-interleave=OFF`

// memory is more than the throw-away server needs with these settings, whatever the size of the data.
const memory = "512m"

// The container ends with mysqld or with its own input. The input ends when the program at the other end does, for whatever
// reason.
const script = `set -eu
{ mysqld ` + settings + ` --initialize-insecure && exec mysqld ` + settings + ` "$@"; } </dev/null &
cat <&0 >/dev/null &
wait -n || if grep -qs '^oom_kill [1-9]' /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; then
  echo 'the kernel has ended it: it needed more memory than the ` + memory + ` that it may have'
fi >&2`

// A Server is a running throw-away server.
type Server struct {
	stack.Database
	of    *stack.Stack
	id    string
	hold  io.Closer // the container's input
	said  *tail
	ended context.Context // ends with the container
}

// Start starts a throw-away server for a purpose; a project can have only one for each purpose. options are additional
// options of mysqld. Start removes what an earlier server has left. If that server is still running, it is in use, and Start
// fails.
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
	s := &Server{Database: of.DatabaseIn(id), of: of, id: id, said: new(tail)}
	s.Login, s.Limit = login, askWithin
	attach := of.Detached().Command(context.WithoutCancel(ctx), "start", "--attach", "--interactive", id) // Ctrl-C is for this program, which then ends the throw-away itself
	attach.Stdout, attach.Stderr = s.said, s.said
	if s.hold, err = attach.StdinPipe(); err != nil {
		return nil, err
	}
	if err := attach.Start(); err != nil {
		return nil, fmt.Errorf("docker start: %w", err)
	}
	ended, end := context.WithCancel(context.Background())
	s.ended = ended
	go func() {
		attach.Wait() // the command's output shows why
		end()
	}()
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a throw-away MySQL: %w", err), s.Remove())
	}
	return s, nil
}

var errTaken = errors.New("another one is at work: wait until it has ended")

// create creates the container but does not start it. Only one container at a time can have its name.
func create(ctx context.Context, of *stack.Stack, purpose string, db stack.Service, options []string) (id string, err error) {
	project, err := of.Project(ctx)
	if err != nil {
		return "", err
	}
	name := project.Name + "-" + purpose
	mark := Label + "=" + project.Name
	volume := ",volume-label=" + mark // without a name, so it is removed with the container
	args := slices.Concat([]string{"create", "--rm", "--interactive"}, docker.Confined, []string{"--name", name, "--label", mark, "--network", "none", "--user", db.User,
		"--mount", "type=volume,destination=" + data + volume, "--mount", "type=volume,destination=/tmp" + volume,
		"--tmpfs", "/var/run/mysqld:uid=999,gid=999,mode=0700,size=1m",
		"--memory", memory, "--memory-swap", memory, "--pids-limit", "256",
		"--cpu-shares", "512", // each of the site's containers has 1024, so this one works in the time that they leave
		"--log-driver", "none",
		"--entrypoint", "bash", db.Image, "-c", script, "bash"}, options)
	id, err = of.Output(ctx, args...)
	if err != nil && strings.Contains(err.Error(), "is already in use") {
		return "", fmt.Errorf("%w (docker ps --all shows it as %s)", errTaken, name)
	}
	return strings.TrimSpace(id), err
}

// Network returns the network that another container joins to reach the throw-away server. It leads nowhere else.
func (s *Server) Network() string { return "container:" + s.id }

// await returns once MySQL answers.
func (s *Server) await(ctx context.Context) error {
	return wait.Until(ctx, startWithin, wait.Often, func(ctx context.Context) error {
		if s.ended.Err() != nil {
			return wait.Final(fmt.Errorf("it has ended: %s", s.said))
		}
		// The data can be made again if it is lost. Without this log a load takes less time, and leaves the disk to the
		// site.
		_, err := s.SQL(ctx, "ALTER INSTANCE DISABLE INNODB REDO_LOG")
		return err
	})
}

// login holds the options with which MySQL's programs sign in as root.
const login = `--no-defaults --protocol=socket --socket=/var/run/mysqld/mysqld.sock --user=root`

// WriteFile writes a file into the server's data directory.
func (s *Server) WriteFile(ctx context.Context, name string, content io.Reader) error {
	cmd := s.Bash(ctx, `exec cat >"$0"`, data+"/"+name)
	cmd.Stdin = ctxio.Reader{Context: ctx, Reader: content}
	if _, err := docker.Output(ctx, cmd); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	return nil
}

// Explain adds mysqld's output to an error if mysqld has ended by itself: the error of the failed command does not say why.
func (s *Server) Explain(err error) error {
	if wait.For(s.ended, noticed) == nil {
		return err
	}
	return fmt.Errorf("%w; the MySQL apart has ended: %s", err, s.said)
}

// Log returns the end of what mysqld has printed since its start.
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

// Remove ends the throw-away server, and returns when it is gone with its data. It works even if the caller's context has
// ended.
func (s *Server) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	s.hold.Close()
	_, err := s.of.Output(ctx, "rm", "--force", "--volumes", s.id)
	if gone(err) {
		err = nil
	}
	select {
	case <-s.ended.Done(): // docker start returns once the engine has removed it
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("%s does not end", s.id))
	}
	return errors.Join(err, Clean(ctx, s.of)) // the engine may remove the volumes a moment later
}

// Running reports whether a throw-away server for a purpose is running, and so in use.
func Running(ctx context.Context, of *stack.Stack, purpose string) (bool, error) {
	project, err := of.Project(ctx)
	if err != nil {
		return false, err
	}
	list, err := of.List(ctx, "--filter", "label="+Label+"="+project.Name, "--filter", "name=^"+project.Name+"-"+purpose+"$")
	return len(list) > 0, err
}

// Clean removes what earlier throw-away servers of the project have left: containers that have ended, and volumes without a
// container. It leaves running servers alone, since they end with the programs that started them.
func Clean(ctx context.Context, of *stack.Stack) error {
	project, err := of.Project(ctx)
	if err != nil {
		return err
	}
	filter := "label=" + Label + "=" + project.Name
	left, err := of.List(ctx, "--all", "--filter", filter, "--filter", "status=created", "--filter", "status=exited", "--filter", "status=dead")
	if err != nil {
		return err
	}
	for _, c := range left {
		// It is either about to be started, or its program was killed before it could start it. Its age would not tell: the
		// engine's clock may differ from ours.
		if c.State.Status == "created" {
			started := wait.Until(ctx, justMade, wait.Often, func(ctx context.Context) error {
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

// gone reports whether an error means that something else has removed the object, is removing it or has begun to use it.
func gone(err error) bool {
	if err == nil {
		return false
	}
	said := strings.ToLower(err.Error())
	return strings.Contains(said, "no such") || strings.Contains(said, "already in progress") || strings.Contains(said, "in use")
}

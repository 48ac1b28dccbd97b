// Package stack represents the project that compose.yaml describes, running or not: its containers, its database, its
// settings, and Compose, which runs them.
package stack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/server"
	"oneserver/ctl/internal/wait"
)

// Brief is the time limit of a command that asks or tells the engine one thing, on a busy machine.
const Brief = 30 * time.Second

// Services lists the parts of the site in the order in which a request reaches them.
var Services = []string{"dns", "web", "app", "db"}

// A Stack is one project on one server.
type Stack struct {
	docker.CLI
	Dir string // the repository's root, with the files of the stack
	// Inherited is kept open by the Compose commands, even if this program is killed.
	Inherited *os.File

	mu      sync.Mutex
	project *Project // once it has been read
}

// New returns the stack of a folder, on this machine, with an environment as in docker.CLI.
func New(dir string, env ...string) *Stack {
	return &Stack{CLI: docker.CLI{Server: server.Local{Dir: dir}, Env: env}, Dir: dir}
}

// As returns a stack with the same folder that uses cli to run docker. If cli has other variables, it is another stack.
func (s *Stack) As(cli docker.CLI) *Stack { return &Stack{CLI: cli, Dir: s.Dir} }

// Detached returns the same stack, with commands that ignore what a terminal sends to all programs on it: see server.OwnGroup.
func (s *Stack) Detached() *Stack {
	s.mu.Lock()
	defer s.mu.Unlock()
	detached := &Stack{CLI: s.CLI, Dir: s.Dir, project: s.project}
	detached.OwnGroup = true
	return detached
}

// Path resolves a relative path from the repository's root, where make runs, rather than from this program's folder.
func (s *Stack) Path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.Dir, path)
}

// In reports whether a path leads to the stack's folder, through whatever links.
func (s *Stack) In(path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	here, err := os.Stat(s.Dir)
	return err == nil && os.SameFile(here, there)
}

// FindRoot returns the nearest folder at or above dir that has a compose.yaml, by its real name: Compose recreates a
// container whose files are mounted from another path.
func FindRoot(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "compose.yaml")); err == nil {
			return at, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no compose.yaml in %s or above it: run this inside the repository", dir)
		}
	}
}

// Project holds the part of `docker compose config` that this tool uses.
type Project struct {
	Name     string
	Services map[string]Service
	Networks map[string]struct{ Name string }
	Volumes  map[string]struct{ Name string }
}

// Service is one service of a project.
type Service struct {
	Image       string
	Command     []string
	Environment map[string]string
	Build       *struct{ Context, Dockerfile string } // nil if the image is published by others
	User        string
	Restart     string
	Volumes     []struct{ Type, Source string }
	MemLimit    int64 `json:"mem_limit,string"` // bytes
}

// Project asks Compose for the project with all its settings filled in, once.
func (s *Stack) Project(ctx context.Context) (Project, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.project != nil {
		return *s.project, nil
	}
	out, err := s.Output(ctx, "compose", "config", "--format", "json")
	if err != nil {
		return Project{}, err
	}
	project := new(Project)
	if err := json.Unmarshal([]byte(out), project); err != nil {
		return Project{}, fmt.Errorf("docker compose config: %w", err)
	}
	s.project = project
	return *project, nil
}

// Images returns the images that the services run, each once, in order.
func (p Project) Images() []string {
	names := map[string]bool{}
	for _, service := range p.Services {
		names[service.Image] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// ConfigHashes returns the hashes that Compose would record for the services as they are described now.
func (s *Stack) ConfigHashes(ctx context.Context) (map[string]string, error) {
	text, err := s.Compose(ctx, "config", "--hash", "*")
	if err != nil {
		return nil, err
	}
	hashes := map[string]string{}
	for line := range strings.Lines(text) {
		service, hash, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found {
			return nil, fmt.Errorf("docker compose config --hash prints %q", text)
		}
		hashes[service] = hash
	}
	return hashes, nil
}

// ComposeCommand prepares a command of Compose.
func (s *Stack) ComposeCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := s.Command(ctx, append([]string{"compose", "--progress", "quiet"}, args...)...)
	if s.Inherited != nil && runtime.GOOS != "windows" { // a command there inherits only its standard input and outputs
		cmd.ExtraFiles = []*os.File{s.Inherited}
	}
	return cmd
}

// Compose runs a command of Compose and returns what it prints. docker.Limit bounds it.
func (s *Stack) Compose(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := docker.Limit(ctx)
	defer cancel()
	return docker.Output(ctx, s.ComposeCommand(ctx, args...))
}

// Containers returns the project's containers, or those of some services, in any state, including one-shots that have ended,
// the oldest first; but not those of `docker compose run`.
func (s *Stack) Containers(ctx context.Context, services ...string) ([]docker.Container, error) {
	project, err := s.Project(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.List(ctx, "--all", "--filter", "label=com.docker.compose.project="+project.Name, "--filter", "label=com.docker.compose.oneoff=False")
	if len(services) > 0 { // two filters for one label would match nothing
		list = slices.DeleteFunc(list, func(c docker.Container) bool { return !slices.Contains(services, c.Service()) })
	}
	slices.SortFunc(list, func(a, b docker.Container) int { return a.Created.Compare(b.Created) })
	return list, err
}

// One returns the running container of a service that has only one.
func (s *Stack) One(ctx context.Context, service string) (docker.Container, error) {
	list, err := s.Containers(ctx, service)
	if err != nil {
		return docker.Container{}, err
	}
	if len(list) != 1 || !list[0].Running() {
		return docker.Container{}, fmt.Errorf("%s of %s does not run: make up", service, s.project.Name)
	}
	return list[0], nil
}

// Await waits until list returns no error and its containers are all healthy. It gives up at once if one of them is not, and
// is hopeless.
func (s *Stack) Await(ctx context.Context, within time.Duration, list func(context.Context) ([]docker.Container, error), hopeless func(docker.Container) bool) error {
	return wait.Until(ctx, within, wait.Often, func(ctx context.Context) error {
		all, err := list(ctx)
		if err != nil {
			return err
		}
		for _, c := range all {
			switch {
			case c.Healthy():
			case hopeless(c):
				return wait.Final(c.Ill())
			default:
				return c.Ill()
			}
		}
		return nil
	})
}

// AwaitHealthy waits until each service has a container, all are healthy, and the condition, if given, holds.
func (s *Stack) AwaitHealthy(ctx context.Context, within time.Duration, holds func([]docker.Container) error) error {
	list := func(ctx context.Context) ([]docker.Container, error) {
		all, err := s.Containers(ctx, Services...)
		for _, service := range Services {
			if err == nil && !slices.ContainsFunc(all, func(c docker.Container) bool { return c.Service() == service }) {
				err = fmt.Errorf("%s has no container", service)
			}
		}
		if err == nil && holds != nil {
			err = holds(all)
		}
		return all, err
	}
	return s.Await(ctx, within, list, func(docker.Container) bool { return false })
}

// Exec runs a shell script in a container and returns its output, even if it failed. The error has everything that it printed.
func (s *Stack) Exec(ctx context.Context, in docker.Container, stdin io.Reader, script string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Brief)
	defer cancel()
	out, err := s.OutputFrom(ctx, stdin, append([]string{"exec", "--interactive", in.ID, "sh", "-c", script}, args...)...)
	if err != nil {
		return out, fmt.Errorf("in %s: %w: %s", in.Service(), errors.Unwrap(err), strings.TrimSpace(out))
	}
	return out, nil
}

// Log returns the last lines that a container has printed, to explain its failure.
func (s *Stack) Log(ctx context.Context, c docker.Container) string {
	ctx, cancel := context.WithTimeout(ctx, Brief)
	defer cancel()
	out, err := s.Command(ctx, "logs", "--tail", "20", c.ID).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("its log cannot be read: %v", cmp.Or(context.Cause(ctx), err))
	}
	return fmt.Sprintf("the log of %s ends with:\n  | %s", c.Title(), strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n  | "))
}

// LookInto runs a shell script in a throw-away container that can read the volumes, mounted as /data and /secrets, as
// the database's user, and can do nothing else. An empty name leaves a volume out: mounting one that does not exist would
// create it. LookInto returns the script's output.
func (s *Stack) LookInto(ctx context.Context, image, data, secrets, script string) (string, error) {
	project, err := s.Project(ctx)
	if err != nil {
		return "", err
	}
	run := slices.Concat([]string{"run", "--rm"}, docker.Confined, []string{"--network", "none", "--user", project.Services["db"].User, "--entrypoint", "sh"})
	for destination, source := range map[string]string{"/data": data, "/secrets": secrets} {
		if source != "" {
			run = append(run, "--mount", "type=volume,readonly,volume-nocopy,source="+source+",destination="+destination)
		}
	}
	return s.Output(ctx, append(run, image, "-c", script)...)
}

// Package images makes sure that every image of the stack is on the engine: pulled or built if there is a registry,
// built as a stand-in from Debian packages if there is none, or read from an archive that another machine wrote.
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// registryPatience is more than the 15 s that the engine allows for a connection. Once a transfer is running it has its own
// limits, and without a terminal a pull prints nothing while it fetches a layer.
var registryPatience = patience{first: 20 * time.Second}

// A plan is the set of images that a project needs.
type plan struct {
	pulled []string // images of services, published by others
	built  []string // images of services, built by us
	bases  []string // images that ours are built from
}

// Ensure provides every image of the stack that is missing, and rebuilds ours if their sources have changed. If services are
// named, it does so only for their images.
//
// BuildKit decides whether the sources have changed. With everything cached, `docker compose build` takes about a second.
// `docker compose up --build` runs the same build, so no image can be stale, and no record of its sources needs to be kept.
// If our images exist but their base images cannot be obtained, as after Load, they are left as they are. Ensure never
// exchanges an existing image for another; Renew does that.
func Ensure(ctx context.Context, s *stack.Stack, out *Runner, services ...string) error {
	plan, err := readPlan(ctx, s, services...)
	if err != nil {
		return err
	}
	all := slices.Concat(plan.pulled, plan.bases, plan.built)
	here, err := s.Images(ctx, all...)
	if err != nil {
		return err
	}
	unreachable, err := pull(ctx, s, out, docker.Absent(here, slices.Concat(plan.pulled, plan.bases)))
	if err != nil {
		return err
	}
	if unreachable == "" {
		return build(ctx, s, out, plan.built, services...)
	}
	if here, err = s.Images(ctx, all...); err != nil {
		return err
	}
	missing, bases := docker.Absent(here, plan.pulled), docker.Absent(here, plan.bases)
	asTheyAre := len(bases) > 0 && len(docker.Absent(here, plan.built)) == 0
	if !asTheyAre {
		missing = append(missing, bases...)
	}
	if len(missing) > 0 {
		if err := standIns(ctx, s, out, missing, "cannot be pulled ("+unreachable+")"); err != nil {
			return err
		}
	}
	if asTheyAre {
		out.Say("%s is not here and cannot be pulled: %s stay as they are", list(bases), list(plan.built))
		return nil
	}
	return build(ctx, s, out, plan.built, services...)
}

// readPlan asks Compose which images the project needs.
func readPlan(ctx context.Context, s *stack.Stack, services ...string) (plan, error) {
	project, err := s.Project(ctx)
	if err != nil {
		return plan{}, err
	}
	return planOf(project, services...)
}

func planOf(project stack.Project, services ...string) (plan, error) {
	var p plan
	for name, service := range project.Services {
		if len(services) > 0 && !slices.Contains(services, name) {
			continue
		}
		if service.Build == nil {
			p.pulled = append(p.pulled, service.Image)
			continue
		}
		p.built = append(p.built, service.Image)
		dockerfile, err := os.ReadFile(filepath.Join(service.Build.Context, service.Build.Dockerfile))
		if err != nil {
			return plan{}, err
		}
		p.bases = append(p.bases, bases(string(dockerfile))...)
	}
	// A service may run an image that another one builds.
	p.pulled = slices.DeleteFunc(p.pulled, func(name string) bool { return slices.Contains(p.built, name) })
	for _, names := range []*[]string{&p.pulled, &p.built, &p.bases} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return p, nil
}

var from = regexp.MustCompile(`(?im)^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)

// bases returns the images that a Dockerfile is built from: not its own stages, and not scratch.
func bases(dockerfile string) []string {
	var names, stages []string
	for _, match := range from.FindAllStringSubmatch(dockerfile, -1) {
		if name := match[1]; name != "scratch" && !slices.Contains(stages, name) {
			names = append(names, name)
		}
		stages = append(stages, match[2])
	}
	return names
}

// passing matches the words with which a registry refuses an image temporarily.
var passing = regexp.MustCompile(`(?i)too\s?many\s?requests|\b429\b`)

// pull gets images from their registry. If a registry does not answer, or does not have an image, that is no error: pull
// returns the reason and requests nothing else. A transfer that breaks off is an error, and so is a temporary refusal.
func pull(ctx context.Context, s *stack.Stack, out *Runner, names []string) (unreachable string, err error) {
	for _, name := range names {
		out.Begin("pulling %s", name)
		err := out.run(ctx, registryPatience, func(ctx context.Context) *exec.Cmd { return s.Command(ctx, "pull", name) })
		var failed *commandError
		switch {
		case err == nil:
			out.Done("pulled %s", name)
		case errors.As(err, &failed) && passing.MatchString(failed.reason()):
			return "", out.Fail(fmt.Errorf("%w\nthe registry allows no more for now: try again later, or raise its limit with docker login", err))
		case ctx.Err() == nil && errors.As(err, &failed) && !failed.stdout:
			out.End()
			if errors.Is(err, errSilent) {
				return fmt.Sprintf("the registry said nothing for %s", registryPatience.first), nil
			}
			return failed.reason(), nil
		default:
			return "", out.Fail(err)
		}
	}
	return "", nil
}

// build builds our images, those of the named services or all, and reports if any of them changed.
func build(ctx context.Context, s *stack.Stack, out *Runner, names []string, services ...string) error {
	if _, err := EnsurePlugin(ctx, s, out, docker.Buildx); err != nil {
		return err
	}
	before, err := s.Images(ctx, names...)
	if err != nil {
		return err
	}
	building, err := ForBuilds(ctx, s)
	if err != nil {
		return err
	}
	out.Begin("building %s", list(names))
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		return building.Command(ctx, append([]string{"compose", "--progress", "plain", "build"}, services...)...)
	}); err != nil {
		return out.Fail(err)
	}
	after, err := s.Images(ctx, names...)
	if err != nil {
		return out.Fail(err)
	}
	var changed []string
	for _, name := range names {
		if before[name].ID != after[name].ID {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		out.End()
		return nil
	}
	out.Done("built %s", list(changed))
	return nil
}

// AbsentBases returns the base images of the services' images that the engine does not have. If there are any, Ensure has
// left our images as they are.
func AbsentBases(ctx context.Context, s *stack.Stack, services ...string) ([]string, error) {
	plan, err := readPlan(ctx, s, services...)
	if err != nil {
		return nil, err
	}
	here, err := s.Images(ctx, plan.bases...)
	return docker.Absent(here, plan.bases), err
}

// ForBuilds returns the docker command with the variables that a build on this machine needs.
func ForBuilds(ctx context.Context, s *stack.Stack) (docker.CLI, error) {
	add := []string{"DOCKER_BUILDKIT=1"} // it is off in the command line of Engine 20.10
	if s.Getenv("GOPROXY") == "" {
		// Pass on only proxies that a container can reach too: no module cache of this machine, and not "off".
		if proxy, err := goEnv(ctx, "GOPROXY"); err == nil && strings.HasPrefix(proxy, "http") {
			add = append(add, "GOPROXY="+proxy)
		}
	}
	if s.Getenv("BUILDX_BUILDER") == "" {
		// The engine's own builder sees the engine's own images; one in a container would ask the registry for them.
		current, err := s.Output(ctx, "context", "inspect", "--format", "{{.Name}}")
		if err != nil {
			return docker.CLI{}, err
		}
		add = append(add, "BUILDX_BUILDER="+strings.TrimSpace(current))
	}
	return s.With(add...), nil
}

// list joins names as a sentence does: a, b and c.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// Build builds an image that no service of the stack runs, from a folder. It first provides the images that its Dockerfile
// begins with.
func Build(ctx context.Context, s *stack.Stack, out *Runner, name, dir string) error {
	dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	if err != nil {
		return err
	}
	before, err := s.Images(ctx, append(bases(string(dockerfile)), name)...)
	if err != nil {
		return err
	}
	missing := docker.Absent(before, bases(string(dockerfile)))
	unreachable, err := pull(ctx, s, out, missing)
	if err != nil {
		return err
	}
	if unreachable != "" {
		if err := standIns(ctx, s, out, missing, "cannot be pulled ("+unreachable+")"); err != nil {
			return err
		}
	}
	if _, err := EnsurePlugin(ctx, s, out, docker.Buildx); err != nil {
		return err
	}
	building, err := ForBuilds(ctx, s)
	if err != nil {
		return err
	}
	out.Begin("building %s", name)
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		return building.Command(ctx, "build", "--progress=plain", "--tag", name, dir)
	}); err != nil {
		return out.Fail(err)
	}
	after, err := s.Images(ctx, name)
	if err != nil {
		return out.Fail(err)
	}
	if before[name].ID == after[name].ID {
		out.End()
		return nil
	}
	out.Done("built %s", name)
	return nil
}

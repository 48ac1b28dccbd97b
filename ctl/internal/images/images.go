// Package images sees to it that every image of the stack is on the engine: pulled or built where there is a registry,
// built as a stand-in from Debian packages where there is none, or read from an archive that another machine wrote.
package images

import (
	"context"
	"encoding/json"
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
)

// registryPatience is how long the registry may take for its first word: the engine itself gives a connection 15 s.
const registryPatience = 20 * time.Second

// project is what `docker compose config` says about images.
type project struct {
	Services map[string]struct {
		Image string
		Build *struct{ Context, Dockerfile string }
	}
}

// A plan is the set of images that a project takes.
type plan struct {
	pulled []string // services' images that others made
	built  []string // services' images that we build
	bases  []string // what these are built from
}

// Ensure makes every image of the stack that is missing, and builds ours anew where their sources have changed.
//
// Whether they have is BuildKit's to say: with everything cached `docker compose build` takes about a second, and it is
// the same build that `docker compose up --build` does, so that nothing can be stale and nothing is kept beside it.
func Ensure(ctx context.Context, cli docker.CLI, out *Reporter) error {
	plan, err := readPlan(ctx, cli)
	if err != nil {
		return err
	}
	missing, err := absent(ctx, cli, slices.Concat(plan.pulled, plan.bases))
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		unreachable, err := pull(ctx, cli, out, missing)
		if err != nil {
			return err
		}
		if unreachable != "" {
			if missing, err = absent(ctx, cli, missing); err != nil {
				return err
			}
			// Where an archive was loaded there is what to run and not what to build with, and no need for it.
			unbuilt, err := absent(ctx, cli, plan.built)
			if err != nil {
				return err
			}
			if len(unbuilt) == 0 && !slices.ContainsFunc(missing, func(name string) bool { return slices.Contains(plan.pulled, name) }) {
				out.say("%s cannot be pulled (%s): not building %s, which are here already",
					list(missing), unreachable, list(plan.built))
				return nil
			}
			if err := standIns(ctx, cli, out, missing, unreachable); err != nil {
				return err
			}
		}
	}
	return build(ctx, cli, out, plan.built)
}

// readPlan asks Compose which images there should be.
func readPlan(ctx context.Context, cli docker.CLI) (plan, error) {
	text, err := cli.Output(ctx, "compose", "config", "--format", "json")
	if err != nil {
		return plan{}, err
	}
	var project project
	if err := json.Unmarshal([]byte(text), &project); err != nil {
		return plan{}, fmt.Errorf("docker compose config: %w", err)
	}
	return planOf(project)
}

func planOf(project project) (plan, error) {
	var p plan
	for _, service := range project.Services {
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
	// A service may run what another one builds.
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

// absent returns those of the images that the engine does not have.
func absent(ctx context.Context, cli docker.CLI, names []string) ([]string, error) {
	var missing []string
	for _, name := range names {
		if _, err := imageID(ctx, cli, name); errors.Is(err, errNoImage) {
			missing = append(missing, name)
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

var errNoImage = errors.New("no such image")

func imageID(ctx context.Context, cli docker.CLI, name string) (string, error) {
	id, err := cli.Output(ctx, "image", "inspect", "--format", "{{.Id}}", name)
	if err != nil && strings.Contains(strings.ToLower(err.Error()), errNoImage.Error()) {
		return "", fmt.Errorf("%w: %s", errNoImage, name)
	}
	return strings.TrimSpace(id), err
}

// pull gets images from their registry. A registry that does not answer, or does not have one, is no error: the reason
// is returned, and nothing else is asked of it. A transfer that breaks off is one.
func pull(ctx context.Context, cli docker.CLI, out *Reporter, names []string) (unreachable string, err error) {
	for _, name := range names {
		step := out.begin("pulling " + name)
		err := step.run(ctx, registryPatience, func(ctx context.Context) *exec.Cmd { return cli.Command(ctx, "pull", name) })
		var failed *commandError
		switch {
		case err == nil:
			step.done("pulled %s", name)
		case ctx.Err() == nil && errors.As(err, &failed) && !failed.stdout:
			step.drop()
			if errors.Is(err, errSilent) {
				return fmt.Sprintf("the registry said nothing for %s", registryPatience), nil
			}
			return failed.reason(), nil
		default:
			return "", step.fail(err)
		}
	}
	return "", nil
}

// build builds our images, and says so if that changed any.
func build(ctx context.Context, cli docker.CLI, out *Reporter, names []string) error {
	before, err := imageIDs(ctx, cli, names)
	if err != nil {
		return err
	}
	env, err := buildEnvironment(ctx, cli)
	if err != nil {
		return err
	}
	step := out.begin("building " + list(names))
	cli.Env = env
	if err := step.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		return cli.Command(ctx, "compose", "--progress", "plain", "build")
	}); err != nil {
		return step.fail(err)
	}
	after, err := imageIDs(ctx, cli, names)
	if err != nil {
		return step.fail(err)
	}
	var changed []string
	for i, name := range names {
		if before[i] != after[i] {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		step.drop()
		return nil
	}
	step.done("built %s", list(changed))
	return nil
}

// imageIDs returns the id of each image, empty where it is missing.
func imageIDs(ctx context.Context, cli docker.CLI, names []string) ([]string, error) {
	ids := make([]string, len(names))
	for i, name := range names {
		var err error
		if ids[i], err = imageID(ctx, cli, name); err != nil && !errors.Is(err, errNoImage) {
			return nil, err
		}
	}
	return ids, nil
}

// buildEnvironment is cli's environment with what a build needs to know of this machine.
func buildEnvironment(ctx context.Context, cli docker.CLI) ([]string, error) {
	env := cli.Env
	if env == nil {
		env = os.Environ()
	}
	env = slices.Clone(env)
	if cli.Getenv("GOPROXY") == "" {
		// Only what a container reaches as well: no module cache of this machine, and not "off".
		if proxy, err := goEnv(ctx, "GOPROXY"); err == nil && strings.HasPrefix(proxy, "http") {
			env = append(env, "GOPROXY="+proxy)
		}
	}
	if cli.Getenv("BUILDX_BUILDER") == "" {
		// The engine's own builder sees the engine's own images; one in a container would ask the registry for them.
		current, err := cli.Output(ctx, "context", "show")
		if err != nil {
			return nil, err
		}
		env = append(env, "BUILDX_BUILDER="+strings.TrimSpace(current))
	}
	return append(env, "DOCKER_BUILDKIT=1"), nil // the command line of Engine 20.10 has it off
}

// list names things as a sentence does: a, b and c.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

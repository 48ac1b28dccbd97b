package images

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// standInLabel marks stand-ins, never official images. It holds the checksum of the sources that a stand-in was built from.
const standInLabel = "org.oneserver.stand-in"

// Origin says who made an image.
type Origin string

const (
	Official Origin = "the official image"
	StandIn  Origin = "a stand-in from Debian packages"
)

// beforeTheLabel lists lines from the builds of early stand-ins, which had no label. The histories of those images contain
// these lines.
var beforeTheLabel = []string{"mysql-server-core mysql-client-core", "curl gettext-base nginx", "cp -r /toolchain /usr/local/go"}

// origin returns who made an image, given its labels and the steps of its build.
func origin(labels map[string]string, history string) Origin {
	if labels[standInLabel] != "" || slices.ContainsFunc(beforeTheLabel, func(line string) bool { return strings.Contains(history, line) }) {
		return StandIn
	}
	return Official
}

// originOf returns who made an image that others publish.
func originOf(ctx context.Context, s *stack.Stack, image docker.Image) (Origin, error) {
	history, err := s.Output(ctx, "image", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image.ID)
	return origin(image.Config.Labels, history), err
}

// Use is an image that others publish, and how it is used.
type Use struct {
	Name    string // mysql:9.7
	Here    Origin // empty if the image is not here
	Service string // the service that runs on it, such as db; empty if none does
	Runs    Origin // of the image that it runs on, whose name another image may have now
}

// Uses returns the images that others publish and the services use, in order of name.
func Uses(ctx context.Context, s *stack.Stack) ([]Use, error) {
	project, err := s.Project(ctx)
	if err != nil {
		return nil, err
	}
	containers, err := s.Containers(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := planOf(project)
	if err != nil {
		return nil, err
	}
	uses, err := published(ctx, s, plan.pulled)
	if err != nil {
		return nil, err
	}
	for i, use := range uses {
		for _, c := range containers {
			if !c.Running() || project.Services[c.Service()].Image != use.Name {
				continue
			}
			running, err := s.Images(ctx, c.Image)
			if err != nil {
				return nil, err
			}
			if uses[i].Runs, err = originOf(ctx, s, running[c.Image]); err != nil {
				return nil, err
			}
			uses[i].Service = c.Service()
		}
	}
	return uses, nil
}

// published returns the named images that others publish, with the origin of the local image of each name.
func published(ctx context.Context, s *stack.Stack, names []string) ([]Use, error) {
	here, err := s.Images(ctx, names...)
	if err != nil {
		return nil, err
	}
	var uses []Use
	for _, name := range names {
		if folders[name] == "" {
			continue
		}
		use := Use{Name: name}
		if image, is := here[name]; is {
			if use.Here, err = originOf(ctx, s, image); err != nil {
				return nil, err
			}
		}
		uses = append(uses, use)
	}
	return uses, nil
}

// Exchanged returns an error if a service runs on an image of one origin and the next start would use one of another. Both
// have everything that the stack uses, but a running database is no place to find out how alike they are.
func Exchanged(uses []Use) error {
	for _, use := range uses {
		if use.Service != "" && use.Here != "" && use.Runs != use.Here {
			return fmt.Errorf("%s runs on %s, and %s is now %s: neither takes the other's place under a running container.\nmake backup, make down, and make up starts on the new one with the same data", use.Service, use.Runs, use.Name, use.Here)
		}
	}
	return nil
}

// Describe puts in words who made each image: mysql:9.7 and nginx:1.30 are the official images.
func Describe(uses []Use) string {
	var official, standIns []string
	for _, use := range uses {
		origin := use.Here
		if use.Service != "" {
			origin = use.Runs
		}
		switch origin {
		case Official:
			official = append(official, use.Name)
		case StandIn:
			standIns = append(standIns, use.Name)
		}
	}
	var says []string
	for _, of := range []struct {
		names        []string
		one, several string
	}{{standIns, "is a stand-in from Debian packages", "are stand-ins from Debian packages"}, {official, "is the official image", "are the official images"}} {
		switch len(of.names) {
		case 0:
		case 1:
			says = append(says, of.names[0]+" "+of.one)
		default:
			says = append(says, list(of.names)+" "+of.several)
		}
	}
	return strings.Join(says, ", ")
}

// sources returns the checksum of the files that a stand-in is built from.
func sources(root, name string) (string, error) {
	files := []string{keepOnly}
	entries, err := os.ReadDir(filepath.Join(root, folders[name]))
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		files = append(files, filepath.Join(folders[name], entry.Name()))
	}
	sum := sha256.New()
	fmt.Fprintln(sum, toolchain)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(content), content)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

// standInsAmong returns the named images that are stand-ins on this engine, and for each whether its sources have changed
// since it was built.
func standInsAmong(ctx context.Context, s *stack.Stack, names []string) (outdated map[string]bool, err error) {
	uses, err := published(ctx, s, names)
	if err != nil {
		return nil, err
	}
	here, err := s.Images(ctx, names...)
	if err != nil {
		return nil, err
	}
	outdated = map[string]bool{}
	for _, use := range uses {
		if use.Here != StandIn {
			continue
		}
		sum, err := sources(s.Dir, use.Name)
		if err != nil {
			return nil, err
		}
		outdated[use.Name] = here[use.Name].Config.Labels[standInLabel] != sum
	}
	return outdated, nil
}

// idle returns the named images that no container of any project uses, and reports that the others stay.
func idle(ctx context.Context, s *stack.Stack, out *Runner, names []string) ([]string, error) {
	here, err := s.Images(ctx, names...)
	if err != nil {
		return nil, err
	}
	var free []string
	for _, name := range names {
		running, err := s.List(ctx, "--filter", "ancestor="+here[name].ID)
		if err != nil {
			return nil, err
		}
		var users []string
		for _, c := range running {
			users = append(users, c.Title())
		}
		if len(users) == 0 {
			free = append(free, name)
			continue
		}
		out.Say("%s is a stand-in, and stays: %s runs on it (make down first)", name, list(users))
	}
	return free, nil
}

// Renew does what Ensure does, for a user who asks for the images themselves. It also rebuilds stand-ins whose sources have
// changed and, if official is set, replaces stand-ins with official images that can now be pulled. An image that a container
// uses stays.
func Renew(ctx context.Context, s *stack.Stack, out *Runner, official bool) error {
	plan, err := readPlan(ctx, s)
	if err != nil {
		return err
	}
	all := slices.Concat(plan.pulled, plan.bases)
	outdated, err := standInsAmong(ctx, s, all)
	if err != nil {
		return err
	}
	candidates := slices.DeleteFunc(slices.Sorted(maps.Keys(outdated)), func(name string) bool { return !official && !outdated[name] })
	if candidates, err = idle(ctx, s, out, candidates); err != nil {
		return err
	}
	reason := "have other sources now"
	if official && len(candidates) > 0 {
		unreachable, err := pull(ctx, s, out, candidates)
		if err != nil {
			return err
		}
		if unreachable != "" {
			reason = "cannot be pulled (" + unreachable + ")"
		}
	}
	if outdated, err = standInsAmong(ctx, s, candidates); err != nil {
		return err
	}
	stale := slices.DeleteFunc(candidates, func(name string) bool { return !outdated[name] })
	if len(stale) > 0 {
		if err := standIns(ctx, s, out, stale, reason); err != nil {
			return err
		}
	}
	if err := Ensure(ctx, s, out); err != nil {
		return err
	}
	uses, err := published(ctx, s, all)
	if err != nil {
		return err
	}
	out.Say("%s", Describe(uses))
	return nil
}

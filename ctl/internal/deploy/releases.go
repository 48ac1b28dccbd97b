package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/migration"
	"oneserver/ctl/internal/stack"
)

// keptReleases is how many releases are kept, including the one that serves.
const keptReleases = 5

// kept is an image that has served this project and is kept. Its names in the application's repository have this form:
//
//	oneserver-app:PROJECT.TIME.COMMIT
//
// TIME is when it last began to serve. So the newest is the one that serves, and a rollback goes to the one before it. The
// project is in the name because several copies of the stack can share an engine.
type kept struct {
	ID     string
	Since  time.Time
	Commit string // that it was built from; unknown if that could not be found out
	names  []string
}

const (
	sinceLayout = "20060102T150405.000" // the point is a hyphen in a name, where points separate the fields
	unknown     = "unknown"
)

// repository returns the name of an image without its tag.
func repository(image string) string {
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i]
	}
	return image
}

// parseKept parses the output of `docker image ls` with the id and the tag of each image of a repository. It returns the
// newest release first.
func parseKept(listed, project string) []kept {
	var all []kept
	for line := range strings.Lines(listed) {
		id, tag, _ := strings.Cut(strings.TrimSpace(line), "\t")
		fields := strings.Split(tag, ".")
		if len(fields) != 3 || fields[0] != project {
			continue
		}
		since, err := time.Parse(sinceLayout, strings.Replace(fields[1], "-", ".", 1))
		if err != nil {
			continue
		}
		i := slices.IndexFunc(all, func(k kept) bool { return k.ID == id })
		if i < 0 {
			all = append(all, kept{ID: id})
			i = len(all) - 1
		}
		if one := &all[i]; since.After(one.Since) { // the image also has an older name, left over
			one.Since, one.Commit = since, fields[2]
		}
		all[i].names = append(all[i].names, tag)
	}
	slices.SortFunc(all, func(a, b kept) int { return b.Since.Compare(a.Since) })
	return all
}

// kept returns the releases that are kept, the newest first.
func (s *site) kept(ctx context.Context) ([]kept, error) {
	out, err := s.Output(ctx, "image", "ls", "--no-trunc", "--format", "{{.ID}}\t{{.Tag}}", repository(s.image()))
	if err != nil {
		return nil, err
	}
	return parseKept(out, s.project.Name), nil
}

// decided returns the id of the image that was last named as the one to serve; empty if there is none.
func (s *site) decided(ctx context.Context) (string, error) {
	all, err := s.kept(ctx)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0].ID, nil
}

// keep records that an image serves from now on. commit is used only if the image is new.
func (s *site) keep(ctx context.Context, image, commit string) error {
	all, err := s.kept(ctx)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	var before []string
	if len(all) > 0 {
		if all[0].ID == image {
			return nil
		}
		if latest := all[0].Since; !now.After(latest) { // the clock was set back
			now = latest.Add(time.Millisecond)
		}
		if i := slices.IndexFunc(all, func(k kept) bool { return k.ID == image }); i >= 0 {
			commit, before = all[i].Commit, all[i].names
		}
	}
	name := s.project.Name + "." + strings.Replace(now.Format(sinceLayout), ".", "-", 1) + "." + commit
	if err := s.tag(ctx, image, repository(s.image())+":"+name); err != nil {
		return err
	}
	return s.untag(ctx, before)
}

func (s *site) untag(ctx context.Context, names []string) error {
	for _, name := range names {
		_, err := s.Output(ctx, "image", "rm", repository(s.image())+":"+name)
		if err != nil && !strings.Contains(strings.ToLower(err.Error()), "no such image") {
			return err
		}
	}
	return nil
}

// keepAsBefore gives the releases their previous names.
func (s *site) keepAsBefore(ctx context.Context, before []kept) error {
	now, err := s.kept(ctx)
	if err != nil {
		return err
	}
	has := func(all []kept, name string) bool {
		return slices.ContainsFunc(all, func(k kept) bool { return slices.Contains(k.names, name) })
	}
	for _, k := range before { // first, since an image without a name may be removed
		for _, name := range k.names {
			if !has(now, name) {
				if err := s.tag(ctx, k.ID, repository(s.image())+":"+name); err != nil {
					return err
				}
			}
		}
	}
	for _, k := range now {
		for _, name := range k.names {
			if !has(before, name) {
				if err := s.untag(ctx, []string{name}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// KeepAsNow returns a function that restores the releases kept at present, for a drill that replaces them with others.
func KeepAsNow(ctx context.Context, running *stack.Stack) (putBack func(context.Context) error, err error) {
	s, err := open(ctx, running, io.Discard)
	if err != nil {
		return nil, err
	}
	before, err := s.kept(ctx)
	return func(ctx context.Context) error { return s.keepAsBefore(ctx, before) }, err
}

// Keep records the release that `make up` has started, and removes what is no longer used.
func Keep(ctx context.Context, running *stack.Stack, out io.Writer) error {
	s, err := open(ctx, running, out)
	if err != nil {
		return err
	}
	apps, err := s.Containers(ctx, "app")
	if err != nil || len(apps) == 0 {
		return err
	}
	image := apps[len(apps)-1].Image
	if latest, err := s.decided(ctx); err != nil || latest == image { // nothing new was built
		return err
	}
	if err := s.keep(ctx, image, s.commit(ctx)); err != nil {
		return err
	}
	s.tidy(ctx)
	return nil
}

// commit describes the content of the working tree in a form that is valid in a tag.
func (s *site) commit(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, stack.Brief)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "-C", s.Dir, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=-changed")
	out, err := cmd.Output()
	if err != nil { // no Git, or no repository
		return unknown
	}
	return strings.TrimSpace(string(out))
}

// tidy removes the releases beyond those that are kept, unnamed images that were built for this project, and the part of the
// build cache beyond its limit. It only reports failures: the release serves, and the next one tries again.
func (s *site) tidy(ctx context.Context) {
	remove := func() error {
		all, err := s.kept(ctx)
		if err != nil {
			return err
		}
		for _, k := range all[min(len(all), keptReleases):] {
			if err := s.untag(ctx, k.names); err != nil {
				return err
			}
		}
		if err := s.removeUnnamed(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, stack.Brief)
		defer cancel()
		return images.TrimCache(ctx, s.Stack, images.CacheBound)
	}
	if err := remove(); err != nil && ctx.Err() == nil {
		s.tell.Say("what earlier builds have left could not be removed: %v", err)
	}
}

// removeUnnamed removes the images that Compose built for this project, according to their label, if they have lost their
// name to a newer one and no container uses them.
func (s *site) removeUnnamed(ctx context.Context) error {
	_, err := s.Output(ctx, "image", "prune", "--force", "--filter", "label=com.docker.compose.project="+s.project.Name)
	return err
}

// migrationsOf asks releases which migrations they have; a release that cannot say counts as having none.
func (s *site) migrationsOf(ctx context.Context, all []kept) (map[string][]migration.Migration, error) {
	lists := make([][]migration.Migration, len(all))
	var asking sync.WaitGroup
	for i, k := range all {
		app := k.ID
		asking.Go(func() {
			out, err := s.Output(ctx, slices.Concat([]string{"run", "--rm"}, docker.Confined, []string{"--network", "none", "--label", ours + "=" + s.project.Name,
				"--user", s.project.Services["migrate"].User, "--log-driver", "none", app, "migrations"})...)
			if err != nil || json.Unmarshal([]byte(out), &lists[i]) != nil {
				lists[i] = nil // the release is older than this command
			}
		})
	}
	asking.Wait()
	of := map[string][]migration.Migration{}
	for i, k := range all {
		of[k.ID] = lists[i]
	}
	return of, ctx.Err()
}

// short returns the release's name for people.
func (k kept) short() string { return strings.TrimPrefix(k.ID, "sha256:")[:12] }

// between returns the migrations that this release lacks and another kept release has. Every kept release has served.
func between(k kept, all []kept, of map[string][]migration.Migration) (list []migration.Migration) {
	seen := map[int64]bool{}
	for _, m := range of[k.ID] {
		seen[m.Version] = true
	}
	for _, other := range all {
		for _, m := range of[other.ID] {
			if !seen[m.Version] {
				seen[m.Version] = true
				list = append(list, m)
			}
		}
	}
	slices.SortFunc(list, func(a, b migration.Migration) int { return int(a.Version - b.Version) })
	return list
}

// obstacle returns what a later migration has removed that a release may use; empty if there is a way back to the release.
func obstacle(k kept, all []kept, of map[string][]migration.Migration) string {
	for _, m := range between(k, all, of) {
		if why := m.Contract(); why != "" {
			return fmt.Sprintf("%s has taken away since what it may use (contract: %s)", m.File, why)
		}
	}
	return ""
}

// PrintReleases lists the existing releases, the newest first.
func PrintReleases(ctx context.Context, running *stack.Stack, out io.Writer) error {
	s, err := open(ctx, running, out)
	if err != nil {
		return err
	}
	all, err := s.kept(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "No release is known yet: make up starts one, make deploy puts another in its place.")
		return nil
	}
	apps, err := s.Containers(ctx, "app")
	if err != nil {
		return err
	}
	of, err := s.migrationsOf(ctx, all)
	if err != nil {
		return err
	}
	return printReleases(out, all, of, func(k kept) bool {
		return slices.ContainsFunc(apps, func(c docker.Container) bool { return c.Running() && c.Image == k.ID })
	})
}

func printReleases(out io.Writer, all []kept, of map[string][]migration.Migration, serves func(kept) bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RELEASE\tCOMMIT\tSERVED SINCE (UTC)\tMIGRATED\t")
	for _, k := range all {
		notes := ""
		switch why := obstacle(k, all, of); {
		case serves(k):
			notes = "serves"
		case why != "":
			notes = "no way back: " + why
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.short(), k.Commit, k.Since.Format(time.DateTime), migrated(k, all, of), notes)
	}
	return table.Flush()
}

// migrated names the migrations that a release has beyond those of the releases before it.
func migrated(k kept, all []kept, of map[string][]migration.Migration) string {
	var fewer []kept // the releases with fewer migrations
	for _, other := range all {
		if len(of[other.ID]) < len(of[k.ID]) && len(of[other.ID]) > 0 {
			fewer = append(fewer, other)
		}
	}
	if len(fewer) == 0 {
		return "-"
	}
	had := map[int64]bool{}
	for _, other := range fewer {
		for _, m := range of[other.ID] {
			had[m.Version] = true
		}
	}
	var files []string
	for _, m := range of[k.ID] {
		if !had[m.Version] {
			files = append(files, m.File)
		}
	}
	return strings.Join(files, ", ")
}

// goal returns the release that a rollback goes to: the previous one, or the one whose name or commit begins with to.
func goal(all []kept, running, to string) (kept, error) {
	if to == "" {
		i := slices.IndexFunc(all, func(k kept) bool { return k.ID != running })
		if i < 0 {
			return kept{}, errors.New("there is no release to go back to: make deploy keeps those that it replaces")
		}
		return all[i], nil
	}
	var found []kept
	for _, k := range all {
		if strings.HasPrefix(k.short(), to) || strings.HasPrefix(k.Commit, to) {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 0:
		return kept{}, fmt.Errorf("no release that is kept is called %q: make releases lists them", to)
	case len(found) > 1:
		return kept{}, fmt.Errorf("%d releases are called %q: make releases lists them, take the name in its first column", len(found), to)
	case found[0].ID == running:
		return kept{}, fmt.Errorf("%s is the release that serves", found[0].short())
	}
	return found[0], nil
}

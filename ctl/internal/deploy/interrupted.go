package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// An interruption is what a killed command has left half-done: a deploy, a rollback, a reload or a restart of the database.
type interruption struct {
	routing routing // set if web uses addresses instead of app's name
	reload  bool    // whether a configuration of Nginx was put in place, and perhaps never adopted
	// kept are the replicas that serve or will serve. spare are the others, which are not needed yet or no longer needed.
	kept, spare []docker.Container
	throwaways  []docker.Container // that were to exist for one command only
	flushing    bool               // whether MySQL writes every page immediately, ahead of a restart that has not happened
	restart     bool               // whether MySQL was being recreated
	locked      bool               // whether the lock is held, so the command is still running
}

func (i interruption) none() bool {
	return !i.routing.pinned() && !i.reload && len(i.spare) == 0 && len(i.throwaways) == 0 && !i.flushing && !i.restart
}

// ours labels the containers that a command runs briefly. Its value is the project's name.
const ours = "oneserver.deploy"

// Recover repairs what a killed command has left. Every command that changes the site begins with it. If something cannot be
// repaired, it prints that to out and returns no error, since the command that follows may repair it too.
func Recover(ctx context.Context, running *stack.Stack, out io.Writer) error {
	err := recoverLocked(ctx, running, out)
	switch {
	case err == nil, errors.Is(err, ErrBusy):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	fmt.Fprintln(out, err)
	return nil
}

func recoverLocked(ctx context.Context, running *stack.Stack, out io.Writer) error {
	s, err := open(ctx, running, out)
	if err != nil {
		return err
	}
	if runs, err := s.webRuns(ctx); err != nil || !runs { // once it starts, it knows of no deploy
		return err
	}
	if found, err := s.interruption(ctx); err != nil || found.none() && !found.locked {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return s.recover(ctx)
}

// recover does the work of Recover for a caller that holds the lock.
func (s *site) recover(ctx context.Context) error {
	found, err := s.interruption(ctx)
	if err != nil || found.none() {
		return err
	}
	s.tell.Say("a command was killed here: putting right what it left")
	if err := s.putRight(ctx, found); err != nil {
		return fmt.Errorf("put right what a command that was killed has left: %w", err)
	}
	return nil
}

// interruption looks for what a killed command has left.
func (s *site) interruption(ctx context.Context) (found interruption, err error) {
	conf, err := s.inWeb(ctx, "", `cd /run/nginx && exec 9>deploy.lock && { flock --nonblock 9 || echo "# locked"; } &&
		{ [ ! -d next ] || echo "# next"; } && { [ ! -f routing.conf ] || cat routing.conf; }`)
	if err != nil {
		return found, err
	}
	found.routing = parseRouting(conf)
	found.locked, found.reload = strings.Contains(conf, "# locked\n"), strings.Contains(conf, "# next\n")
	all, err := s.Containers(ctx) // asking for all services costs no more than for one
	if err != nil {
		return found, err
	}
	var apps, db []docker.Container
	for _, c := range all {
		switch c.Service() {
		case "app":
			apps = append(apps, c)
		case "db":
			db = append(db, c)
		}
	}
	decided, err := s.decided(ctx)
	if err != nil {
		return found, err
	}
	found.kept, found.spare = tellApart(apps, found.routing, decided)
	if found.throwaways, err = s.List(ctx, "--all", "--filter", "label="+ours+"="+s.project.Name); err != nil {
		return found, err
	}
	if found.restart, err = s.restartCutOff(ctx); err != nil {
		return found, err
	}
	found.flushing, err = s.isFlushing(ctx, db)
	return found, err
}

// tellApart separates the replicas that serve from the spare ones. If no serving replica is pinned, as after a start of web,
// the oldest release counts as serving, unless another one has already been named as the release to serve, after its trial.
func tellApart(apps []docker.Container, to routing, decided string) (kept, spare []docker.Container) {
	serving := to.servers
	if to.onTrial() {
		serving = to.backups
	}
	var live []docker.Container
	for _, c := range apps {
		if !slices.Contains([]string{"created", "exited", "dead"}, c.State.Status) {
			live = append(live, c)
		}
	}
	if len(live) == 0 { // then no replica is in the way
		return nil, nil
	}
	for _, c := range live {
		if slices.ContainsFunc(serving, func(r replica) bool { return r.id == c.ID }) {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		image := live[0].Image // the oldest
		if slices.ContainsFunc(live, func(c docker.Container) bool { return c.Image == decided }) {
			image = decided
		}
		for _, c := range live {
			if c.Image == image {
				kept = append(kept, c)
			}
		}
	}
	return kept, without(apps, kept)
}

// beside returns app's containers other than these.
func (s *site) beside(ctx context.Context, these []docker.Container) ([]docker.Container, error) {
	all, err := s.Containers(ctx, "app")
	return without(all, these), err
}

func without(all, some []docker.Container) []docker.Container {
	known := docker.IDs(some)
	return slices.DeleteFunc(slices.Clone(all), func(c docker.Container) bool { return slices.Contains(known, c.ID) })
}

// putRight repairs an interruption: afterwards only the serving release runs, and Nginx finds it by its name.
func (s *site) putRight(ctx context.Context, found interruption) error {
	if len(found.throwaways) > 0 {
		if _, err := s.Output(ctx, append([]string{"rm", "--force"}, docker.IDs(found.throwaways)...)...); err != nil {
			return err
		}
	}
	if found.restart {
		if err := s.finishRestart(ctx); err != nil {
			return err
		}
	}
	if found.flushing {
		if err := s.stopFlushing(ctx); err != nil {
			return err
		}
	}
	if !found.routing.pinned() && !found.reload && len(found.spare) == 0 {
		return nil
	}
	if len(found.kept) == 0 {
		return s.route(ctx, routing{}, false)
	}
	kept, err := s.replicasOf(found.kept)
	if err != nil {
		return err
	}
	if err := s.route(ctx, routing{servers: kept}, true); err != nil {
		return err
	}
	if len(found.spare) > 0 {
		if err := s.nameImages(ctx, found.kept, found.spare); err != nil {
			return err
		}
		if err := s.drain(ctx, found.spare); err != nil {
			return err
		}
	}
	return s.routeByName(ctx, found.kept)
}

// nameImages names the images as a finished deploy would: the newest of the kept releases is the one that serves. The next
// start uses it too, unless another image has been built since.
func (s *site) nameImages(ctx context.Context, kept, spare []docker.Container) error {
	serves, other := kept[len(kept)-1], spare[len(spare)-1]
	if serves.Image == other.Image {
		return nil
	}
	if serves.Created.After(other.Created) {
		if decided, err := s.decided(ctx); err != nil || decided == serves.Image {
			return err
		}
		if err := s.keep(ctx, other.Image, unknown); err != nil {
			return err
		}
		return s.keep(ctx, serves.Image, unknown)
	}
	if err := s.keep(ctx, serves.Image, unknown); err != nil {
		return err
	}
	here, err := s.Images(ctx, s.image())
	if err != nil || here[s.image()].ID != other.Image {
		return err
	}
	return s.tag(ctx, serves.Image, s.image())
}

// isFlushing reports whether a restart of the database was killed after it had told MySQL to write its pages ahead of time.
// A stopped database need not be asked, since the setting does not survive a stop.
func (s *site) isFlushing(ctx context.Context, db []docker.Container) (bool, error) {
	if len(db) != 1 || !db[0].Healthy() {
		return false, nil
	}
	row, err := s.DatabaseIn(db[0].ID).Row(ctx, 1, "SELECT @@GLOBAL.innodb_max_dirty_pages_pct = 0")
	return err == nil && row[0] == "1", err
}

func (s *site) stopFlushing(ctx context.Context) error {
	db, err := s.One(ctx, "db")
	if err != nil {
		return err
	}
	_, err = s.DatabaseIn(db.ID).SQL(ctx, "SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT, innodb_max_dirty_pages_pct_lwm = DEFAULT")
	return err
}

// drain stops containers gracefully and removes them.
func (s *site) drain(ctx context.Context, list []docker.Container) error {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	// if another command has removed one of them, that is fine
	if _, err := s.Output(ctx, append([]string{"stop"}, docker.IDs(list)...)...); err != nil && !docker.Gone(err) {
		return err
	}
	if _, err := s.Output(ctx, append([]string{"rm", "--force"}, docker.IDs(list)...)...); err != nil && !docker.Gone(err) {
		return err
	}
	return nil
}

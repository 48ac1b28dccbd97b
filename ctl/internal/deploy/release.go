package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/migration"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// Bounds of a release.
const (
	readyWithin   = time.Minute      // from its start until it is healthy
	drainWithin   = time.Minute      // compose.yaml gives each replica 20 s
	migrateWithin = 31 * time.Minute // the application's own bound for all migrations, plus a little
	maxReplicas   = 4                // services/app/mysql/db.go does the calculation, including the previous replicas beside them
	backWithin    = 2 * time.Minute  // to leave the site as it was found, or to finish what cannot be undone
)

// Deploy builds the application and replaces the running release with it, with the same or another number of replicas. If
// the new release fails, it is removed again; the previous one never stops serving.
func Deploy(ctx context.Context, running *stack.Stack, out *os.File, replicas int) error {
	if replicas < 0 || replicas > maxReplicas {
		return fmt.Errorf("%d replicas: there can be 1 to %d", replicas, maxReplicas)
	}
	r, done, err := begin(ctx, running, out, replicas)
	if err != nil {
		return err
	}
	defer done()
	return r.settle(ctx, func() error {
		if err := images.Ensure(ctx, running, images.NewRunner(terminal.NewTeller(out)), "app"); err != nil {
			return err
		}
		current, err := r.isCurrent(ctx)
		if err != nil {
			return err
		}
		if current {
			absent, err := images.AbsentBases(ctx, running, "app")
			if err == nil && len(absent) > 0 {
				err = fmt.Errorf("%s is not here and could not be pulled, so the application was not built: whether its source has changed is not known.\n"+
					"make images gets what is missing, make load FILE=… takes it from a bundle", strings.Join(absent, ", "))
			}
			if err == nil {
				r.tell.Say("the release that runs is the newest: there is nothing to deploy")
			}
			return err
		}
		if err := r.judgeMigrations(ctx); err != nil {
			return err
		}
		if err := r.replace(ctx); err != nil {
			return err
		}
		r.tidy(ctx)
		return nil
	})
}

// Rollback returns to an earlier release: the previous one, or the one that to names. It undoes no migration, so the tables
// stay as they are now. If a migration has removed something that the release uses, there is no way back.
func Rollback(ctx context.Context, running *stack.Stack, out io.Writer, to string) error {
	r, done, err := begin(ctx, running, out, 0)
	if err != nil {
		return err
	}
	defer done()
	next, err := goal(r.before, r.running, to)
	if err != nil {
		return err
	}
	of, err := r.migrationsOf(ctx, r.before)
	if err != nil {
		return err
	}
	if why := obstacle(next, r.before, of); why != "" {
		return fmt.Errorf("there is no way back to the release %s: %s", next.short(), why)
	}
	r.tell.Say("the release %s (%s) takes over: in what follows it is the new one", next.short(), next.Commit)
	return r.replaceWith(ctx, next.ID)
}

// Release replaces the running release with an image that is already built.
func Release(ctx context.Context, running *stack.Stack, out io.Writer, image string) error {
	r, done, err := begin(ctx, running, out, 0)
	if err != nil {
		return err
	}
	defer done()
	return r.replaceWith(ctx, image)
}

// replaceWith gives app's name to an image, and replaces the running release with it.
func (r *release) replaceWith(ctx context.Context, image string) error {
	return r.settle(ctx, func() error {
		if err := r.tag(ctx, image, r.image()); err != nil {
			return err
		}
		return r.replace(ctx)
	})
}

// release is the replacement of one release by another.
type release struct {
	*site
	old      []docker.Container // the containers that serve now
	running  string             // the id of their image
	before   []kept             // the existing releases
	replicas int                // how many there will be
	// oneShots is set once secrets and migrate were recreated from the new image
	oneShots bool
	// stuck is set if the new release could not be removed again
	stuck bool
	// serves is set once the new release serves: from here on, only a rollback leads back
	serves bool
}

// begin repairs what a killed command has left, and looks at what is running. It holds the lock until done is called.
func begin(ctx context.Context, running *stack.Stack, out io.Writer, replicas int) (r *release, done func(), err error) {
	s, err := find(ctx, running, out)
	if err != nil {
		return nil, nil, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	r = &release{site: s, replicas: replicas}
	if err := r.look(ctx); err != nil {
		unlock()
		return nil, nil, err
	}
	return r, unlock, nil
}

func (r *release) look(ctx context.Context) error {
	if err := r.recover(ctx); err != nil {
		return err
	}
	all, err := r.Containers(ctx, "app")
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("app does not run: make up starts it, and there is nothing to replace")
	}
	for _, c := range all {
		if !c.Healthy() {
			return fmt.Errorf("what runs must be well before it is replaced: %w", c.Ill())
		}
	}
	if r.before, err = r.kept(ctx); err != nil {
		return err
	}
	r.old, r.running = all, all[0].Image
	if r.replicas == 0 {
		r.replicas = len(all)
	}
	return nil
}

// isCurrent reports whether the running release is the one that would be started.
func (r *release) isCurrent(ctx context.Context) (bool, error) {
	here, err := r.Images(ctx, r.image())
	if err != nil {
		return false, err
	}
	hashes, err := r.ConfigHashes(ctx)
	if err != nil {
		return false, err
	}
	for _, c := range r.old {
		if c.Image != here[r.image()].ID || c.ConfigHash() != hashes["app"] {
			return false, nil
		}
	}
	if len(r.old) != r.replicas {
		return false, nil
	}
	return true, nil
}

// judgeMigrations returns an error if the new release would remove something that the running one uses. Otherwise it reports
// what the new release would do.
func (r *release) judgeMigrations(ctx context.Context) error {
	pending, err := migration.Pending(ctx, r.Stack, ours+"="+r.project.Name)
	if err != nil || len(pending) == 0 {
		return err
	}
	var files []string
	for _, m := range pending {
		files = append(files, m.File)
	}
	r.tell.Say("to migrate: %s", strings.Join(files, ", "))
	here, err := r.Images(ctx, r.image())
	if err != nil {
		return err
	}
	if err := migration.Judge(ctx, r.Stack, here[r.image()].ID, pending, r.tell.Say); err != nil {
		return err
	}
	r.tell.Say("tried on a copy of the tables: the running release survives it")
	return nil
}

// settle runs work, which completes a release. If work fails, settle restores the images and the one-shots.
func (r *release) settle(ctx context.Context, work func() error) error {
	err := work()
	if err == nil || r.serves {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	if failed := r.tag(ctx, r.running, r.image()); failed != nil {
		return errors.Join(err, failed)
	}
	if failed := r.keepAsBefore(ctx, r.before); failed != nil {
		return errors.Join(err, failed)
	}
	if r.oneShots {
		if failed := r.runOneShots(ctx); failed != nil {
			return errors.Join(err, failed)
		}
	}
	if failed := r.removeUnnamed(ctx); failed != nil { // the image that was built
		return errors.Join(err, failed)
	}
	if r.stuck {
		return fmt.Errorf("%w\nthe release that ran before may not be serving: make up puts that right", err)
	}
	return fmt.Errorf("%w\nthe release that ran before is serving as before", err)
}

// runOneShots recreates secrets and migrate from app's present image and waits for them, as `docker compose up` would;
// a later `up` then finds nothing to recreate.
func (r *release) runOneShots(ctx context.Context) error {
	r.oneShots = true
	if _, err := r.composeWithin(ctx, time.Minute, "up", "--detach", "--no-deps", "--no-build", "secrets", "migrate"); err != nil {
		return err
	}
	for _, service := range []string{"secrets", "migrate"} {
		found, err := r.Containers(ctx, service)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("%s has %d containers", service, len(found))
		}
		waiting, cancel := context.WithTimeout(ctx, migrateWithin)
		code, err := r.Output(waiting, "wait", found[0].ID)
		cancel()
		if err != nil {
			return err
		}
		if code = strings.TrimSpace(code); code != "0" {
			return fmt.Errorf("%s ended with exit code %s; %s", service, code, r.Log(ctx, found[0]))
		}
	}
	return nil
}

// replace migrates the tables, starts app's present image beside the running one, and makes it take over.
func (r *release) replace(ctx context.Context) error {
	if err := r.runOneShots(ctx); err != nil {
		return err
	}
	r.tell.Say("the tables are as the new release needs them")
	fresh, err := r.takeOver(ctx)
	if err != nil {
		failed := r.giveUp(ctx)
		r.stuck = failed != nil
		return errors.Join(err, failed)
	}
	r.serves = true

	// Stopping half-way would leave more behind than finishing.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	r.tell.Say("the new release serves")
	if err := r.drain(ctx, r.old); err != nil {
		return err
	}
	r.tell.Say("the old release has answered what it had begun, and is gone")
	if err := r.routeByName(ctx, fresh); err != nil {
		return err
	}
	r.tell.Say("done; make rollback undoes it")
	return nil
}

// takeOver starts the new release and sends visitors to it, at first with the old one as a fallback. It returns when only
// the new one serves.
func (r *release) takeOver(ctx context.Context) (fresh []docker.Container, err error) {
	old, err := r.replicasOf(r.old)
	if err != nil {
		return nil, err
	}
	// From here on, Nginx uses only the given addresses, because Docker's DNS lists a replica as soon as it starts.
	if err := r.route(ctx, routing{servers: old}, true); err != nil {
		return nil, err
	}
	r.tell.Say("requests go to the old release by its address")
	if _, err := r.composeWithin(ctx, readyWithin, "up", "--detach", "--no-deps", "--no-recreate", "--no-build",
		"--scale", "app="+strconv.Itoa(len(r.old)+r.replicas), "app"); err != nil {
		return nil, err
	}
	if fresh, err = r.fresh(ctx); err != nil {
		return nil, err
	}
	r.tell.Say("the new release has started, beside the old one")
	if err := r.ready(ctx, fresh); err != nil {
		return nil, err
	}
	if fresh, err = r.fresh(ctx); err != nil { // now with their addresses
		return nil, err
	}
	if err := r.ask(ctx, fresh); err != nil {
		return nil, err
	}
	r.tell.Say("it is ready, and answers")
	next, err := r.replicasOf(fresh)
	if err != nil {
		return nil, err
	}
	if err := r.route(ctx, routing{servers: next, backups: old}, false); err != nil {
		return nil, err
	}
	r.tell.Say("visitors have it, and the old one answers what it cannot")
	if err := r.try(ctx, fresh); err != nil {
		return nil, err
	}
	r.tell.Say("it has passed its trial")
	// Name it before it serves alone: a command that finds both releases, and no routing, then knows which one is to serve.
	if fresh[0].Image != r.running { // if only the number of replicas has changed, the previous release stays the same
		if err := r.keep(ctx, r.running, unknown); err != nil {
			return nil, err
		}
		if err := r.keep(ctx, fresh[0].Image, r.commit(ctx)); err != nil {
			return nil, err
		}
	}
	return fresh, r.route(ctx, routing{servers: next}, true)
}

// fresh returns the containers of the new release.
func (r *release) fresh(ctx context.Context) ([]docker.Container, error) {
	fresh, err := r.beside(ctx, r.old)
	if err == nil && len(fresh) == 0 {
		err = errors.New("docker compose up has started no container of the new release")
	}
	return fresh, err
}

// ready waits until every replica of the new release is healthy.
func (r *release) ready(ctx context.Context, fresh []docker.Container) error {
	var sick docker.Container
	list := func(ctx context.Context) ([]docker.Container, error) { return r.Inspect(ctx, docker.IDs(fresh)...) }
	err := r.Await(ctx, readyWithin, list, func(c docker.Container) bool {
		sick = c
		return c.RestartCount > 0 || c.State.Status == "exited"
	})
	if err != nil && ctx.Err() == nil && sick.ID != "" {
		return fmt.Errorf("the new release does not become ready: %w\n%s", err, r.Log(ctx, sick))
	}
	return err
}

// giveUp removes the new release, even after Ctrl-C, and leaves the old one as it was.
func (r *release) giveUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	found, err := r.interruption(ctx)
	if err != nil {
		return err
	}
	found.kept = r.old
	if found.spare, err = r.beside(ctx, r.old); err != nil {
		return err
	}
	return r.putRight(ctx, found)
}

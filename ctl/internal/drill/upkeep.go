package drill

import (
	"context"
	"errors"
	"io"
	"os"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/docker"
)

// upkeep is the same maintenance, done with this project's own commands.
var upkeep = []action{
	{
		name: "reload", title: "a changed nginx.conf", note: "make reload",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			reload := func(ctx context.Context) error { return deploy.Reload(ctx, d.stack.Stack, io.Discard) }
			change, err := d.stack.edit(u, "nginx.conf", "# "+mark, reload)
			return prepared{run: func(ctx context.Context) error {
				if err := change(ctx); err != nil {
					return err
				}
				return reload(ctx)
			}}, err
		},
	},
	{
		name: "deploy", title: "a new release of app", note: "make deploy, its build left out",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			next, err := d.nextRelease(ctx, u, "")
			return prepared{
				run:       func(ctx context.Context) error { return deploy.Release(ctx, d.stack.Stack, io.Discard, next) },
				recovered: runs(next),
			}, err
		},
	},
	{
		name: "rollback", title: "back to the release before", note: "make rollback",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			old, err := d.stack.imageID(ctx, d.stack.project.Services["app"].Image)
			if err != nil {
				return prepared{}, err
			}
			next, err := d.nextRelease(ctx, u, "")
			if err == nil {
				err = deploy.Release(ctx, d.stack.Stack, io.Discard, next)
			}
			return prepared{
				run:       func(ctx context.Context) error { return deploy.Rollback(ctx, d.stack.Stack, io.Discard, "") },
				recovered: runs(old),
			}, err
		},
	},
	{
		name: "bad-release", title: "a release that does not start", note: "make deploy, its build left out",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			next, err := d.nextRelease(ctx, u, `CMD ["nonsense"]`)
			return prepared{run: func(ctx context.Context) error {
				err := deploy.Release(ctx, d.stack.Stack, io.Discard, next)
				if err == nil {
					return errors.New("a release that cannot start was let through")
				}
				return ctx.Err()
			}}, err
		},
	},
	{
		name: "restart-db", title: "a MySQL restart", note: "make restart-db",
		prepare: func(_ context.Context, d *drill, _ *undo) (prepared, error) {
			return prepared{run: func(ctx context.Context) error {
				return deploy.RestartDatabase(ctx, d.stack.Stack, io.Discard, deploy.RestartOptions{})
			}}, nil
		},
	},
	{
		name: "backup", title: "a backup, a million rows", note: "make backup",
		setUp: fill,
		prepare: func(_ context.Context, d *drill, u *undo) (prepared, error) {
			dir, err := os.MkdirTemp("", mark)
			if err != nil {
				return prepared{}, err
			}
			u.later("remove the backup", func(context.Context) error { return os.RemoveAll(dir) })
			return prepared{run: func(ctx context.Context) error {
				return backup.Make(ctx, d.stack.Stack, io.Discard, backup.Options{Dir: dir, Keep: 1})
			}}, nil
		},
	},
}

// nextRelease builds an image to replace app's. The undo restores the current release,
// and the kept releases that a rollback could go to.
func (d *drill) nextRelease(ctx context.Context, u *undo, line string) (id string, err error) {
	s := d.stack
	tag := s.project.Services["app"].Image
	old, err := s.imageID(ctx, tag)
	if err != nil {
		return "", err
	}
	putBack, err := deploy.KeepAsNow(ctx, s.Stack)
	if err != nil {
		return "", err
	}
	if id, err = d.derive(ctx, u, tag, line); err != nil {
		return "", err
	}
	u.later("leave the kept releases as they were", putBack)
	u.later("put the release of before back", func(ctx context.Context) error {
		apps, err := s.Containers(ctx, "app")
		if err != nil || runs(old)(apps) == nil {
			return err
		}
		return deploy.Release(ctx, s.Stack, io.Discard, old)
	})
	return id, nil
}

// runs returns a check that all replicas of app run the image.
func runs(image string) func([]docker.Container) error {
	return func(all []docker.Container) error {
		for _, c := range all {
			if c.Service() == "app" && c.Image != image {
				return errors.New(c.Name + " is of another release")
			}
		}
		return nil
	}
}

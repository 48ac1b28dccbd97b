package drill

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/deploy"
)

// upkeep is the maintenance of before as this project does it.
var upkeep = []event{
	{
		name: "reload", says: "a changed nginx.conf", note: "make reload", takes: 6 * time.Second,
		prepare: func(ctx context.Context, d *drill, u *undo) (deed, error) {
			reload := func(ctx context.Context) error { return deploy.Reload(ctx, d.stack.cli, io.Discard) }
			change, err := d.stack.edit(u, "nginx.conf", "# "+mark, reload)
			return deed{do: func(ctx context.Context) error {
				if err := change(ctx); err != nil {
					return err
				}
				return reload(ctx)
			}}, err
		},
	},
	{
		name: "deploy", says: "a new release of app", note: "make deploy, its build left out", takes: 40 * time.Second,
		prepare: func(ctx context.Context, d *drill, u *undo) (deed, error) {
			next, err := d.nextRelease(ctx, u, "")
			return deed{
				do:   func(ctx context.Context) error { return deploy.Release(ctx, d.stack.cli, io.Discard, next) },
				over: runs(next),
			}, err
		},
	},
	{
		name: "rollback", says: "back to the release before", note: "make rollback", takes: 40 * time.Second,
		prepare: func(ctx context.Context, d *drill, u *undo) (deed, error) {
			old, err := d.stack.imageID(ctx, d.stack.project.Services["app"].Image)
			if err != nil {
				return deed{}, err
			}
			next, err := d.nextRelease(ctx, u, "")
			if err == nil {
				err = deploy.Release(ctx, d.stack.cli, io.Discard, next)
			}
			return deed{
				do:   func(ctx context.Context) error { return deploy.Rollback(ctx, d.stack.cli, io.Discard) },
				over: runs(old),
			}, err
		},
	},
	{
		name: "bad-release", says: "a release that does not start", note: "make deploy, its build left out", takes: 20 * time.Second,
		prepare: func(ctx context.Context, d *drill, u *undo) (deed, error) {
			next, err := d.nextRelease(ctx, u, `CMD ["nonsense"]`)
			return deed{do: func(ctx context.Context) error {
				err := deploy.Release(ctx, d.stack.cli, io.Discard, next)
				if err == nil {
					return errors.New("a release that cannot start was let through")
				}
				return ctx.Err()
			}}, err
		},
	},
	{
		name: "restart-db", says: "a MySQL restart", note: "make restart-db", takes: 10 * time.Second,
		prepare: func(_ context.Context, d *drill, _ *undo) (deed, error) {
			return deed{do: func(ctx context.Context) error {
				return deploy.RestartDatabase(ctx, d.stack.cli, io.Discard, deploy.RestartOptions{})
			}}, nil
		},
	},
	{
		name: "backup", says: "a backup, a million rows", note: "make backup", takes: 15 * time.Second,
		ready: fill,
		prepare: func(_ context.Context, d *drill, u *undo) (deed, error) {
			dir, err := os.MkdirTemp("", mark)
			if err != nil {
				return deed{}, err
			}
			u.later("remove the backup", func(context.Context) error { return os.RemoveAll(dir) })
			return deed{do: func(ctx context.Context) (err error) {
				silent, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, silent.Close()) }()
				return backup.Make(ctx, d.stack.cli, silent, backup.Options{Dir: dir, Keep: 1})
			}}, nil
		},
	},
}

// nextRelease builds an image that takes the place of app's. When it is undone the release that runs is the one of now,
// and so is the one that a rollback would go to.
func (d *drill) nextRelease(ctx context.Context, u *undo, line string) (id string, err error) {
	s := d.stack
	tag := s.project.Services["app"].Image
	old, err := s.imageID(ctx, tag)
	if err != nil {
		return "", err
	}
	name := deploy.Previous(tag)
	here, err := s.cli.Images(ctx, name)
	if err != nil {
		return "", err
	}
	if id, err = d.derive(ctx, u, tag, line); err != nil {
		return "", err
	}
	u.later("put the name "+name+" back", func(ctx context.Context) error {
		if before, found := here[name]; found {
			_, err := s.cli.Output(ctx, "image", "tag", before.ID, name)
			return err
		}
		now, err := s.cli.Images(ctx, name)
		if err == nil && len(now) > 0 {
			_, err = s.cli.Output(ctx, "image", "rm", name)
		}
		return err
	})
	u.later("put the release of before back", func(ctx context.Context) error {
		apps, err := s.of(ctx, "app")
		if err != nil || runs(old)(apps) == nil {
			return err
		}
		return deploy.Release(ctx, s.cli, io.Discard, old)
	})
	return id, nil
}

// runs says whether all replicas of app run an image.
func runs(image string) func([]container) error {
	return func(all []container) error {
		for _, c := range all {
			if c.service() == "app" && c.Image != image {
				return errors.New(c.Name + " is of another release")
			}
		}
		return nil
	}
}

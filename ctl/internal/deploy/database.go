package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
)

const (
	// stopWithin is more than compose.yaml gives MySQL to stop, and it starts in seconds.
	stopWithin  = 2 * time.Minute
	flushWithin = 20 * time.Second
	fewPages    = 64 // that are written in no time
)

// RestartDatabase starts MySQL again, made anew where compose.yaml or its image has changed. The application holds
// requests meanwhile, for at most ten seconds, so all is done beforehand that can be.
func RestartDatabase(ctx context.Context, cli docker.CLI, out io.Writer) error {
	s, err := open(ctx, cli, out)
	if err != nil {
		return err
	}
	db, err := s.one(ctx, "db")
	if err != nil {
		return err
	}
	hash, err := s.configHash(ctx, "db")
	if err != nil {
		return err
	}
	image := s.project.Services["db"].Image
	here, err := cli.Images(ctx, image)
	if err != nil {
		return err
	}
	if _, found := here[image]; !found {
		return fmt.Errorf("%s is not here: make images", image)
	}
	if db.Image != here[image].ID {
		uses, err := images.Uses(ctx, cli, s.project)
		if err != nil {
			return err
		}
		if err := images.Exchanged(slices.DeleteFunc(uses, func(u images.Use) bool { return u.Service != "db" })); err != nil {
			return err
		}
	}
	again, did := []string{"restart", "--no-deps", "db"}, "restarted"
	if db.configHash() != hash || db.Image != here[image].ID {
		again, did = []string{"up", "--detach", "--no-deps", "--no-build", "--pull", "never", "db"}, "made anew, since compose.yaml or its image has changed"
	}
	if err := s.flush(ctx, db); err != nil && ctx.Err() == nil {
		s.say("its pages could not be written beforehand, so stopping takes longer: %v", err)
	}
	s.say("restarting MySQL")
	began := time.Now()
	if _, err := s.composeWithin(ctx, stopWithin, again...); err != nil {
		return err
	}
	err = await(ctx, stopWithin, func(ctx context.Context) error {
		list, err := s.of(ctx, "db")
		switch {
		case err != nil:
			return err
		case len(list) != 1:
			return errors.New("db has no container")
		case !list[0].healthy():
			return list[0].ill()
		}
		return nil
	})
	if err != nil {
		if now, failed := s.of(ctx, "db"); failed == nil && len(now) > 0 {
			err = fmt.Errorf("%w\n%s", err, s.log(ctx, now[0]))
		}
		return err
	}
	s.say("MySQL is healthy again, %.1f s after it was told to stop (%s)", time.Since(began).Seconds(), did)
	return nil
}

// flush has MySQL write the pages that it would else write while it stops. The setting goes with the restart.
func (s *site) flush(ctx context.Context, db container) error {
	if _, err := s.sql(ctx, db, "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0"); err != nil {
		return err
	}
	return await(ctx, flushWithin, func(ctx context.Context) error {
		row, err := s.sql(ctx, db, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
		if err != nil {
			return err
		}
		fields := strings.Fields(row)
		if len(fields) != 2 {
			return fmt.Errorf("MySQL says %q of its pages", row)
		}
		pages, err := strconv.Atoi(fields[1])
		if err == nil && pages > fewPages {
			err = fmt.Errorf("%d pages are still to be written", pages)
		}
		return err
	})
}

// sql runs statements as root of the database, over the socket inside db.
func (s *site) sql(ctx context.Context, db container, statements string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, brief)
	defer cancel()
	cmd := s.cli.Command(ctx, "exec", "--interactive", db.ID, "sh", "-c", stack.RootMySQL)
	cmd.Stdin = strings.NewReader(statements)
	return s.cli.OutputOf(cmd)
}

package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

const (
	// stopWithin is longer than compose.yaml allows MySQL to take for stopping. Starting takes seconds.
	stopWithin  = 2 * time.Minute
	flushWithin = 20 * time.Second
	// beginsWithin is how long a Compose command may take until it has made the container that is to replace MySQL's. Only then
	// does it stop MySQL; replacedWithin is longer than compose.yaml allows that to take.
	beginsWithin   = 20 * time.Second
	replacedWithin = 70 * time.Second
	fewPages       = 64 // so few are written almost immediately
)

// ErrWentBack means that a restart of the database failed and that the previous MySQL runs again.
var ErrWentBack = errors.New("MySQL runs as before")

// RestartOptions say whether MySQL may be replaced by a release from which there is no way back.
type RestartOptions struct {
	Force bool
	// Backed returns why there is no fresh backup of the server with this UUID. Backed is nil if that cannot be known.
	Backed func(ctx context.Context, uuid string) error
}

// RestartDatabase restarts MySQL, and recreates it if compose.yaml or its image has changed. The application holds requests
// meanwhile, for at most ten seconds, so as much as possible is done beforehand. If MySQL rejects its new settings, the
// running MySQL is not replaced. If it accepts them but does not become healthy, the previous MySQL is restored.
func RestartDatabase(ctx context.Context, running *stack.Stack, out io.Writer, options RestartOptions) error {
	s, unlock, err := openLocked(ctx, running, out)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.finishRestart(ctx); err != nil {
		return err
	}
	db, err := s.One(ctx, "db")
	if err != nil {
		return err
	}
	changed, err := s.databaseChanged(ctx, db)
	if err != nil {
		return err
	}
	return s.restartDatabase(ctx, db, changed, options)
}

// ChangeDatabase calls RestartDatabase if the running MySQL differs from compose.yaml. It runs before Compose itself would
// replace MySQL; if MySQL is not running, it only tries the new settings.
func ChangeDatabase(ctx context.Context, running *stack.Stack, out io.Writer, options RestartOptions) error {
	s, unlock, err := openLocked(ctx, running, out)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.finishRestart(ctx); err != nil {
		return err
	}
	list, err := s.Containers(ctx, "db")
	if err != nil || len(list) != 1 {
		return err
	}
	changed, err := s.databaseChanged(ctx, list[0])
	if err != nil || !changed {
		return err
	}
	if !list[0].Running() { // Compose recreates it, and its user is watching
		if err := s.validate(ctx); err != nil {
			return fmt.Errorf("%w; nothing was changed", err)
		}
		return nil
	}
	return s.restartDatabase(ctx, list[0], changed, options)
}

// databaseChanged reports whether compose.yaml or the image differs from what a container was made from.
func (s *site) databaseChanged(ctx context.Context, db docker.Container) (bool, error) {
	hashes, err := s.ConfigHashes(ctx)
	if err != nil {
		return false, err
	}
	image := s.project.Services["db"].Image
	here, err := s.Images(ctx, image)
	if err != nil {
		return false, err
	}
	if _, found := here[image]; !found {
		return false, fmt.Errorf("%s is not here: make images", image)
	}
	return db.ConfigHash() != hashes["db"] || db.Image != here[image].ID, nil
}

func (s *site) restartDatabase(ctx context.Context, db docker.Container, changed bool, options RestartOptions) error {
	if changed {
		uses, err := images.Uses(ctx, s.Stack)
		if err != nil {
			return err
		}
		if err := images.Exchanged(slices.DeleteFunc(uses, func(u images.Use) bool { return u.Service != "db" })); err != nil {
			return err
		}
	}
	if err := s.validate(ctx); err != nil {
		return fmt.Errorf("nothing was changed: %w", err) // err ends with MySQL's own messages
	}
	again, did := []string{"restart", "--no-deps", "db"}, "restarted"
	wayBack := false
	if changed {
		var err error
		if wayBack, err = s.judge(ctx, db, options); err != nil {
			return fmt.Errorf("%w; nothing was changed", err)
		}
		again, did = s.recreate(), "made anew, since compose.yaml or its image has changed"
	}
	if err := s.flush(ctx, db); err != nil && ctx.Err() == nil {
		s.tell.Say("its pages could not be written beforehand, so stopping takes longer: %v", err)
	}
	if wayBack {
		if err := s.remember(ctx, db); err != nil {
			return err
		}
	}
	s.tell.Say("restarting MySQL")
	began := time.Now()
	_, err := s.composeWithin(ctx, stopWithin, again...)
	if err == nil {
		err = s.awaitDatabase(ctx, changed)
	}
	if err == nil {
		s.tell.Say("MySQL is healthy again, %.1f s after it was told to stop (%s)", time.Since(began).Seconds(), did)
		return s.forget(ctx)
	}
	if ctx.Err() != nil {
		return err // the next command finishes it
	}
	if now, failed := s.Containers(ctx, "db"); failed == nil && len(now) > 0 {
		err = fmt.Errorf("%w\n%s", err, s.Log(ctx, now[0]))
	}
	if !wayBack {
		return err
	}
	return errors.Join(err, s.goBack(ctx))
}

// recreate returns the Compose command that recreates db as compose.yaml describes it.
func (s *site) recreate() []string {
	return []string{"up", "--detach", "--no-deps", "--no-build", "--pull", "never", "db"}
}

// awaitDatabase waits until MySQL is healthy. If MySQL was recreated, it gives up once MySQL has restarted too often.
func (s *site) awaitDatabase(ctx context.Context, anew bool) error {
	list := func(ctx context.Context) ([]docker.Container, error) {
		list, err := s.Containers(ctx, "db")
		if err == nil && len(list) != 1 {
			err = errors.New("db has no container")
		}
		return list, err
	}
	return s.Await(ctx, stopWithin, list, func(db docker.Container) bool { return anew && db.RestartCount >= tooOften })
}

// tooOften is the number of restarts after which awaitDatabase gives up on a recreated MySQL.
const tooOften = 3

// validate makes the new MySQL check its settings, without touching the data or the running MySQL.
func (s *site) validate(ctx context.Context) error {
	var flags []string
	for _, flag := range s.project.Services["db"].Command {
		flags = append(flags, strings.ReplaceAll(flag, "$$", "$")) // Compose doubles them
	}
	if len(flags) > 0 && !strings.HasPrefix(flags[0], "-") {
		flags = flags[1:] // mysqld
	}
	args := append([]string{"run", "--rm", "--no-deps", "--no-TTY", "--pull", "never", "--volume", "/var/lib/mysql", "--volume", "/tmp",
		"--entrypoint", "mysqld", "db"}, append(flags, "--validate-config")...)
	if _, err := s.composeWithin(ctx, stopWithin, args...); err != nil {
		return fmt.Errorf("MySQL does not accept what compose.yaml says of db: %s", firstError(errors.Unwrap(err).Error()))
	}
	return nil
}

// firstError returns the first error in mysqld's output, without its time and number; the errors after it are consequences.
// If there is no error, it returns the whole output.
func firstError(said string) string {
	if match := errorLine.FindStringSubmatch(said); match != nil {
		return match[1]
	}
	return said
}

var errorLine = regexp.MustCompile(`(?m)^.*\[ERROR\](?: \[MY-\d+\])?(?: \[\w+\])? (.+)$`)

// judge reports whether MySQL can go back from the image that db would have next. It can go back to an earlier release of
// the same series, from 9.7.5 to 9.7.4, but not to an earlier series, since the newer one changes the data.
func (s *site) judge(ctx context.Context, db docker.Container, options RestartOptions) (wayBack bool, err error) {
	now, err := s.mysqlIn(ctx, db.Image) // one that is running but not healthy cannot be asked
	if err != nil {
		return false, err
	}
	image := s.project.Services["db"].Image
	next, err := s.mysqlIn(ctx, image)
	if err != nil {
		return false, err
	}
	switch {
	case now.series == next.series:
		return true, nil
	case next.series.Before(now.series):
		return false, fmt.Errorf("the data is of MySQL %s, and %s has MySQL %s, which cannot read it", now, image, next)
	case options.Force:
		s.tell.Say("from MySQL %s to %s there is no way back but a backup", now, next)
		return false, nil
	case options.Backed == nil:
		return false, fmt.Errorf("from MySQL %s to %s there is no way back but a backup: make backup, then make restart-db", now, next)
	}
	row, err := s.DatabaseIn(db.ID).Row(ctx, 1, "SELECT @@server_uuid")
	if err != nil {
		return false, err
	}
	if err := options.Backed(ctx, row[0]); err != nil {
		return false, fmt.Errorf("from MySQL %s to %s there is no way back but a backup, and %w: make backup first, or make restart-db FORCE=1", now, next, err)
	}
	s.tell.Say("from MySQL %s to %s there is no way back but the backup", now, next)
	return false, nil
}

// mysqlRelease is a release of MySQL, such as 9.7.4, and its series, such as 9.7.
type mysqlRelease struct {
	text   string
	series docker.Version
}

func (r mysqlRelease) String() string { return r.text }

// mysqlIn returns the release of MySQL in an image.
func (s *site) mysqlIn(ctx context.Context, image string) (r mysqlRelease, err error) {
	said, err := s.Output(ctx, slices.Concat([]string{"run", "--rm"}, docker.Confined, []string{"--network", "none", "--tmpfs", "/var/lib/mysql", "--entrypoint", "mysqld", image, "--version"})...)
	if err != nil {
		return r, err
	}
	r.text = version.FindString(said)
	if r.series, err = docker.ParseVersion(r.text); err != nil {
		return r, fmt.Errorf("%s says that it has %q: %w", image, strings.TrimSpace(said), err)
	}
	return r, nil
}

var version = regexp.MustCompile(`\d+\.\d+\.\d+`)

// before returns the name of the container that records how the previous MySQL ran. It is created but never started; while
// it exists, its image stays too.
func (s *site) before() string { return s.project.Name + "-db-before" }

// These labels say which container the record describes, and whether that container was healthy. If it was not, the new one
// only has to run.
const (
	wasID      = "oneserver.container"
	wasHealthy = "oneserver.healthy"
)

// remember records how MySQL runs now. The record is kept until the MySQL that replaces it is known to be healthy.
func (s *site) remember(ctx context.Context, db docker.Container) error {
	if err := s.forget(ctx); err != nil {
		return err
	}
	_, err := s.Output(ctx, append([]string{"create", "--name", s.before(), "--pull", "never", "--network", "none", "--tmpfs", "/var/lib/mysql",
		"--label", wasID + "=" + db.ID, "--label", wasHealthy + "=" + strconv.FormatBool(db.Healthy()), "--user", db.Config.User, "--memory", strconv.FormatInt(db.HostConfig.Memory, 10), db.Image}, db.Config.Cmd...)...)
	return err
}

// forget removes the record, if there is one.
func (s *site) forget(ctx context.Context) error {
	_, err := s.Output(context.WithoutCancel(ctx), "rm", "--force", "--volumes", s.before())
	if docker.Gone(err) {
		return nil
	}
	return err
}

// finishRestart finishes an interrupted restart-db: if the MySQL that it created is not healthy, the previous one returns.
func (s *site) finishRestart(ctx context.Context) error {
	if cutOff, err := s.restartCutOff(ctx); err != nil || !cutOff {
		return err
	}
	s.tell.Say("a restart of MySQL was cut off: looking after it")
	list, err := s.replaced(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 { // it has since been removed, perhaps with the data
		return s.forget(ctx)
	}
	if len(list) == 1 && list[0].State.Status != "exited" && list[0].State.Status != "created" {
		if s.awaitDatabase(ctx, true) == nil {
			return s.forget(ctx)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	hashes, err := s.ConfigHashes(ctx)
	if err != nil {
		return err
	}
	err = s.goBack(ctx)
	if errors.Is(err, ErrWentBack) && len(list) == 1 && list[0].ConfigHash() != hashes["db"] {
		return nil // compose.yaml has since been corrected
	}
	return err
}

// replaced returns the containers of db once the recorded one is no longer among them. If restart-db was killed, the Compose
// command that was to replace it may still be running. If no other container appears in time, that command had not been
// started.
func (s *site) replaced(ctx context.Context) ([]docker.Container, error) {
	note, err := s.note(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	// An error would persist, and the list below would show it.
	_ = wait.Until(ctx, replacedWithin, wait.Often, func(ctx context.Context) error {
		list, err := s.Containers(ctx, "db")
		switch {
		case err != nil:
			return err
		case len(list) > 1:
			return errors.New("db is being replaced")
		case len(list) == 1 && list[0].ID != note.Config.Labels[wasID]:
			return nil
		case time.Since(began) > beginsWithin:
			return wait.Final(errors.New("nothing replaces db"))
		}
		return errors.New("db is not being replaced yet")
	})
	return s.Containers(ctx, "db")
}

// restartCutOff reports whether a restart-db recorded the previous MySQL but did not finish.
func (s *site) restartCutOff(ctx context.Context) (bool, error) {
	noted, err := s.List(ctx, "--all", "--filter", "name=^/?"+regexp.QuoteMeta(s.before())+"$")
	return len(noted) > 0, err
}

// goBack recreates db with the recorded image, flags, user and memory; everything else follows the present compose.yaml. If
// it succeeds, it returns ErrWentBack.
func (s *site) goBack(ctx context.Context) error {
	s.tell.Say("going back to the MySQL before")
	err := s.comeBack(ctx)
	if err != nil {
		return fmt.Errorf("the way back failed: %w", err)
	}
	if err := s.forget(ctx); err != nil {
		return err
	}
	return fmt.Errorf("%w, with its old image and flags, which compose.yaml does not say: mend it, or the next change of db fails in the same way", ErrWentBack)
}

// note returns the record of how the previous MySQL ran.
func (s *site) note(ctx context.Context) (docker.Container, error) {
	list, err := s.Inspect(ctx, s.before())
	if err != nil {
		return docker.Container{}, err
	}
	return list[0], nil
}

func (s *site) comeBack(ctx context.Context) error {
	note, err := s.note(ctx)
	if err != nil {
		return err
	}
	text, err := s.composeWithin(ctx, stack.Brief, "config", "--format", "json")
	if err != nil {
		return err
	}
	var project map[string]any
	if err := json.Unmarshal([]byte(text), &project); err != nil {
		return fmt.Errorf("docker compose config: %w", err)
	}
	services, _ := project["services"].(map[string]any)
	db, _ := services["db"].(map[string]any)
	if db == nil {
		return errors.New("compose.yaml describes no db")
	}
	var flags []string
	for _, flag := range note.Config.Cmd {
		flags = append(flags, strings.ReplaceAll(flag, "$", "$$"))
	}
	memory := strconv.FormatInt(note.HostConfig.Memory, 10)
	db["image"], db["command"], db["user"], db["mem_limit"], db["memswap_limit"] = note.Image, flags, note.Config.User, memory, memory
	model, err := json.Marshal(project)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	cmd := s.ComposeCommand(limited, append([]string{"--project-directory", ".", "--file", "-"}, s.recreate()...)...)
	cmd.Stdin = bytes.NewReader(model)
	if _, err := docker.Output(limited, cmd); err != nil {
		return err
	}
	if note.Config.Labels[wasHealthy] == "false" {
		return nil
	}
	return s.awaitDatabase(ctx, true)
}

// flush makes MySQL write the pages now that it would otherwise write while stopping. The restart resets the setting.
func (s *site) flush(ctx context.Context, db docker.Container) error {
	mysql := s.DatabaseIn(db.ID)
	if _, err := mysql.SQL(ctx, "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0"); err != nil {
		return err
	}
	return wait.Until(ctx, flushWithin, wait.Often, func(ctx context.Context) error {
		row, err := mysql.Row(ctx, 2, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
		if err != nil {
			return err
		}
		pages, err := strconv.Atoi(row[1])
		if err == nil && pages > fewPages {
			err = fmt.Errorf("%d pages are still to be written", pages)
		}
		return err
	})
}

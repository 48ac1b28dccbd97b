package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/binlog"
	"oneserver/ctl/internal/lifecycle"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/throwaway"
)

// RestoreOptions say what to restore.
type RestoreOptions struct {
	Dir  string // the folder that contains the backups' folders
	File string // a backup's folder, or a file in it; empty for the newest suitable one
	To   string // a moment; empty for that of the backup itself
	Key  string // a file with the secret age key
	Yes  bool   // do not ask
	// Unsigned accepts a backup without a signature even if there is a key.
	Unsigned bool
}

// unasked returns the command that does the same restore without asking. It repeats every option, since leaving one out
// could restore something else. root is the repository's root.
func (o RestoreOptions) unasked(root string) string {
	command := "bin/oneserver restore --yes"
	add := func(flag, value string) {
		command += " " + flag + "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
	}
	if o.Dir != filepath.Join(root, Folder) {
		add("--dir=", o.Dir)
	}
	if o.To != "" {
		add("--to=", o.To)
	}
	if o.Key != "" {
		add("--key=", o.Key)
	}
	if o.Unsigned {
		command += " --unsigned"
	}
	if o.File != "" {
		add("", o.File)
	}
	return command
}

// next returns the command for the backup that should follow a restore: encrypted if the restored one was.
func (o RestoreOptions) next() string {
	if o.Key != "" {
		return "make backup KEY=…"
	}
	return "make backup"
}

// ParseTo reads a moment in UTC, to the microsecond.
func ParseTo(text string) (time.Time, error) {
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "UTC"))
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if to, err := time.Parse(layout, text); err == nil {
			return to.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf(`TO=%q is no moment: write it as TO="2026-11-23 10:00:00", in UTC`, text)
}

// choose returns the backup that a restore starts from; here is the UUID of the running server.
func choose(options RestoreOptions, here string, to time.Time) (Backup, error) {
	if options.File != "" {
		dir := filepath.Clean(options.File) // with a trailing slash it would be its own parent
		if info, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return Backup{}, fmt.Errorf("there is no %s: FILE names the folder of a backup, or a file in it", options.File)
		} else if err != nil {
			return Backup{}, err
		} else if !info.IsDir() {
			dir = filepath.Dir(dir)
		}
		b, err := open(dir)
		if errors.Is(err, os.ErrNotExist) {
			return b, fmt.Errorf("%s is no backup: %w", dir, err)
		}
		if err == nil && !to.IsZero() && to.Before(b.Taken) {
			err = fmt.Errorf("%s is of %s, which is after %s: take an earlier backup", b.name(), stamp(b.Taken), stamp(to))
		}
		return b, err
	}
	all, unreadable, err := list(options.Dir)
	if err != nil {
		return Backup{}, err
	}
	if len(unreadable) > 0 { // one of these may be the newest
		return Backup{}, fmt.Errorf("%w; say which backup is meant with FILE=…, or take that one out of %s", errors.Join(unreadable...), options.Dir)
	}
	if len(all) == 0 {
		return Backup{}, fmt.Errorf("there is no backup in %s: make backup makes one, FILE=… names one elsewhere", options.Dir)
	}
	b, err := newest(all, here, to)
	if errors.Is(err, errNone) {
		oldest := slices.MinFunc(all, func(a, b Backup) int { return a.Taken.Compare(b.Taken) })
		return b, fmt.Errorf("the oldest backup is of %s, which is after %s", stamp(oldest.Taken), stamp(to))
	}
	return b, err
}

// Restore brings the site's data back to a backup or to a moment. It builds the data beside the site, which keeps running
// meanwhile, compares it, and then puts it in place.
func Restore(ctx context.Context, site *stack.Stack, in, out *os.File, options RestoreOptions) error {
	say := terminal.NewTeller(out)
	defer say.End()
	// A terminal sends Ctrl-C to all programs on it. Those in MySQL's container would run on, and nobody would learn what has
	// come of them.
	swapped, err := restore(ctx, site.Detached(), say, in, out, options)
	if err != nil && !swapped {
		return fmt.Errorf("%w; the site's data is as it was", err)
	}
	return err
}

// restore does the work of Restore. swapped is also set if it is not known whether the data was put in place.
func restore(ctx context.Context, site *stack.Stack, say *terminal.Teller, in, out *os.File, options RestoreOptions) (swapped bool, err error) {
	var to time.Time
	if options.To != "" {
		if to, err = ParseTo(options.To); err != nil {
			return false, err
		}
		if to.After(time.Now()) {
			return false, fmt.Errorf("TO=%q has not come yet; it is in UTC, and now is %s", options.To, stamp(time.Now().Truncate(time.Second)))
		}
	}
	d := database{site.Database(), site}
	here, err := d.server(ctx)
	if err != nil {
		return false, err
	}
	b, err := choose(options, here.uuid, to)
	if err != nil {
		return false, err
	}
	held, err := lock(filepath.Dir(b.Dir))
	if err != nil {
		return false, err
	}
	defer held.Close()

	say.Now("comparing %s with its checksums", shown(site, b.Dir))
	if err := b.verify(ctx); err != nil {
		return false, err
	}
	key, err := readKey(options.Key)
	if err != nil {
		return false, err
	}
	if err := key.trusts(b, options.Unsigned, say.Say); err != nil {
		return false, err
	}
	if options.Key != "" && len(key.identities) == 0 {
		return false, fmt.Errorf("KEY: %s holds no secret key of age, which is what opens a backup", options.Key)
	}
	dump, err := unseal(ctx, filepath.Join(b.Dir, b.Dump), key.identities, func(read int64) { say.Show("%s of %s", megabytes(read), megabytes(b.Size)) })
	if err != nil {
		return false, err
	}
	defer dump.Close()

	if here.others > 0 {
		return false, fmt.Errorf("%s has %d views, triggers, routines or events, which cannot be moved out of the way: drop them first", schema, here.others)
	}
	p := plan{}
	if p.expected, err = binlog.ParseSet(b.GTIDs); err != nil {
		return false, fmt.Errorf("%s is damaged: %w", b.Dir, err)
	}
	what := "the backup " + shown(site, b.Dir) + " of " + stamp(b.Taken)
	if !to.IsZero() {
		all, _, err := list(filepath.Dir(b.Dir))
		if err != nil {
			return false, err
		}
		all = key.trusted(all, options.Unsigned, say.Say)
		if err := d.archive(ctx, say, here, all, key.recipients); err != nil {
			say.Say("warning: %v", err) // the next step finds out whether this matters for the chosen moment
		}
		if p, err = prepare(ctx, say, b, all, to, key.identities); err != nil {
			return false, err
		}
		what = fmt.Sprintf("what was committed before %s: %s, and the transactions after it (%d)", stamp(to), what, p.changes)
		if n := p.skipped.Count(); n > 0 {
			what += fmt.Sprintf(", without those on accounts and other schemas (%d)", n)
		}
	}

	say.End()
	say.Say("This puts the site's data back to %s.\nWhat the site has now, and writes until then, is moved to the schema %s, in the place of what an earlier restore has left there. Everybody must sign in again.", what, before)
	project, err := site.Project(ctx)
	if err != nil {
		return false, err
	}
	if !options.Yes {
		if err := lifecycle.Ask(ctx, in, out, project.Name, options.unasked(site.Dir)); err != nil {
			return false, err
		}
	}

	begun := time.Now()
	say.Now("starting a MySQL apart from the site's")
	apart, err := throwaway.Start(ctx, site, purpose, "--replicate-wild-do-table="+schema+".%")
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = apart.Explain(err)
		}
		err = errors.Join(err, apart.Remove())
	}()
	r := rebuilt{Server: apart, say: say, backup: b, live: here.defaults}
	say.Now("loading it there")
	if err := r.load(ctx, dump, p.defines); err != nil {
		return false, err
	}
	if err := r.carryOut(ctx, p, key.identities); err != nil {
		return false, err
	}
	say.Now("checking what has come of it")
	if err := r.check(ctx); err != nil {
		return false, err
	}
	if err := d.fits(ctx, r.version); err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
		defer cancel()
		err = errors.Join(err, d.clean(ctx))
	}()
	say.Now("copying its tables into %s", beside)
	if err := d.copyFrom(ctx, r); err != nil {
		return false, err
	}
	say.Now("putting it in the site's place")
	if swapped, err := d.swap(ctx); err != nil {
		return swapped, err
	}
	say.Say("restored in %.1f s. What was there before is in %s until the next restore", time.Since(begun).Seconds(), before)
	if err := d.migrate(ctx, say); err != nil {
		return true, fmt.Errorf("the data is restored, but its tables could not be brought to what the release needs, which make up tries again: %w", err)
	}
	say.Say("next: %s, which later moments can be restored from; to drop what was there before: bin/oneserver restore --forget", options.next())
	return true, nil
}

// createLike makes an empty schema with the defaults of the site's.
func (d database) createLike(ctx context.Context, name string) error {
	defaults, err := d.defaults(ctx)
	if err != nil {
		return err
	}
	_, err = d.SQL(ctx, "SET SESSION sql_log_bin = 0; DROP DATABASE IF EXISTS "+name+"; CREATE DATABASE "+name+defaults.clause())
	return err
}

// swap moves the site's tables away and the restored ones into their place, in one statement, so a reader sees either the
// old ones or the new. It waits for transactions in progress; the site's queries briefly wait behind it. If it fails, swapped
// is set unless the site's tables are certain to be where they were.
func (d database) swap(ctx context.Context) (swapped bool, err error) {
	rows, err := d.SQL(ctx, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('"+schema+"', '"+beside+"') ORDER BY 1, 2")
	if err != nil {
		return false, err
	}
	var away, back []string
	for _, row := range rows {
		if name := quote(row[1]); row[0] == schema {
			away = append(away, fmt.Sprintf("`%s`.%s TO `%s`.%[2]s", schema, name, before))
		} else {
			back = append(back, fmt.Sprintf("`%s`.%s TO `%s`.%[2]s", beside, name, schema))
		}
	}
	if len(back) == 0 {
		return false, fmt.Errorf("%s has no table", beside)
	}
	if err := d.createLike(ctx, before); err != nil {
		return false, err
	}
	ctx = context.WithoutCancel(ctx) // from here on, the program must find out whether the swap was done
	_, err = d.SQL(ctx, "SET SESSION lock_wait_timeout = 20; USE "+schema+"; RENAME TABLE "+strings.Join(append(away, back...), ", "))
	if err == nil {
		return true, nil
	}
	done, unknown := d.swapped(ctx, len(away) > 0)
	switch {
	case unknown != nil:
		return true, fmt.Errorf("whether the data was put in place is not known: %w. If %s has tables, they are the site's from before, and another restore would drop them",
			errors.Join(err, unknown), before)
	case !done:
		return false, fmt.Errorf("move the tables: %w", err)
	}
	return true, nil // only the answer was lost
}

// swapped reports whether the statement of swap was carried out, although its answer was lost. MySQL may not have ended it
// yet. To drop the schema beside the site's waits for that, and after it the statement can only fail. had says whether the
// site had tables.
func (d database) swapped(ctx context.Context, had bool) (bool, error) {
	if err := d.clean(ctx); err != nil {
		return false, err
	}
	filled := schema
	if had {
		filled = before
	}
	row, err := d.Row(ctx, 1, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '"+filled+"'")
	return err == nil && row[0] != "0", err
}

// migrate brings tables that are older than the release to the version that it needs. They are in place already, so Ctrl-C
// does not stop it half-way.
func (d database) migrate(ctx context.Context, say *terminal.Teller) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
	defer cancel()
	stray, err := d.SQL(ctx, "SELECT constraint_name FROM information_schema.referential_constraints WHERE constraint_schema = '"+schema+"' AND unique_constraint_schema <> '"+schema+"'")
	if err != nil {
		return err
	}
	if len(stray) > 0 {
		return fmt.Errorf("these foreign keys lead out of %s: %q", schema, stray)
	}
	say.Now("bringing the tables to what the release needs")
	_, err = d.site.Compose(ctx, "run", "--rm", "--no-deps", "migrate")
	return err
}

// Forget drops the data from before the last restore, which that restore kept.
func Forget(ctx context.Context, site *stack.Stack, out *os.File) error {
	d := database{site.Database(), site}
	if err := d.sweep(ctx); err != nil {
		return err
	}
	if _, err := d.SQL(ctx, "SET SESSION sql_log_bin = 0; DROP DATABASE IF EXISTS "+before); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is gone\n", before)
	return nil
}

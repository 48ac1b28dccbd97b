// Package backup copies the site's data out of the running database and restores it, with MySQL's own programs. A backup is
// a dump of one consistent view and the binary logs that lead from it to any later moment.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/wait"
)

// Folder is the default folder of backups, below the repository's root.
const Folder = "backups"

// Options say where backups are and how to make one.
type Options struct {
	Dir  string // the folder that holds the folders of the backups
	Key  string // a file with an age key; without one, nothing is encrypted
	Keep int    // how many backups to keep
}

// Make makes a backup and removes old ones.
func Make(ctx context.Context, site *stack.Stack, out io.Writer, options Options) error {
	if options.Keep < 1 {
		return fmt.Errorf("keep %d backups? It takes 1 at least", options.Keep)
	}
	key, err := readKey(options.Key)
	if err != nil {
		return err
	}
	say, d := terminal.NewTeller(out), database{site.Database(), site}
	defer say.End()
	here, err := d.server(ctx)
	if err != nil {
		return err
	}
	if here.tables, err = d.tables(ctx); err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	if here.outside, err = d.outside(ctx); err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return err
	}
	held, err := lock(options.Dir)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := errors.Join(sweep(options.Dir), d.sweep(ctx)); err != nil {
		return err
	}

	before, unreadable, err := list(options.Dir)
	if err != nil {
		return err
	}
	for _, err := range unreadable {
		say.Say("warning: an earlier backup cannot be used: %v", err)
	}

	begun := time.Now()
	b, err := d.backUp(ctx, say, here, options.Dir, of(before, here.uuid), key)
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	rows := int64(0)
	for _, table := range b.Tables {
		rows += table.Rows
	}
	encrypted := "not encrypted"
	switch {
	case len(key.signers) > 0:
		encrypted = "encrypted and signed"
	case len(key.recipients) > 0:
		encrypted = "encrypted"
	}
	say.Say("%s: %d tables, %d rows, %s of SQL in %s, %s, verified; %.1f s", shown(site, b.Dir), len(b.Tables), rows, megabytes(b.Plain), megabytes(b.Size), encrypted, time.Since(begun).Seconds())

	if len(key.recipients) > 0 && len(key.signers) == 0 {
		say.Say("warning: KEY has no signing key, so that anybody could have made this backup and a restore asks for UNSIGNED=1: bin/oneserver backup --new-key writes a key with one")
	}
	if here.blind != "" {
		say.Say("warning: no moment after this backup can be restored, since the binary log cannot be read: %s", here.blind)
	}
	if len(here.outside) > 0 {
		say.Say("not in the backup: %s", strings.Join(here.outside, ", "))
	}

	all, _, err := list(options.Dir)
	if err != nil {
		return err
	}
	if err := d.archive(ctx, say, here, withSigners(all, key.signers), key.recipients); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		say.Say("warning: %v", err) // about earlier backups; this one is complete
	}
	removed, err := rotate(options.Dir, options.Keep, b)
	if len(removed) > 0 {
		say.Say("removed, as %d are kept: %s", options.Keep, strings.Join(removed, ", "))
	}
	if others := len(all) - len(of(all, here.uuid)); others > 0 {
		say.Say("%d backups of another server stay until somebody removes them", others)
	}
	return err
}

// backUp dumps into a folder, which gets its final name once everything is in it and has been verified. earlier lists the
// existing backups of this server.
func (d database) backUp(ctx context.Context, say *terminal.Teller, here server, dir string, earlier []Backup, key key) (b Backup, err error) {
	final, err := freeName(dir, time.Now())
	if err != nil {
		return b, err
	}
	b.Dir = final + partial
	if err := os.Mkdir(b.Dir, 0o700); err != nil {
		return b, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(b.Dir))
		}
	}()
	b.Dump = schema + ".sql" + suffix(key.recipients)
	sealed, err := seal(filepath.Join(b.Dir, b.Dump), key.recipients)
	if err != nil {
		return b, err
	}
	say.Now("dumping %s", schema)
	var plain int64
	pace := pace{awake: time.Now()}
	s, err := d.dumpSite(ctx, here.tables, writerFunc(func(p []byte) (int, error) {
		n, err := sealed.Write(p)
		plain += int64(n)
		say.Show("%s of SQL", megabytes(plain))
		pace.rest(ctx)
		return n, err
	}))
	if err != nil {
		sealed.abandon()
		return b, err
	}
	if s.log.File == "" || len(s.tables) == 0 {
		sealed.abandon()
		return b, errors.New("the dump holds no position in the binary log, or no table")
	}
	sum, err := sealed.finish()
	if err != nil {
		return b, err
	}
	began, epoch, err := d.place(ctx, say, here, s, earlier)
	if err != nil {
		return b, err
	}
	b.Manifest = Manifest{Schema: schema, Defaults: here.defaults, Taken: s.taken, ServerVersion: here.version, ServerUUID: here.uuid, GTIDs: s.gtids, Log: s.log,
		LogBegan: began, Epoch: epoch, Outside: here.outside, Dump: b.Dump, Size: sealed.size, Plain: s.plain, Recipients: key.recipients, Tables: s.tables}
	b.signers = key.signers
	if err := b.writeManifest(sum); err != nil {
		return b, err
	}
	say.Now("reading it again")
	if err := b.verify(ctx); err != nil {
		return b, err
	}
	if err := syncDir(b.Dir); err != nil {
		return b, err
	}
	if err := os.Rename(b.Dir, final); err != nil {
		return b, err
	}
	b.Dir = final
	return b, syncDir(dir)
}

// freeName returns the path of a folder that does not exist yet, named after the time. If the clock was set back, the name
// for the current second may already be taken.
func freeName(dir string, now time.Time) (string, error) {
	for {
		name := filepath.Join(dir, now.UTC().Format(nameLayout))
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
		now = now.Add(time.Second)
	}
}

// place finds where the dump belongs in the server's binary log and in the order of the earlier backups. It returns an error
// if the server has meanwhile reset its binary logs, or removed the one in which the dump began.
func (d database) place(ctx context.Context, say *terminal.Teller, here server, s summary, earlier []Backup) (began time.Time, epoch int, err error) {
	at, gtids, err := d.where(ctx)
	if err != nil {
		return began, 0, err
	}
	if within, err := subset(s.gtids, gtids); err != nil {
		return began, 0, err
	} else if !within || s.log.compare(at) > 0 {
		return began, 0, errors.New("the binary log was begun anew meanwhile (RESET BINARY LOGS): make backup again")
	}
	if began, err = d.began(ctx, here, s.log.File); err != nil {
		return began, 0, err
	} else if began.IsZero() {
		return began, 0, fmt.Errorf("the server has removed %s meanwhile, which leads on from the dump: make backup again", s.log.File)
	}
	if len(earlier) == 0 {
		return began, 0, nil
	}
	last := earlier[len(earlier)-1]
	on, err := d.goesOn(ctx, here, last, s.log, s.gtids)
	if err != nil || on {
		return began, last.Epoch, err
	}
	say.Say("the server's binary log was begun anew after %s (RESET BINARY LOGS), or that backup is of another server: no moment between the two can be restored", last.name())
	return began, last.Epoch + 1, nil
}

// A pace leaves most of the machine to the site: MySQL and the programs that read from it work for only a quarter of the
// time that a dump takes. At full speed they keep two processors busy, and visitors wait twice as long.
type pace struct{ awake time.Time }

const (
	burst      = 20 * time.Millisecond
	restFactor = 3
	longRest   = time.Second // the longest, since time that the dump itself spent waiting counts as work
)

// rest pauses after each burst of work. MySQL then pauses too, since nobody reads its output.
func (p *pace) rest(ctx context.Context) {
	worked := time.Since(p.awake)
	if worked < burst {
		return
	}
	_ = wait.For(ctx, min(restFactor*worked, longRest)) // what works under ctx sees its end
	p.awake = time.Now()
}

// shown returns a path as the user types it: relative to the repository's root, if it is in the repository.
func shown(site *stack.Stack, path string) string {
	if short, err := filepath.Rel(site.Dir, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// stamp formats a moment in the form that the option TO accepts.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999") + " UTC" }

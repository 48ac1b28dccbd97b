package backup

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"oneserver/ctl/internal/migration"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/throwaway"
	"oneserver/ctl/internal/wait"
)

// A rebuilt is the site's data as of a backup or a moment, in a separate MySQL server. All SQL from a backup runs there,
// never on the site's server, which gets only tables that have been checked.
type rebuilt struct {
	*throwaway.Server
	say     *terminal.Teller
	backup  Backup
	loaded  []Table // the tables that a dump of the loaded data must describe
	tables  []string
	words   words    // the full-text indexes that were left out of the tables' definitions
	version int      // the version of the tables, as the migrations count it
	live    Defaults // the defaults of the site's schema
}

// load loads the dump, without the full-text indexes unless whole is set.
func (r *rebuilt) load(ctx context.Context, dump io.Reader, whole bool) error {
	if _, err := r.SQL(ctx, "CREATE DATABASE "+schema+r.backup.Defaults.clause()); err != nil {
		return err
	}
	var said, want summary
	content, wait := through(dump, inspecting(&said, wholeLine), func(in io.Reader, out io.Writer) (err error) {
		if whole {
			_, err = io.Copy(out, in)
		} else {
			r.words, err = without(in, out)
		}
		return err
	}, inspecting(&want, withoutCounter))
	loading := stream(ctx, "mysql", func(ctx context.Context) *exec.Cmd { return r.Bash(ctx, "exec "+r.Client()+"--binary-mode "+schema) }, content, nil)
	if err := cmp.Or(wait(), loading); err != nil {
		return fmt.Errorf("load the dump: %w", err)
	}
	if !slices.Equal(said.tables, r.backup.Tables) {
		return fmt.Errorf("the dump of %s and its manifest contradict each other, in %s", r.backup.name(), strings.Join(differing(said.tables, r.backup.Tables), ", "))
	}
	r.loaded = want.tables
	return nil
}

// carryOut carries out the transactions after the dump and compares the loaded data with the backup. Both happen at the same
// time: the comparison uses a view from before the first transaction. If the transactions change definitions, which no view
// preserves, the comparison comes first.
func (r *rebuilt) carryOut(ctx context.Context, p plan, identities []age.Identity) error {
	r.say.Now("comparing the rows with those of the backup")
	if p.changes == 0 || p.defines {
		if err := r.compareRows(ctx); err != nil {
			return err
		}
		return r.replay(ctx, p, identities)
	}
	both, ctx := errgroup.WithContext(ctx)
	compared := make(chan struct{})
	both.Go(func() error {
		defer close(compared)
		return r.compareRows(ctx)
	})
	both.Go(func() error {
		if err := r.awaitView(ctx, compared); err != nil {
			return err
		}
		return r.replay(ctx, p, identities)
	})
	return both.Wait()
}

// compareRows compares the loaded data with what the backup records about itself.
func (r *rebuilt) compareRows(ctx context.Context) error {
	got, err := r.dump(ctx, io.Discard, withoutCounter)
	if err != nil {
		return err
	}
	if !slices.Equal(got.tables, r.loaded) {
		return fmt.Errorf("what was loaded differs from the backup, in %s; it was made by MySQL %s", strings.Join(differing(got.tables, r.loaded), ", "), r.backup.ServerVersion)
	}
	return nil
}

// awaitView returns once the dump for the comparison has its view of the data, or has ended.
func (r *rebuilt) awaitView(ctx context.Context, ended <-chan struct{}) error {
	return wait.Until(ctx, askWithin, wait.Often, func(ctx context.Context) error {
		select {
		case <-ended:
			return nil
		default:
		}
		// Nothing else is connected. Transactions without a thread are InnoDB's own: after a large load it counts rows, for
		// example.
		row, err := r.Row(ctx, 1, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_isolation_level = 'REPEATABLE READ' "+
			"AND trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) AND COALESCE(trx_query, '') NOT LIKE 'START TRANSACTION%'")
		if err == nil && row[0] == "0" {
			err = errors.New("mysqldump has not begun")
		}
		return err
	})
}

// A stage changes or examines the data that goes through it.
type stage func(in io.Reader, out io.Writer) error

func inspecting(s *summary, part func([]byte) []byte) stage {
	return func(in io.Reader, out io.Writer) (err error) {
		*s, err = inspect(io.TeeReader(in, out), part)
		return err
	}
}

// through returns the output of a chain of stages. wait ends them, even if their output was not read to the end, and returns
// their first error.
func through(in io.Reader, stages ...stage) (out io.Reader, wait func() error) {
	var running sync.WaitGroup
	var last *io.PipeReader
	errs := make([]error, len(stages))
	for i, one := range stages {
		reader, writer := io.Pipe()
		from, before := in, last
		running.Go(func() {
			errs[i] = one(from, writer)
			writer.CloseWithError(errs[i]) // nil means the end
			if before != nil {
				before.Close()
			}
		})
		in, last = reader, reader
	}
	return last, func() error {
		last.Close()
		running.Wait()
		for _, err := range errs { // only the first error; the others follow from it
			if err != nil && !errors.Is(err, io.ErrClosedPipe) {
				return err
			}
		}
		return nil
	}
}

// differing names the tables that differ between two lists.
func differing(a, b []Table) (names []string) {
	for _, table := range slices.Concat(a, b) {
		if (!slices.Contains(a, table) || !slices.Contains(b, table)) && !slices.Contains(names, table.Name) {
			names = append(names, table.Name)
		}
	}
	return names
}

func (r *rebuilt) dump(ctx context.Context, sink io.Writer, part func([]byte) []byte, options ...string) (summary, error) {
	return dump(ctx, r.Database, sink, part, append(options, schema)...)
}

// replay carries out the transactions after the dump with MySQL's replication: it installs the binary logs as if this server
// were a replica that had received them. Transactions that do not concern the site are marked as executed beforehand.
func (r *rebuilt) replay(ctx context.Context, p plan, identities []age.Identity) error {
	// Those in the dump are marked as executed too. The sets are long if many transactions are left out, but SQL accepts
	// them.
	purge := "SET GLOBAL gtid_purged = '" + r.backup.gtids() + "';"
	if p.skipped.Count() > 0 {
		purge += "SET GLOBAL gtid_purged = '+" + p.skipped.String() + "';"
	}
	if _, err := r.SQL(ctx, purge); err != nil {
		return fmt.Errorf("leave out what is not to be carried out: %w", err)
	}
	if p.changes > 0 {
		r.say.Now("carrying out %d transactions of the binary logs", p.changes)
		var index strings.Builder
		for i, log := range p.logs {
			name := fmt.Sprintf("relay.%06d", i+1)
			if err := r.lay(ctx, log, name, identities); err != nil {
				return err
			}
			fmt.Fprintf(&index, "./%s\n", name)
		}
		if err := r.WriteFile(ctx, "relay.index", strings.NewReader(index.String())); err != nil {
			return err
		}
		until := ""
		if p.stop != nil {
			until = " UNTIL SQL_BEFORE_GTIDS = '" + p.stop.String() + "'"
		}
		if _, err := r.SQL(ctx, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'nobody', SOURCE_AUTO_POSITION = 0, RELAY_LOG_FILE = 'relay.000001', RELAY_LOG_POS = 4; START REPLICA SQL_THREAD"+until); err != nil {
			return fmt.Errorf("carry out the binary logs: %w", err)
		}
	}
	return r.caughtUp(ctx, p)
}

func (r *rebuilt) lay(ctx context.Context, log archived, name string, identities []age.Identity) error {
	in, err := log.open(ctx, identities)
	if err != nil {
		return err
	}
	defer in.Close()
	return r.WriteFile(ctx, name, in)
}

// caughtUp returns once exactly the intended transactions have been carried out. It gives up if MySQL does, or if there is
// no progress for too long.
func (r *rebuilt) caughtUp(ctx context.Context, p plan) error {
	expected := p.expected.String()
	last, since := "", time.Now()
	err := wait.Until(ctx, longestReplay, wait.Often, func(ctx context.Context) error {
		running, said := false, ""
		if p.changes > 0 {
			status, err := r.SQL(ctx, "SHOW REPLICA STATUS") // asked before the sets: a stopped applier adds no more
			if err != nil {
				return wait.Final(err)
			}
			running, said = replicaStatus(status)
		}
		row, err := r.Row(ctx, 3, "SELECT @@GLOBAL.gtid_executed, GTID_SUBSET('"+expected+"', @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_executed, '"+expected+"')")
		if err != nil {
			return wait.Final(err)
		}
		executed, all, noMore := row[0], row[1] == "1", row[2] == "1"
		switch {
		case said != "":
			return wait.Final(fmt.Errorf("a transaction of the binary logs cannot be carried out: %s. MySQL says: %s", said, r.Log()))
		case !noMore:
			return wait.Final(fmt.Errorf("other transactions were carried out than were to be: %s, and not %s", executed, expected))
		case all:
			return nil
		case !running || executed == last && time.Since(since) > silence:
			return wait.Final(fmt.Errorf("the binary logs ended before all of them was carried out: %s, and not %s. MySQL says: %s", executed, expected, r.Log()))
		case executed != last:
			last, since = executed, time.Now()
		}
		return errors.New("the binary logs are still being carried out")
	})
	if err == nil && p.changes > 0 {
		_, err = r.SQL(ctx, "STOP REPLICA")
	}
	return err
}

// longestReplay is the longest time that any program in a database may take.
const longestReplay = 12 * time.Hour

// replicaStatus reads from SHOW REPLICA STATUS whether the applier is running, and its last error.
func replicaStatus(rows [][]string) (running bool, said string) {
	const sqlRunning, lastSQLError = 11, 37 // the columns, which have kept their places since 5.6
	if len(rows) == 0 || len(rows[0]) <= lastSQLError {
		return false, fmt.Sprintf("SHOW REPLICA STATUS prints %q", rows)
	}
	return rows[0][sqlRunning] == "Yes", rows[0][lastSQLError]
}

// check returns an error unless the data can be the site's: InnoDB tables that refer to nothing outside, including the table
// in which the migrations record their version.
func (r *rebuilt) check(ctx context.Context) error {
	rows, err := r.SQL(ctx, `SELECT 'table', table_name, COALESCE(engine, 'none') FROM information_schema.tables WHERE table_schema = '`+schema+`' AND table_type = 'BASE TABLE'
UNION ALL SELECT 'foreign key', constraint_name, unique_constraint_schema FROM information_schema.referential_constraints WHERE constraint_schema = '`+schema+`' AND unique_constraint_schema <> '`+schema+`'
UNION ALL SELECT kind, name, '' FROM (`+noTables+`) o`)
	if err != nil {
		return err
	}
	for _, row := range rows {
		switch kind, name := row[0], row[1]; {
		case kind == "table" && row[2] != "InnoDB":
			return fmt.Errorf("the table %s is of %s and not of InnoDB", name, row[2])
		case kind == "table":
			r.tables = append(r.tables, name)
		case kind == "foreign key":
			return fmt.Errorf("the foreign key %s leads out of %s, to %s", name, schema, row[2])
		default:
			r.say.Say("not restored: the %s %s, which is no table", kind, name)
		}
	}
	row, err := r.Row(ctx, 2, defaultsOfSchema)
	if err != nil {
		return err
	}
	if defaults := (Defaults{row[0], row[1]}); r.live != defaults { // tables created later would take these
		r.say.Say("not restored: the defaults of the schema,%s, which are now%s", defaults.clause(), r.live.clause())
	}
	if !slices.Contains(r.tables, site.Versions) {
		return errors.New("it has no table " + site.Versions + ", by which the release knows its tables: it is no state of this site")
	}
	statements := latestVersion + ";"
	for _, table := range site.OfTheMoment {
		if slices.Contains(r.tables, table) {
			statements += "TRUNCATE TABLE " + schema + "." + table + ";"
		}
	}
	version, err := r.SQL(ctx, statements)
	if err != nil {
		return err
	}
	if len(version) != 1 {
		return fmt.Errorf("MySQL says of the version %q", version)
	}
	if r.version, err = strconv.Atoi(version[0][0]); err != nil {
		return fmt.Errorf("the version of its tables: %w", err)
	}
	return nil
}

const latestVersion = "SELECT COALESCE(MAX(version_id), 0) FROM " + schema + "." + site.Versions + " WHERE is_applied"

// fits returns an error if tables of this version are newer than both the release's migrations and the site's present
// tables. After a rollback, a release may well run on the tables of a later one.
func (d database) fits(ctx context.Context, version int) error {
	has, err := d.SQL(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '"+schema+"' AND table_name = '"+site.Versions+"'")
	if err != nil {
		return err
	}
	highest := 0
	if len(has) == 1 && has[0][0] == "1" {
		rows, err := d.SQL(ctx, latestVersion)
		if err != nil {
			return err
		}
		if highest, err = strconv.Atoi(rows[0][0]); err != nil {
			return err
		}
	}
	if version <= highest {
		return nil
	}
	pending, err := migration.Pending(ctx, d.site)
	if err != nil {
		return err
	}
	for _, one := range pending {
		highest = max(highest, int(one.Version))
	}
	if version > highest {
		return fmt.Errorf("its tables are of version %d, and this release knows them up to version %d: check out the release that the backup is of, or a later one, make deploy, and restore again; or take an older backup", version, highest)
	}
	return nil
}

// copyFrom loads the tables into the schema beside the site's and compares the two copies. The account that loads them may
// do nothing else.
func (d database) copyFrom(ctx context.Context, r rebuilt) error {
	if err := d.clean(ctx); err != nil {
		return err
	}
	if err := d.createLike(ctx, beside); err != nil {
		return err
	}
	password := rand.Text()
	if _, err := d.SQL(ctx, fmt.Sprintf(`SET SESSION sql_log_bin = 0;
CREATE USER '%[1]s'@'localhost' IDENTIFIED BY '%[2]s' WITH MAX_USER_CONNECTIONS 1;
GRANT SELECT, INSERT, CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES ON `+"`%[3]s`"+`.* TO '%[1]s'@'localhost';
GRANT SESSION_VARIABLES_ADMIN ON *.* TO '%[1]s'@'localhost'`, loader, password, strings.ReplaceAll(beside, "_", `\_`))); err != nil {
		return fmt.Errorf("make the account that loads: %w", err)
	}
	// The full-text indexes are kept up to date while the rows are loaded. Building one afterwards took MySQL 17 s of CPU
	// time for 50,000 posts, or 11 s with innodb_ddl_buffer_size at 32 MB; the load took 2.6 s with the index, and 1.1 s
	// without.
	var want contents
	both, copying := errgroup.WithContext(ctx)
	both.Go(func() (err error) { // the source does not change meanwhile
		want, err = r.contents(copying)
		return err
	})
	both.Go(func() error {
		content, wait := through(strings.NewReader(""), func(_ io.Reader, out io.Writer) error {
			_, err := r.dump(copying, out, wholeLine)
			return err
		}, r.words.with)
		by := d.Database
		by.Login = loaderLogin
		load := "read -r password\nexec " + by.Client() + "--binary-mode " + beside
		loading := stream(copying, "mysql", func(ctx context.Context) *exec.Cmd { return by.Bash(ctx, load) }, io.MultiReader(strings.NewReader(password+"\n"), content), nil)
		if err := cmp.Or(wait(), loading); err != nil {
			return fmt.Errorf("load the tables: %w", err)
		}
		return nil
	})
	if err := both.Wait(); err != nil {
		return err
	}
	r.say.Now("comparing the tables in %s", beside)
	return d.compare(ctx, r, want)
}

// contents describes the tables, so that two copies can be compared. Definitions are compared as text and rows by MySQL's
// own checksum. The checksum covers the hidden column of an index on an expression, which differs in each copy; if there is
// such an index, the rows are compared as text.
type contents struct {
	tables []Table
	sums   [][]string // nil if the rows are in tables
}

func (r rebuilt) contents(ctx context.Context) (c contents, err error) {
	expressions, err := r.SQL(ctx, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = '"+schema+"' AND expression IS NOT NULL")
	if err != nil {
		return c, err
	}
	var options []string
	if expressions[0][0] == "0" {
		options = append(options, "--no-data")
		if c.sums, err = r.SQL(ctx, checksums(schema, r.tables)); err != nil {
			return c, err
		}
	}
	s, err := r.dump(ctx, io.Discard, wholeLine, options...)
	c.tables = s.tables
	return c, err
}

func checksums(schema string, tables []string) string {
	var list []string
	for _, table := range tables {
		list = append(list, schema+"."+quote(table))
	}
	return "CHECKSUM TABLE " + strings.Join(list, ", ")
}

// compare compares the tables beside the site's with the originals that they were copied from.
func (d database) compare(ctx context.Context, r rebuilt, want contents) error {
	options := []string{"--no-data"}
	if want.sums == nil {
		options = nil
	}
	var found words
	text, wait := through(strings.NewReader(""), func(_ io.Reader, out io.Writer) error {
		_, err := dump(ctx, d.Database, out, wholeLine, append(options, beside)...)
		return err
	}, func(in io.Reader, out io.Writer) (err error) {
		if r.words == nil {
			_, err = io.Copy(out, in)
		} else {
			found, err = without(in, out)
		}
		return err
	})
	got, err := inspect(text, wholeLine)
	if err := cmp.Or(wait(), err); err != nil {
		return err
	}
	if r.words != nil && !maps.EqualFunc(found, r.words, slices.Equal) {
		return fmt.Errorf("the full-text indexes in %s are %q, and were %q", beside, found, r.words)
	}
	if !slices.Equal(got.tables, want.tables) {
		return fmt.Errorf("the tables in %s differ from what was copied there, in %s", beside, strings.Join(differing(got.tables, want.tables), ", "))
	}
	if want.sums == nil {
		return nil
	}
	d.Limit = silence
	sums, err := d.SQL(ctx, checksums(beside, r.tables))
	if err != nil {
		return err
	}
	if len(sums) != len(want.sums) || len(sums) != len(r.tables) {
		return fmt.Errorf("the checksums are %q and %q", want.sums, sums)
	}
	for i := range sums {
		if sums[i][1] != want.sums[i][1] || sums[i][1] == "NULL" {
			return fmt.Errorf("the rows in %s differ from what was copied there, in %s", beside, r.tables[i])
		}
	}
	return nil
}

// clean removes a restore's working data from the site's server, even if that restore was killed.
func (d database) clean(ctx context.Context) error {
	if _, err := d.SQL(ctx, "SET SESSION sql_log_bin = 0; DROP DATABASE IF EXISTS "+beside+"; DROP USER IF EXISTS '"+loader+"'@'localhost'"); err != nil {
		return fmt.Errorf("drop %s: %w", beside, err)
	}
	return nil
}

// sweep removes what a killed restore has left, in the engine and on the site's server. It leaves a running restore alone; a
// restore is running as long as its throw-away server is.
func (d database) sweep(ctx context.Context) error {
	err := wait.Until(ctx, 5*time.Second, wait.Often, func(ctx context.Context) error {
		atWork, err := throwaway.Running(ctx, d.site, purpose)
		if err != nil {
			return wait.Final(err)
		}
		if atWork {
			return errAtWork
		}
		return nil
	})
	switch {
	case errors.Is(err, errAtWork):
		return nil
	case err != nil:
		return err
	}
	return errors.Join(throwaway.Clean(ctx, d.site), d.clean(ctx))
}

var errAtWork = errors.New("a restore is at work")

// purpose names the throw-away server of a restore; there is only one at a time.
const purpose = "restore"

// gtids returns the backup's transactions in the form that SQL accepts. In older backups, the set begins with a plus.
func (b Backup) gtids() string { return strings.TrimPrefix(b.GTIDs, "+") }

package backup

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
)

const (
	schema    = site.Schema
	beside    = schema + "_restore" // where a restore is loaded and checked
	before    = schema + "_before"  // the site's data from before the last restore
	loader    = "restore"           // the account that loads into beside, during a restore
	askWithin = time.Minute
	// silence is how long a dump or a load may go without progress. On a slow disk, one statement of a megabyte, or the end
	// of a table with an index, takes a long time.
	silence = 10 * time.Minute
)

// Each script runs in db. The time limit ends the program if this tool is no longer there to do so.
const (
	limit = `timeout --signal=KILL 12h `

	dumpOptions = stack.DumpOptions + `--order-by-primary `
	// The engine does not end a program whose output nobody reads any more, so an abandoned dump would run to its end. But
	// the engine closes the program's standard input, and these lines then end the dump.
	keepInput   = "exec 3<&0\n" + limit
	whileWanted = ` 3<&- & dump=$!
{ read -r -u 3; kill $dump; } >/dev/null 2>&1 & watch=$!
wait $dump; result=$?
kill $watch 2>/dev/null
exit $result`

	// The load into beside is kept out of the binary log, which would otherwise hold all the data twice. The swap is logged,
	// so that a later restore can tell if it would have to replay the swap. The account that loads can do nothing else; its
	// password is the first line of the input.
	loaderLogin = `--defaults-extra-file=<(printf '[client]\nuser=` + loader + `\npassword="%s"\nprotocol=socket\n' "$password") --init-command='SET SESSION sql_log_bin = 0'`
)

// dumpScript takes the statement that locks the tables, and options for mysqldump.
//
//go:embed dump.sh
var dumpScript string

// dumpSite writes a dump of the site's tables to sink, preceded by the dump's place in the binary log.
func (d database) dumpSite(ctx context.Context, tables []string, sink io.Writer) (summary, error) {
	var locks []string
	for _, table := range tables {
		locks = append(locks, fmt.Sprintf("%s.%s READ", schema, quote(table)))
	}
	before, err := d.definitions(ctx, tables)
	if err != nil {
		return summary{}, err
	}
	args := append([]string{"dump", "LOCK TABLES " + strings.Join(locks, ", ")}, strings.Fields(dumpOptions)...)
	s, err := readDump(ctx, func(ctx context.Context) *exec.Cmd { return d.Bash(ctx, dumpScript, append(args, schema)...) }, sink, wholeLine)
	if err != nil {
		return s, err
	}
	var dumped []string
	for _, table := range s.tables {
		dumped = append(dumped, table.Name)
	}
	slices.Sort(dumped)
	if !slices.Equal(dumped, slices.Sorted(slices.Values(tables))) {
		return s, fmt.Errorf("the tables of %s changed meanwhile: they were %q, and the dump has %q. Make backup again", schema, tables, dumped)
	}
	after, err := d.definitions(ctx, tables)
	if err != nil {
		return s, err
	}
	for i, table := range tables {
		if before[i] != after[i] {
			return s, fmt.Errorf("the table %s was altered meanwhile: make backup again", table)
		}
	}
	return s, nil
}

// definitions returns the definition of each table, which must not change during a dump. A dump reads a definition only when
// it reaches the table. If the table had been altered by then, replaying the binary log would alter it a second time.
func (d database) definitions(ctx context.Context, tables []string) (all []string, err error) {
	var ask strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&ask, "SHOW CREATE TABLE %s.%s;\n", schema, quote(table))
	}
	rows, err := d.SQL(ctx, ask.String())
	if err != nil {
		return nil, err
	}
	if len(rows) != len(tables) {
		return nil, fmt.Errorf("of %d tables MySQL shows %d", len(tables), len(rows))
	}
	for _, row := range rows {
		all = append(all, counter.ReplaceAllString(strings.Join(row, "\t"), ""))
	}
	return all, nil
}

var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`) // not part of a definition, since it changes all the time

// database is the site's database, in the running db service.
type database struct {
	stack.Database
	site *stack.Stack
}

// failed returns an error with the message of the program in db, rather than that of the script that ran it.
func failed(program string, err error, stderr *bytes.Buffer) error {
	if said := strings.TrimSpace(stderr.String()); said != "" {
		return fmt.Errorf("%s: %s (%w)", program, said, err)
	}
	return fmt.Errorf("%s: %w", program, err)
}

// server is what a backup or a restore needs to know about the database server before it starts.
type server struct {
	version, uuid string
	logDir        string // where its binary logs are
	blind         string // the settings that make its binary logs useless for a restore
	others        int    // views, triggers, routines and events of the site
	tables        []string
	outside       []string // what the server has that a backup leaves out
	defaults      Defaults
}

// Defaults are the character set and the collation of tables in the schema that do not specify their own.
type Defaults struct{ CharacterSet, Collation string }

// clause returns the defaults as part of CREATE DATABASE. Those that an old backup did not record are the first release's.
func (d Defaults) clause() string {
	return " CHARACTER SET " + cmp.Or(d.CharacterSet, "utf8mb4") + " COLLATE " + cmp.Or(d.Collation, "utf8mb4_0900_ai_ci")
}

const defaultsOfSchema = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = '" + schema + "'"

// noTables selects everything in the site's schema that is not a table.
const noTables = `SELECT 'view' AS kind, table_name AS name FROM information_schema.views WHERE table_schema = '` + schema + `'
UNION ALL SELECT 'trigger', trigger_name FROM information_schema.triggers WHERE trigger_schema = '` + schema + `'
UNION ALL SELECT LOWER(routine_type), routine_name FROM information_schema.routines WHERE routine_schema = '` + schema + `'
UNION ALL SELECT 'event', event_name FROM information_schema.events WHERE event_schema = '` + schema + `'`

// defaults returns the defaults of the site's schema.
func (d database) defaults(ctx context.Context) (Defaults, error) {
	rows, err := d.SQL(ctx, defaultsOfSchema)
	switch {
	case err != nil:
		return Defaults{}, err
	case len(rows) != 1 || len(rows[0]) != 2:
		return Defaults{}, fmt.Errorf("the server has no schema %s: make reset and make up make it anew", schema)
	}
	return Defaults{rows[0][0], rows[0][1]}, nil
}

func (d database) server(ctx context.Context) (server, error) {
	row, err := d.Row(ctx, 5, `SELECT VERSION(), @@server_uuid, COALESCE(@@log_bin_basename, ''),
  CONCAT_WS(', ', IF(@@gtid_mode = 'ON', NULL, CONCAT('gtid_mode is ', @@gtid_mode)), IF(@@binlog_encryption, 'binlog_encryption is ON', NULL)),
  (SELECT COUNT(*) FROM (`+noTables+`) o)`)
	if err != nil {
		return server{}, fmt.Errorf("the database does not answer; make up starts it: %w", err)
	}
	s := server{version: row[0], uuid: row[1], logDir: path.Dir(row[2]), blind: row[3]}
	if s.others, err = strconv.Atoi(row[4]); err != nil {
		return s, err
	}
	s.defaults, err = d.defaults(ctx)
	return s, err
}

// tables returns the names of the site's tables. All must use InnoDB, which can provide a consistent view.
func (d database) tables(ctx context.Context) (names []string, err error) {
	rows, err := d.SQL(ctx, "SELECT table_name, COALESCE(engine, 'none') FROM information_schema.tables WHERE table_schema = '"+schema+"' AND table_type = 'BASE TABLE' ORDER BY 1")
	if err != nil {
		return nil, err
	}
	var others []string
	for _, row := range rows {
		if row[1] != "InnoDB" {
			others = append(others, row[0]+" ("+row[1]+")")
		}
		names = append(names, row[0])
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("of tables that are not InnoDB's there is no view of one moment: %s", strings.Join(others, ", "))
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no table; make up makes them", schema)
	}
	rows, err = d.SQL(ctx, "SELECT CONCAT(c.table_name, '.', c.column_name) FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) WHERE c.table_schema = '"+schema+"' AND c.data_type = 'float' AND t.table_type = 'BASE TABLE' ORDER BY 1")
	if err != nil {
		return nil, err
	}
	others = nil
	for _, row := range rows {
		others = append(others, row[0])
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("of a FLOAT a dump has six digits, and the rest would be lost; ALTER TABLE ... MODIFY ... DOUBLE keeps all of it: %s", strings.Join(others, ", "))
	}
	return names, nil
}

// outside names everything on the server that a backup leaves out, except what every stack of this kind has.
func (d database) outside(ctx context.Context) (names []string, err error) {
	rows, err := d.SQL(ctx, `SELECT CONCAT(kind, ' `+schema+`.', name) FROM (`+noTables+`) o
UNION ALL SELECT CONCAT('library ', library_schema, '.', library_name) FROM information_schema.libraries WHERE library_schema = '`+schema+`'
UNION ALL SELECT CONCAT('loadable function ', name) FROM mysql.func
UNION ALL SELECT CONCAT('server ', server_name) FROM mysql.servers
UNION ALL SELECT CONCAT('schema ', schema_name) FROM information_schema.schemata
  WHERE schema_name NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'oneserver', '`+schema+`', '`+beside+`', '`+before+`')
UNION ALL SELECT CONCAT('account ', user, '@', host) FROM mysql.user
  WHERE CONCAT(user, '@', host) NOT IN ('root@localhost', 'app@%', 'migrate@%', 'backup@%', 'health@127.0.0.1', 'mysql.infoschema@localhost', 'mysql.session@localhost', 'mysql.sys@localhost')
UNION ALL SELECT CONCAT('setting ', variable_name) FROM performance_schema.persisted_variables
UNION ALL SELECT CONCAT('foreign key ', constraint_schema, '.', constraint_name) FROM information_schema.referential_constraints
  WHERE (constraint_schema = '`+schema+`') <> (unique_constraint_schema = '`+schema+`') AND constraint_schema <> '`+before+`'`)
	for _, row := range rows {
		names = append(names, row[0])
	}
	return names, err
}

// began returns the time of a binary log's first event, which is when the server began the log; zero if it has no such log.
func (d database) began(ctx context.Context, here server, log string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	start, err := docker.Output(ctx, d.Bash(ctx, `[ ! -e "$0" ] || exec head -c 8 -- "$0"`, path.Join(here.logDir, log)))
	if err != nil || start == "" {
		return time.Time{}, err
	}
	if len(start) < 8 || !strings.HasPrefix(start, "\xfebin") {
		return time.Time{}, fmt.Errorf("%s does not begin as a binary log does", log)
	}
	return time.Unix(int64(binary.LittleEndian.Uint32([]byte(start[4:8]))), 0).UTC(), nil
}

// goesOn reports whether the server still continues the binary logs that a backup recorded, and has not reset them. at is
// the server's position, and gtids are all transactions up to there.
func (d database) goesOn(ctx context.Context, here server, b Backup, at Position, gtids string) (bool, error) {
	within, err := subset(b.GTIDs, gtids)
	if err != nil || !within || b.Log.compare(at) > 0 {
		return false, err
	}
	if b.LogBegan.IsZero() {
		return true, nil
	}
	began, err := d.began(ctx, here, b.Log.File)
	return began.IsZero() || began.Equal(b.LogBegan), err // zero: the server no longer keeps it
}

// where returns the server's current place in the binary log, and all transactions up to there.
func (d database) where(ctx context.Context) (at Position, gtids string, err error) {
	row, err := d.Row(ctx, 5, "SHOW BINARY LOG STATUS")
	if err != nil {
		return at, "", err
	}
	at.File = row[0]
	at.At, err = strconv.ParseUint(row[1], 10, 64)
	return at, strings.ReplaceAll(row[4], `\n`, ""), err
}

// current returns the backups whose binary log the server still continues, in the order of the list.
func (d database) current(ctx context.Context, here server, backups []Backup) ([]Backup, error) {
	ours := of(backups, here.uuid)
	if len(ours) == 0 {
		return nil, nil
	}
	if err := contradiction(ours); err != nil {
		return nil, err
	}
	last := ours[len(ours)-1]
	at, gtids, err := d.where(ctx)
	if err != nil {
		return nil, err
	}
	if on, err := d.goesOn(ctx, here, last, at, gtids); err != nil {
		return nil, err
	} else if !on {
		return nil, fmt.Errorf("the server's binary log was begun anew after the backup %s (RESET BINARY LOGS): what was written after that backup can be restored from a later one only", last.name())
	}
	return slices.DeleteFunc(ours, func(b Backup) bool { return b.Epoch != last.Epoch }), nil
}

// stream runs a script with in as its input, and passes its output to out. It ends the script after a time without progress.
func stream(ctx context.Context, program string, cmd func(context.Context) *exec.Cmd, in io.Reader, out func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(silence, func() { cancel(fmt.Errorf("%s: nothing has moved for %s", program, silence)) })
	defer timer.Stop()
	moved := writerFunc(func(p []byte) (int, error) { timer.Reset(silence); return len(p), nil })

	run := cmd(ctx)
	var stderr bytes.Buffer
	run.Stderr = &stderr
	var source *failingReader
	if in != nil {
		source = &failingReader{Reader: io.TeeReader(in, moved)}
		run.Stdin = source
	} else if _, err := run.StdinPipe(); err != nil { // stays open until the end
		return err
	}
	stdout, err := run.StdoutPipe()
	if err != nil {
		return err
	}
	if err := run.Start(); err != nil {
		return err
	}
	var told error
	if out != nil {
		told = out(io.TeeReader(stdout, moved))
	} else {
		_, told = io.Copy(io.Discard, stdout)
	}
	if told != nil && !errors.Is(told, errCutOff) {
		cancel(told)
	}
	err = run.Wait()
	switch {
	case source != nil && source.err != nil: // its input could not be read; the other errors follow from that
		return source.err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return failed(program, err, &stderr)
	}
	return told
}

// failingReader remembers the error that ended reading.
type failingReader struct {
	io.Reader
	err error
}

func (r *failingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// dump writes a dump to sink and returns a summary of it. The last of the arguments of mysqldump is the schema.
func dump(ctx context.Context, of stack.Database, sink io.Writer, part func([]byte) []byte, args ...string) (summary, error) {
	script := keepInput + `mysqldump ` + of.Login + dumpOptions + `--set-gtid-purged=OFF "$0" "$@"` + whileWanted
	return readDump(ctx, func(ctx context.Context) *exec.Cmd { return of.Bash(ctx, script, args...) }, sink, part)
}

func readDump(ctx context.Context, cmd func(context.Context) *exec.Cmd, sink io.Writer, part func([]byte) []byte) (s summary, err error) {
	err = stream(ctx, "mysqldump", cmd, nil, func(out io.Reader) error {
		var err error
		s, err = inspect(io.TeeReader(out, sink), part)
		return err
	})
	return s, err
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

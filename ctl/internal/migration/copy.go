package migration

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/throwaway"
)

// These constants limit the copy. A table with few rows is copied whole, because migrations look things up in small tables;
// the table of versions is one of these.
const (
	readWithin   = time.Minute
	fewRows      = 1000
	leastRows    = 10
	bytesOfTable = 256 << 10
	bytesOfAll   = 64 << 20
	rounds       = 5 // of fetching rows that other rows refer to
)

// live is the site's database. Its tables are read by the account that backs them up, which can do nothing else; root is
// asked for what that account may not see.
type live struct {
	stack.Database
	schema string
}

// size says how much a table really holds.
type size struct{ rows, bytes, average int64 }

func (s size) String() string {
	return fmt.Sprintf("some %d rows of %.1f MB are", s.rows, float64(s.bytes)/1e6)
}

// copied holds what is needed to recreate the tables elsewhere.
type copied struct {
	prepare string // statements: settings, the account and what it may do
	dump    []byte
	sizes   map[string]size // by the table's name in lower case
}

// settings are a server's settings that change the effect of a statement, and that a session can adopt.
var settings = []string{"sql_mode", "sql_require_primary_key", "innodb_strict_mode", "explicit_defaults_for_timestamp", "innodb_default_row_format"}

func (l live) read(ctx context.Context, a account) (c copied, err error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	var ask strings.Builder
	for _, name := range settings {
		fmt.Fprintf(&ask, "SELECT 'setting', '%s', @@GLOBAL.%[1]s;\n", name)
	}
	fmt.Fprintf(&ask, `SET SESSION information_schema_stats_expiry = 0;
SELECT 'table', t.table_name, COALESCE(t.table_rows, 0), COALESCE(s.file_size, t.data_length + t.index_length, 0), COALESCE(t.avg_row_length, 0)
  FROM information_schema.tables t LEFT JOIN information_schema.innodb_tablespaces s ON s.name = CONCAT(t.table_schema, '/', t.table_name)
  WHERE t.table_schema = %s AND t.table_type = 'BASE TABLE';
SHOW GRANTS FOR %s@'%%';`, text(l.schema), text(a.user))
	rows, err := l.SQL(ctx, ask.String())
	if err != nil {
		return c, err
	}
	prepare := fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY %s;\n", text(a.user), text(a.password))
	c.sizes = map[string]size{}
	var tables []string
	for _, row := range rows {
		switch {
		case len(row) == 3 && row[0] == "setting":
			value := text(row[2])
			if _, err := strconv.Atoi(row[2]); err == nil {
				value = row[2] // MySQL does not accept '0' as a number
			}
			prepare += "SET GLOBAL " + row[1] + " = " + value + ";\n"
		case len(row) == 5 && row[0] == "table":
			var s size
			for i, to := range []*int64{&s.rows, &s.bytes, &s.average} {
				if *to, err = strconv.ParseInt(row[2+i], 10, 64); err != nil {
					return c, fmt.Errorf("the size of %s: %w", row[1], err)
				}
			}
			c.sizes[strings.ToLower(row[1])] = s
			tables = append(tables, row[1], fmt.Sprintf("TRUE LIMIT %d", min(max(bytesOfTable/(s.average+1), leastRows), fewRows)))
		default: // SHOW GRANTS
			prepare += strings.Join(row, "\t") + ";\n"
		}
	}
	c.prepare = prepare
	c.dump, err = l.dump(ctx, true, tables)
	return c, err
}

// dumpScript writes the definitions of a schema and then, for each pair of a table and a condition, the rows that meet it.
var dumpScript = `set -eu
dump() {
    mysqldump ` + stack.Login("backup") + stack.DumpOptions + `--skip-comments --set-gtid-purged=OFF "$@"
}
schema=$0
[ "$1" != definitions ] || dump --no-data --databases "$schema"
shift
while [ $# -gt 0 ]; do
    dump --no-create-info --insert-ignore --where="$2" "$schema" "$1"
    shift 2
done`

func (l live) dump(ctx context.Context, definitions bool, tables []string) ([]byte, error) {
	what := "rows"
	if definitions {
		what = "definitions"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := l.Bash(ctx, dumpScript, append([]string{l.schema, what}, tables...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(out, bytesOfAll))
	if len(text) == bytesOfAll {
		err = fmt.Errorf("a few rows of each table are more than %d MB", bytesOfAll>>20)
	}
	if err != nil {
		cancel()
		_ = cmd.Wait() // this program ended it on purpose
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("mysqldump: %s (%w)", strings.TrimSpace(said.String()), cmp.Or(context.Cause(ctx), err))
	}
	return text, nil
}

// load puts the copy into the throw-away server, with the rows that its rows refer to. If such a row has been deleted
// meanwhile, the row that refers to it is left out.
func (c copied) load(ctx context.Context, l live, server *throwaway.Server, a account) error {
	if _, err := server.SQL(ctx, string(c.dump)+"\n"+c.prepare); err != nil {
		return err
	}
	foreign, err := references(ctx, server, a.schema)
	if err != nil {
		return err
	}
	for range rounds {
		var ask strings.Builder
		for i, f := range foreign {
			fmt.Fprintf(&ask, "SELECT DISTINCT %d, CONCAT('(', CONCAT_WS(',', %s), ')') FROM %s LIMIT %d;\n", i, f.literals(), f.orphans(), fewRows)
		}
		rows, err := server.SQL(ctx, ask.String())
		if err != nil {
			return err
		}
		wanted := map[int][]string{}
		for _, row := range rows {
			if len(row) != 2 {
				continue
			}
			i, err := strconv.Atoi(row[0])
			if err != nil {
				return err
			}
			wanted[i] = append(wanted[i], row[1])
		}
		if len(wanted) == 0 {
			return nil
		}
		var more []string
		for i, keys := range wanted {
			more = append(more, foreign[i].parent, fmt.Sprintf("(%s) IN (%s)", foreign[i].names(foreign[i].to, ""), strings.Join(keys, ",")))
		}
		dump, err := l.dump(ctx, false, more)
		if err != nil {
			return err
		}
		if _, err := server.SQL(ctx, "USE "+quote(a.schema)+";\n"+string(dump)); err != nil {
			return err
		}
	}
	for range rounds {
		var remove strings.Builder
		fmt.Fprintf(&remove, "USE %s;\nSET foreign_key_checks = 0;\n", quote(a.schema))
		for _, f := range foreign {
			remove.WriteString(f.remove())
		}
		if _, err := server.SQL(ctx, remove.String()); err != nil {
			return err
		}
	}
	return nil
}

// reference is a foreign key.
type reference struct {
	schema, child, parent string
	from, to              []string
	binary                []bool // whether the column holds bytes
}

func references(ctx context.Context, server *throwaway.Server, schema string) ([]reference, error) {
	rows, err := server.SQL(ctx, fmt.Sprintf(`SELECT k.constraint_name, k.table_name, k.referenced_table_name, k.column_name, k.referenced_column_name, c.collation_name IS NULL AND c.character_maximum_length IS NOT NULL
  FROM information_schema.key_column_usage k JOIN information_schema.columns c USING (table_schema, table_name, column_name)
  WHERE k.table_schema = %s AND k.referenced_table_schema = k.table_schema ORDER BY k.table_name, k.constraint_name, k.ordinal_position`, text(schema)))
	if err != nil {
		return nil, err
	}
	var all []reference
	last := ""
	for _, row := range rows {
		if len(row) != 6 {
			return nil, fmt.Errorf("MySQL says %q of a foreign key", row)
		}
		if name := row[1] + "\t" + row[0]; name != last {
			last = name
			all = append(all, reference{schema: schema, child: row[1], parent: row[2]})
		}
		one := &all[len(all)-1]
		one.from, one.to, one.binary = append(one.from, row[3]), append(one.to, row[4]), append(one.binary, row[5] == "1")
	}
	return all, nil
}

func (f reference) names(columns []string, of string) string {
	var all []string
	for _, c := range columns {
		all = append(all, of+quote(c))
	}
	return strings.Join(all, ", ")
}

// literals returns SQL that writes the values of a reference as literals.
func (f reference) literals() string {
	var all []string
	for i, c := range f.from {
		if f.binary[i] {
			all = append(all, "CONCAT('X''', HEX(c."+quote(c)+"), '''')")
		} else {
			all = append(all, "CONCAT('_utf8mb4 X''', HEX(CONVERT(c."+quote(c)+" USING utf8mb4)), '''')")
		}
	}
	return strings.Join(all, ", ")
}

// orphans returns the part of a statement that finds rows whose references lead nowhere.
func (f reference) orphans() string {
	var on, set []string
	for i := range f.from {
		on = append(on, "p."+quote(f.to[i])+" = c."+quote(f.from[i]))
		set = append(set, "c."+quote(f.from[i])+" IS NOT NULL")
	}
	return fmt.Sprintf("%[1]s.%[2]s c LEFT JOIN %[1]s.%[3]s p ON %[4]s WHERE p.%[5]s IS NULL AND %[6]s", quote(f.schema), quote(f.child), quote(f.parent),
		strings.Join(on, " AND "), quote(f.to[0]), strings.Join(set, " AND "))
}

func (f reference) remove() string { return "DELETE c FROM " + f.orphans() + ";\n" }

package migration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Schema is the content of a database: its tables, by their names in lower case, with their definitions and rows, and the
// names of everything else in it.
type Schema struct {
	tables map[string]*table
	others []string // views, triggers, routines and events, such as "view v"
}

type table struct {
	Name   string
	ID     uint64 // InnoDB's id, which changes when the table is rebuilt; 0 if there is none
	Engine string

	columns    []*column
	keys       map[string]*key
	references map[string]*foreign
	checks     map[string]string // clauses of those that are enforced
	partitions []string

	rows []map[string]*string // by column, in hexadecimal; nil is NULL
}

type column struct {
	Table, Name        string
	Position           int
	Type               string  // such as varchar(200)
	Base               string  // such as varchar
	Null               string  // YES if it may be NULL
	Nullable           bool    `json:"-"`
	Default            *string // nil: none, or NULL
	Extra              string
	Expression         string // the expression of a computed column
	Characters, Bytes  int64
	Precision, Scale   int
	Fraction           int // digits of a second
	Charset, Collation string
	BytesEach          int64 // the most bytes that a character takes
	undefined          bool  // nullable, yet an INSERT must name it
}

// A key is an index.
type key struct {
	name    string
	unique  bool
	hidden  bool   // hidden from queries; a hidden unique key still refuses rows
	kind    string // BTREE, FULLTEXT, SPATIAL
	columns []part
}

type part struct {
	column string // in lower case; in parentheses, an expression instead of a column
	prefix int    // characters of it; 0 is all
}

type foreign struct {
	columns        []string
	to             string // the table and its columns
	delete, update string
}

// asker is a server that runs statements and returns their rows.
type asker interface {
	SQL(ctx context.Context, statements string) (rows [][]string, err error)
}

// Read reads the content of a database in a throw-away server.
func Read(ctx context.Context, server asker, name string) (Schema, error) {
	s := Schema{tables: map[string]*table{}}
	if err := s.read(ctx, server, name); err != nil {
		return s, fmt.Errorf("read the tables: %w", err)
	}
	return s, nil
}

// questions are queries of the information schema. Each row of an answer is a JSON object.
const questions = `
SELECT 'table', JSON_OBJECT('Name', t.table_name, 'ID', COALESCE(i.table_id, 0), 'Engine', t.engine)
  FROM information_schema.tables t LEFT JOIN information_schema.innodb_tables i ON i.name = CONCAT(t.table_schema, '/', t.table_name)
  WHERE t.table_schema = @s AND t.table_type = 'BASE TABLE';
SELECT 'column', JSON_OBJECT('Table', c.table_name, 'Name', c.column_name, 'Position', c.ordinal_position, 'Type', c.column_type,
    'Base', LOWER(c.data_type), 'Null', c.is_nullable, 'Default', c.column_default, 'Extra', c.extra,
    'Expression', c.generation_expression, 'Characters', COALESCE(c.character_maximum_length, 0), 'Bytes', COALESCE(c.character_octet_length, 0),
    'Precision', COALESCE(c.numeric_precision, 0), 'Scale', COALESCE(c.numeric_scale, 0), 'Fraction', COALESCE(c.datetime_precision, 0),
    'Charset', COALESCE(c.character_set_name, ''), 'Collation', COALESCE(c.collation_name, ''), 'BytesEach', COALESCE(x.maxlen, 0))
  FROM information_schema.columns c LEFT JOIN information_schema.character_sets x USING (character_set_name)
  WHERE c.table_schema = @s ORDER BY c.table_name, c.ordinal_position;
SELECT 'key', JSON_OBJECT('Table', table_name, 'Name', index_name, 'Unique', 1 - non_unique, 'Hidden', is_visible <> 'YES', 'Kind', index_type,
    'Column', COALESCE(column_name, CONCAT('(', expression, ')')), 'Prefix', COALESCE(sub_part, 0))
  FROM information_schema.statistics WHERE table_schema = @s ORDER BY table_name, index_name, seq_in_index;
SELECT 'reference', JSON_OBJECT('Table', k.table_name, 'Name', k.constraint_name, 'Column', k.column_name, 'ToTable', k.referenced_table_name,
    'ToColumn', k.referenced_column_name, 'Delete', r.delete_rule, 'Update', r.update_rule)
  FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
    ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
  WHERE k.table_schema = @s AND k.referenced_table_name IS NOT NULL ORDER BY k.table_name, k.constraint_name, k.ordinal_position;
SELECT 'check', JSON_OBJECT('Table', t.table_name, 'Name', t.constraint_name, 'Clause', c.check_clause)
  FROM information_schema.table_constraints t JOIN information_schema.check_constraints c USING (constraint_schema, constraint_name)
  WHERE t.table_schema = @s AND t.constraint_type = 'CHECK' AND t.enforced = 'YES';
SELECT 'partition', JSON_OBJECT('Table', table_name, 'Name', partition_name)
  FROM information_schema.partitions WHERE table_schema = @s AND partition_name IS NOT NULL;
SELECT 'other', JSON_OBJECT('Name', CONCAT('view ', table_name)) FROM information_schema.views WHERE table_schema = @s;
SELECT 'other', JSON_OBJECT('Name', CONCAT('trigger ', trigger_name)) FROM information_schema.triggers WHERE trigger_schema = @s;
SELECT 'other', JSON_OBJECT('Name', CONCAT(LOWER(routine_type), ' ', routine_name)) FROM information_schema.routines WHERE routine_schema = @s;
SELECT 'other', JSON_OBJECT('Name', CONCAT('event ', event_name)) FROM information_schema.events WHERE event_schema = @s;
`

// object holds a row of any answer other than those about tables and columns.
type object struct {
	Table, Name, Kind, Column, ToTable, ToColumn, Delete, Update, Clause string
	Unique, Prefix                                                       int
	Hidden                                                               bool
}

func (s *Schema) read(ctx context.Context, server asker, name string) error {
	rows, err := server.SQL(ctx, "SET @s = CONVERT("+text(name)+" USING utf8mb3);"+questions)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if len(row) != 2 {
			return fmt.Errorf("MySQL says %q", row)
		}
		said := []byte(strings.ReplaceAll(row[1], `\\`, `\`)) // the client doubles each backslash
		var o object
		switch row[0] {
		case "table":
			t := &table{keys: map[string]*key{}, references: map[string]*foreign{}, checks: map[string]string{}}
			if err := json.Unmarshal(said, t); err != nil {
				return err
			}
			s.tables[strings.ToLower(t.Name)] = t
			continue
		case "column":
			c := &column{}
			if err := json.Unmarshal(said, c); err != nil {
				return err
			}
			c.Nullable = c.Null == "YES"
			if t := s.tables[strings.ToLower(c.Table)]; t != nil { // nil for a view
				t.columns = append(t.columns, c)
			}
			continue
		}
		if err := json.Unmarshal(said, &o); err != nil {
			return err
		}
		t := s.tables[strings.ToLower(o.Table)]
		switch {
		case row[0] == "other":
			s.others = append(s.others, o.Name)
		case t == nil:
		case row[0] == "key":
			k := t.keys[o.Name]
			if k == nil {
				k = &key{name: o.Name, unique: o.Unique == 1, hidden: o.Hidden, kind: o.Kind}
				t.keys[o.Name] = k
			}
			k.columns = append(k.columns, part{strings.ToLower(o.Column), o.Prefix})
		case row[0] == "reference":
			f := t.references[o.Name]
			if f == nil {
				f = &foreign{to: o.ToTable, delete: o.Delete, update: o.Update}
				t.references[o.Name] = f
			}
			f.columns = append(f.columns, strings.ToLower(o.Column))
			f.to += " " + o.ToColumn
		case row[0] == "check":
			t.checks[o.Name] = o.Clause
		case row[0] == "partition":
			t.partitions = append(t.partitions, o.Name)
		}
	}
	return s.readRows(ctx, server, name)
}

// readRows reads the rows and the definition of each table. Only the definition shows whether a nullable column has a
// default.
func (s *Schema) readRows(ctx context.Context, server asker, name string) error {
	names := slices.Sorted(maps.Keys(s.tables))
	if len(names) == 0 {
		return nil
	}
	var ask strings.Builder
	for i, table := range names {
		t := s.tables[table]
		values := ""
		for _, c := range t.columns {
			value := "CONVERT(" + quote(c.Name) + " USING utf8mb4)"
			if inBytes[c.Base] {
				value = quote(c.Name)
			}
			values += ", HEX(" + value + ")"
		}
		fmt.Fprintf(&ask, "SHOW CREATE TABLE %s.%s;\nSELECT %d%s FROM %[1]s.%[2]s;\n", quote(name), quote(t.Name), i, values)
	}
	rows, err := server.SQL(ctx, ask.String())
	if err != nil {
		return err
	}
	for _, row := range rows {
		var i int
		if t := s.tables[strings.ToLower(row[0])]; t != nil && len(row) == 2 && strings.HasPrefix(row[1], "CREATE TABLE") {
			for line := range strings.SplitSeq(row[1], `\n`) {
				for _, c := range t.columns {
					if strings.HasPrefix(line, "  "+quote(c.Name)+" ") {
						c.undefined = c.Nullable && c.Expression == "" && hasDefault(c) && !strings.Contains(line, " DEFAULT ")
					}
				}
			}
			continue
		}
		if _, err := fmt.Sscan(row[0], &i); err != nil || i >= len(names) || len(row) != 1+len(s.tables[names[i]].columns) {
			return fmt.Errorf("MySQL says %q of a row", row)
		}
		t := s.tables[names[i]]
		values := map[string]*string{}
		for j, c := range t.columns {
			if value := row[1+j]; value != "NULL" {
				values[strings.ToLower(c.Name)] = &value
			}
		}
		t.rows = append(t.rows, values)
	}
	return nil
}

// inBytes lists the types whose values are read as bytes, since they are not text.
var inBytes = map[string]bool{
	"binary": true, "varbinary": true, "tinyblob": true, "blob": true, "mediumblob": true, "longblob": true, "bit": true, "vector": true,
	"geometry": true, "point": true, "linestring": true, "polygon": true, "multipoint": true, "multilinestring": true, "multipolygon": true, "geomcollection": true,
}

// hasDefault reports whether SHOW CREATE TABLE shows a nullable column's default. For the types below, it does not show a
// default of NULL.
func hasDefault(c *column) bool {
	switch c.Base {
	case "tinyblob", "blob", "mediumblob", "longblob", "tinytext", "text", "mediumtext", "longtext", "json", "geometry", "vector":
		return false
	}
	return true
}

func (t *table) column(name string) *column {
	i := slices.IndexFunc(t.columns, func(c *column) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return nil
	}
	return t.columns[i]
}

package migration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rebuilt returns the names of the tables that were rebuilt: all their rows were written again.
func Rebuilt(before, after Schema) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(before.tables)) {
		was, is := before.tables[name], after.tables[name]
		if is != nil && was.ID != 0 && is.ID != 0 && was.ID != is.ID {
			names = append(names, was.Name)
		}
	}
	return names
}

// Compare lists what the running release may use that no longer exists or no longer works.
func Compare(before, after Schema) (objections []string) {
	object := func(format string, args ...any) { objections = append(objections, fmt.Sprintf(format, args...)) }
	if len(before.tables) > 0 && len(after.tables) == 0 {
		object("drops all tables")
		return objections
	}
	for _, name := range slices.Sorted(maps.Keys(before.tables)) {
		was, is := before.tables[name], after.tables[name]
		if is == nil {
			object("%s", gone(was, before, after))
			continue
		}
		if was.Engine != is.Engine {
			object("moves the table %s from %s to %s", was.Name, was.Engine, is.Engine)
		}
		compareColumns(was, is, object)
		compareKeys(was, is, object)
		compareConstraints(was, is, object)
		compareRows(was, is, object)
	}
	for _, other := range before.others {
		if !slices.Contains(after.others, other) {
			object("drops the %s", other)
		}
	}
	return objections
}

// gone returns what became of a table that no longer exists. A renamed table keeps its id.
func gone(was *table, before, after Schema) string {
	for name, is := range after.tables {
		if _, old := before.tables[name]; !old && is.ID != 0 && is.ID == was.ID {
			return fmt.Sprintf("renames the table %s to %s", was.Name, is.Name)
		}
	}
	return "drops the table " + was.Name
}

func compareColumns(was, is *table, object func(string, ...any)) {
	for _, w := range was.columns {
		n := is.column(w.Name)
		if n == nil {
			// a renamed column keeps its place and its type
			if at := slices.IndexFunc(is.columns, func(c *column) bool { return c.Position == w.Position }); len(was.columns) == len(is.columns) && at >= 0 &&
				was.column(is.columns[at].Name) == nil {
				object("renames the column %s.%s to %s", was.Name, w.Name, is.columns[at].Name)
			} else {
				object("drops the column %s.%s", was.Name, w.Name)
			}
			continue
		}
		for _, why := range changed(w, n) {
			object("changes the column %s.%s from %s to %s: %s", was.Name, w.Name, w.Type, n.Type, why)
		}
	}
	for _, n := range is.columns {
		if was.column(n.Name) == nil && !n.optional() &&
			!(len(was.columns) == len(is.columns) && is.column(was.columns[n.Position-1].Name) == nil) { // renamed
			object("adds the column %s.%s, which must be filled in and has no default", is.Name, n.Name)
		}
	}
}

// optional reports whether an INSERT may leave a column out.
func (c *column) optional() bool {
	return !c.undefined && (c.Nullable || c.Default != nil || c.computed() ||
		strings.Contains(c.Extra, "auto_increment") || strings.Contains(c.Extra, "DEFAULT_GENERATED"))
}

func (c *column) computed() bool { return c.Expression != "" }

// changed lists what an existing column can no longer do.
func changed(was, is *column) (all []string) {
	object := func(is bool, what string) {
		if is {
			all = append(all, what)
		}
	}
	why := narrower(was, is)
	object(why != "", why)
	object(was.Nullable && !is.Nullable, "it may hold no NULL any more")
	switch {
	case was.optional() && !is.optional():
		all = append(all, "it drops the default, so it must be filled in")
	case was.Default != nil && (is.Default == nil || *was.Default != *is.Default) && !is.computed():
		all = append(all, fmt.Sprintf("it drops the default %q", *was.Default))
	}
	object(was.Expression != is.Expression && is.computed(), "it is computed otherwise, and cannot be written")
	object(was.computed() && !is.computed(), "it is computed no more")
	for _, promise := range []string{"auto_increment", "on update"} {
		object(strings.Contains(was.Extra, promise) && !strings.Contains(is.Extra, promise), "it drops "+promise)
	}
	object(!strings.Contains(was.Extra, "INVISIBLE") && strings.Contains(is.Extra, "INVISIBLE"), "SELECT * does not show it any more")
	return all
}

// narrower describes the values of a column that its new type cannot hold.
func narrower(was, is *column) string {
	misfit := "what it holds may not fit into " + is.Type
	if was.Charset != is.Charset && was.Charset != "" && is.Charset != "" &&
		is.Charset != "utf8mb4" && was.Charset != "ascii" {
		return fmt.Sprintf("what it holds may not fit into the character set %s, after %s", is.Charset, was.Charset)
	}
	if was.Type == is.Type {
		return ""
	}
	if was.Base == is.Base && (was.Base == "enum" || was.Base == "set") {
		if strings.HasPrefix(is.Type, strings.TrimSuffix(was.Type, ")")+",") {
			return ""
		}
		return misfit
	}
	switch a, b := kindOf(was), kindOf(is); {
	case a == integer && b == integer:
		return misfitUnless(covers(is, was), misfit, was, is)
	case (a == integer || a == decimal) && b == decimal:
		digits, fraction := was.Precision-was.Scale, was.Scale
		fits := is.Precision-is.Scale >= digits && is.Scale >= fraction && (!is.unsigned() || was.unsigned())
		return misfitUnless(fits, misfit, was, is)
	case a == floating && b == floating:
		fits := !(was.Base == "double" && is.Base == "float") && is.Scale >= was.Scale && (!is.unsigned() || was.unsigned()) && !strings.Contains(is.Type, "(")
		return misfitUnless(fits, misfit, was, is)
	case a == characters && b == characters:
		return misfitUnless(holdsText(was, is), misfit, was, is)
	case a == octets && b == octets:
		return misfitUnless(is.Bytes >= was.Bytes && is.Base != "binary", misfit, was, is)
	case a == moment && was.Base == is.Base:
		return misfitUnless(is.Fraction >= was.Fraction, misfit, was, is)
	case was.Base == "bit" && is.Base == "bit":
		return misfitUnless(is.Precision >= was.Precision, misfit, was, is)
	}
	return misfit
}

func misfitUnless(fits bool, misfit string, was, is *column) string {
	switch {
	case fits:
		return ""
	case was.unsigned() != is.unsigned() && kindOf(is) != characters:
		return "its sign changes, and " + misfit
	}
	return misfit
}

type kind int

const (
	another kind = iota
	integer
	decimal
	floating
	characters
	octets
	moment
)

func kindOf(c *column) kind {
	switch c.Base {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return integer
	case "decimal":
		return decimal
	case "float", "double":
		return floating
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return characters
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return octets
	case "datetime", "timestamp", "time":
		return moment
	}
	return another
}

func (c *column) unsigned() bool { return strings.Contains(c.Type, "unsigned") }

// covers reports whether one type of whole numbers can hold all values of another.
func covers(is, was *column) bool {
	bits := map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
	a, b := bits[was.Base], bits[is.Base]
	switch {
	case was.unsigned() == is.unsigned():
		return b >= a
	case was.unsigned():
		return b > a
	}
	return false
}

// holdsText reports whether every text of one type fits into the other. char and varchar are measured in characters, the
// others in bytes.
func holdsText(was, is *column) bool {
	sized := func(c *column) bool { return c.Base == "char" || c.Base == "varchar" }
	needs := was.Bytes // characters, of one byte each
	if sized(was) {
		needs = was.Characters
	}
	switch {
	case is.Base == "char" && was.Base != "char": // char drops trailing spaces
		return false
	case sized(is):
		return is.Characters >= needs
	case was.Charset == is.Charset:
		return is.Bytes >= was.Bytes
	}
	return is.Bytes >= needs*is.BytesEach
}

func compareKeys(was, is *table, object func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(was.keys)) {
		k := was.keys[name]
		if k.hidden && !k.unique || slices.ContainsFunc(slices.Collect(maps.Values(is.keys)), func(other *key) bool { return other.serves(k) }) {
			continue
		}
		if k.columnsGone(is) {
			continue // the loss was reported already
		}
		object("drops the %s of %s, by which the running release may search", k.title(), was.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(is.keys)) {
		k := is.keys[name]
		if !k.unique || slices.ContainsFunc(slices.Collect(maps.Values(was.keys)), func(other *key) bool { return other.implies(k, was, is) }) {
			continue
		}
		if name != "PRIMARY" && k.leftOut(was, is) {
			continue
		}
		object("makes %s of %s unique by the %s: the running release may write one twice", k.list(), is.Name, k.title())
	}
}

func (k *key) title() string {
	switch {
	case k.name == "PRIMARY":
		return "primary key"
	case k.kind == "FULLTEXT":
		return "full-text index " + k.name
	case k.unique:
		return "unique key " + k.name
	}
	return "key " + k.name
}

func (k *key) list() string {
	var names []string
	for _, p := range k.columns {
		names = append(names, p.column)
	}
	return strings.Join(names, ", ")
}

// serves reports whether a key does everything that another did: it is the same, or begins with the same columns.
func (k *key) serves(was *key) bool {
	if k.hidden || k.kind != was.kind || was.unique && (!k.unique || len(k.columns) != len(was.columns)) || len(k.columns) < len(was.columns) ||
		was.name == "PRIMARY" && k.name != "PRIMARY" || was.kind != "BTREE" && len(k.columns) != len(was.columns) {
		return false
	}
	for i, p := range was.columns {
		if now := k.columns[i]; now.column != p.column || now.prefix != 0 && (p.prefix == 0 || now.prefix < p.prefix) {
			return false
		}
	}
	return true
}

func (k *key) columnsGone(is *table) bool {
	return slices.ContainsFunc(k.columns, func(p part) bool { return !strings.HasPrefix(p.column, "(") && is.column(p.column) == nil })
}

// implies reports whether this previous unique key already refused every row that a new key refuses.
func (k *key) implies(now *key, was, is *table) bool {
	if !k.unique {
		return false
	}
	for _, p := range k.columns {
		same := slices.ContainsFunc(now.columns, func(n part) bool {
			return n.column == p.column && (n.prefix == 0 || p.prefix != 0 && n.prefix >= p.prefix)
		})
		if !same {
			return false
		}
		// texts that differed may be equal in another collation
		if w, n := was.column(p.column), is.column(p.column); w != nil && n != nil && w.Collation != n.Collation {
			return false
		}
	}
	return true
}

// leftOut reports whether the running release writes NULL into one of the key's columns because it does not know the column.
// NULLs never clash.
func (k *key) leftOut(was, is *table) bool {
	return slices.ContainsFunc(k.columns, func(p part) bool {
		c := is.column(p.column)
		return c != nil && was.column(p.column) == nil && c.Nullable && c.Default == nil && !c.computed()
	})
}

func compareConstraints(was, is *table, object func(string, ...any)) {
	known := func(columns []string) bool {
		return slices.ContainsFunc(columns, func(name string) bool { return was.column(name) != nil })
	}
	same := func(all map[string]*foreign, f *foreign) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(all)), func(other *foreign) bool {
			return slices.Equal(f.columns, other.columns) && strings.EqualFold(f.to, other.to) && f.delete == other.delete && f.update == other.update
		})
	}
	for _, name := range slices.Sorted(maps.Keys(was.references)) {
		if !same(is.references, was.references[name]) {
			object("drops the foreign key %s of %s, or what it does", name, was.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is.references)) {
		if f := is.references[name]; !same(was.references, f) && known(f.columns) {
			object("ties %s.%s to another table by the foreign key %s: the running release may write what is not there", is.Name, strings.Join(f.columns, ", "), name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was.checks)) {
		if !slices.Contains(slices.Collect(maps.Values(is.checks)), was.checks[name]) {
			object("drops the check %s of %s", name, was.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is.checks)) {
		clause := is.checks[name]
		if !slices.Contains(slices.Collect(maps.Values(was.checks)), clause) &&
			slices.ContainsFunc(was.columns, func(c *column) bool { return strings.Contains(clause, quote(c.Name)) }) {
			object("checks what is written into %s by %s: the running release may write something else", is.Name, name)
		}
	}
	for _, name := range was.partitions {
		if !slices.Contains(is.partitions, name) {
			object("drops the partition %s of %s", name, was.Name)
		}
	}
}

// compareRows looks for losses that cannot be undone: missing rows, and values that have lost something or can no longer be
// told apart.
func compareRows(was, is *table, object func(string, ...any)) {
	primary := was.keys["PRIMARY"]
	if primary == nil {
		if len(is.rows) < len(was.rows) {
			object("removes %d of %d rows of %s that were tried", len(was.rows)-len(is.rows), len(was.rows), was.Name)
		}
		return
	}
	identity := func(row map[string]*string) string {
		var all []string
		for _, p := range primary.columns {
			if value := row[p.column]; value != nil {
				all = append(all, *value)
			}
		}
		return strings.Join(all, " ")
	}
	now := map[string]map[string]*string{}
	for _, row := range is.rows {
		now[identity(row)] = row
	}
	lost := 0
	damaged := map[string]int{}
	from := map[string]map[string]string{} // by column and new value, the old value
	for _, row := range was.rows {
		after, found := now[identity(row)]
		if !found {
			lost++
			continue
		}
		for name, value := range row {
			if is.column(name) == nil {
				continue
			}
			v := after[name]
			if v == nil || len(*v) < len(*value) && strings.HasPrefix(*value, *v) {
				damaged[name]++
				continue
			}
			if from[name] == nil {
				from[name] = map[string]string{}
			}
			if another, met := from[name][*v]; met && another != *value {
				damaged[name]++
			}
			from[name][*v] = *value
		}
	}
	switch {
	case lost > 0 && lost == len(was.rows):
		object("empties the table %s", was.Name)
	case lost > 0:
		object("removes %d of %d rows of %s that were tried", lost, len(was.rows), was.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(damaged)) {
		object("overwrites what %s.%s holds, in at least %d of %d rows that were tried", was.Name, name, damaged[name], len(was.rows))
	}
}

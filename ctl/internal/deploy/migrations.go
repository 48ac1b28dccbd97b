package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ahead is what `app pending` prints: the migrations that a release brings, and the columns that there are before it.
type ahead struct {
	Migrations []struct{ File, SQL string }
	Columns    []column
}

type column struct {
	Table, Name, Type string
	Nullable          bool
}

// howToSplit is what to do about a migration that is refused.
const howToSplit = `The release that is running works on these tables until the new one has taken over, and "make rollback" goes back to it.
Split the change into releases that each live beside the one before:
  expand    add the new column or table, which the running release leaves alone (NULL or a default for what it does not fill in)
  migrate   a release that writes both, fills in what is missing, and then reads the new one only
  contract  once no running release and no previous one uses the old one, drop it; the file says so in a line of its own:
            -- contract: why nothing uses it any more`

// contract is the line by which the author of a migration vouches for it.
var contract = regexp.MustCompile(`(?mi)^\s*--\s*contract:\s*\S`)

// down is what of a migration is for the way back, which nothing here ever runs.
var down = regexp.MustCompile(`(?m)^\s*--\s*\+goose\s+Down\b[\s\S]*`)

// objections says what of the migrations takes away something that the running release may use: all that is there
// before them counts as used.
func (a ahead) objections() []string {
	var all []string
	for _, m := range a.Migrations {
		text := down.ReplaceAllString(m.SQL, "")
		if contract.MatchString(text) {
			continue
		}
		for _, statement := range statements(tokens(text)) {
			for _, what := range a.judge(statement) {
				all = append(all, m.File+" "+what)
			}
		}
	}
	return all
}

// A token is a word, a quoted name, a string or a single character of SQL.
type token struct {
	text   string
	quoted bool // a name in backticks, which is no keyword
	str    bool // a string
}

func (t token) is(words ...string) bool {
	return !t.quoted && !t.str && slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(t.text, w) })
}

var sqlToken = regexp.MustCompile("(?s)" + strings.Join([]string{
	`(--(?:[\s][^\n]*|$)|#[^\n]*|/\*[^!].*?\*/|/\*![0-9]*|\*/)`, // 1: a comment; what /*! hides from others MySQL runs
	"`((?:[^`]|``)*)`",       // 2: a name
	`'((?:[^'\\]|''|\\.)*)'`, // 3: a string
	`"((?:[^"\\]|""|\\.)*)"`, // 4: a string
	`([\p{L}\p{N}_$@.]+)`,    // 5: a word; a.b is one
	`(\S)`,                   // 6
}, "|"))

func tokens(sql string) []token {
	var list []token
	for _, m := range sqlToken.FindAllStringSubmatchIndex(sql, -1) {
		group := func(i int) (string, bool) {
			if m[2*i] < 0 {
				return "", false
			}
			return sql[m[2*i]:m[2*i+1]], true
		}
		if text, ok := group(2); ok {
			list = append(list, token{text: strings.ReplaceAll(text, "``", "`"), quoted: true})
		} else if text, ok := group(3); ok {
			list = append(list, token{text: strings.ReplaceAll(text, "''", "'"), str: true})
		} else if text, ok := group(4); ok {
			list = append(list, token{text: strings.ReplaceAll(text, `""`, `"`), str: true})
		} else if text, ok := group(5); ok {
			list = append(list, token{text: text})
		} else if text, ok := group(6); ok {
			list = append(list, token{text: text})
		}
	}
	return list
}

// statements cuts at semicolons. A string that is put into a variable, or prepared, can be a statement too.
func statements(list []token) [][]token {
	var all [][]token
	var one []token
	for _, t := range list {
		if t.str && len(one) > 0 && one[0].is("SET", "SELECT", "PREPARE") {
			if inner := tokens(t.text); len(inner) > 1 && inner[0].is("ALTER", "DROP", "RENAME", "TRUNCATE") {
				all = append(all, statements(inner)...)
			}
		}
		if t.is(";") {
			all = append(all, one)
			one = nil
			continue
		}
		one = append(one, t)
	}
	return append(all, one)
}

// judge says what of one statement takes something away.
func (a ahead) judge(s []token) []string {
	word := func(i int, words ...string) bool { return i < len(s) && s[i].is(words...) }
	switch {
	case word(0, "DROP") && word(1, "TABLE", "TEMPORARY"), word(0, "TRUNCATE"), word(0, "RENAME") && word(1, "TABLE", "TABLES"):
		verb := map[string]string{"DROP": "drops", "TRUNCATE": "empties", "RENAME": "renames"}[strings.ToUpper(s[0].text)]
		if word(1, "TEMPORARY") {
			return nil
		}
		var found []string
		for _, t := range s[1:] {
			if table := bare(t.text); !t.str && a.hasTable(table) {
				found = append(found, fmt.Sprintf("%s the table %s", verb, table))
			}
		}
		return found
	case word(0, "DROP") && word(1, "DATABASE", "SCHEMA"):
		return []string{"drops the database"}
	case word(0, "ALTER") && word(1, "TABLE") && len(s) > 3:
		return a.judgeAlter(s[2:])
	}
	return nil
}

// bare is a name without that of its database.
func bare(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func (a ahead) judgeAlter(s []token) []string {
	// `foobar`.`posts` comes in three pieces.
	table := bare(s[0].text)
	for s = s[1:]; len(s) > 1 && (s[0].is(".") || !s[0].quoted && strings.HasPrefix(s[0].text, ".")); s = s[1:] {
		if table = bare(s[0].text); table == "" {
			s = s[1:]
			table = s[0].text
		}
	}
	if !a.hasTable(table) {
		return nil // of these migrations' own making
	}
	var found []string
	for _, clause := range clauses(s) {
		if what := a.judgeClause(table, clause); what != "" {
			found = append(found, what)
		}
	}
	return found
}

// clauses cuts at the commas that are in no parentheses.
func clauses(s []token) [][]token {
	var all [][]token
	depth, from := 0, 0
	for i, t := range s {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is(",") && depth == 0:
			all = append(all, s[from:i])
			from = i + 1
		}
	}
	return append(all, s[from:])
}

func (a ahead) judgeClause(table string, s []token) string {
	word := func(i int, words ...string) bool { return i < len(s) && s[i].is(words...) }
	// optional takes words away that change nothing.
	optional := func(words ...string) {
		for word(1, words...) {
			s = append(s[:1:1], s[2:]...)
		}
	}
	switch {
	case word(0, "DROP"):
		if word(1, "INDEX", "KEY", "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK", "PARTITION") {
			return ""
		}
		optional("COLUMN")
		if len(s) > 1 && a.column(table, s[1].text) != nil {
			return fmt.Sprintf("drops the column %s.%s", table, s[1].text)
		}
	case word(0, "RENAME"):
		switch {
		case word(1, "INDEX", "KEY"):
		case word(1, "COLUMN") && len(s) > 2:
			if a.column(table, s[2].text) != nil {
				return fmt.Sprintf("renames the column %s.%s", table, s[2].text)
			}
		default:
			return fmt.Sprintf("renames the table %s", table)
		}
	case word(0, "CHANGE"), word(0, "MODIFY"):
		change := word(0, "CHANGE")
		optional("COLUMN")
		if len(s) < 3 {
			return ""
		}
		was := a.column(table, s[1].text)
		if was == nil {
			return ""
		}
		if change {
			if !strings.EqualFold(s[1].text, s[2].text) {
				return fmt.Sprintf("renames the column %s.%s", table, was.Name)
			}
			s = s[1:]
		}
		if why := was.narrowed(s[2:]); why != "" {
			return fmt.Sprintf("changes the column %s.%s from %s: %s", table, was.Name, was.Type, why)
		}
	case word(0, "ALTER"):
		optional("COLUMN")
		if word(2, "DROP") && word(3, "DEFAULT") && a.column(table, s[1].text) != nil {
			return fmt.Sprintf("drops the default of the column %s.%s", table, s[1].text)
		}
	case word(0, "ADD"):
		if word(1, "INDEX", "KEY", "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK", "PARTITION", "UNIQUE", "FULLTEXT", "SPATIAL") {
			return ""
		}
		optional("COLUMN")
		columns := [][]token{s[1:]}
		if word(1, "(") && s[len(s)-1].is(")") {
			columns = clauses(s[2 : len(s)-1])
		}
		for _, c := range columns {
			if len(c) > 1 && mustBeFilledIn(c) && a.column(table, c[0].text) == nil {
				return fmt.Sprintf("adds the column %s.%s, which must be filled in and has no default", table, c[0].text)
			}
		}
	}
	return ""
}

// mustBeFilledIn says whether an INSERT that does not know the column fails.
func mustBeFilledIn(definition []token) bool {
	notNull := false
	for i, t := range definition {
		if t.is("DEFAULT", "AUTO_INCREMENT", "GENERATED", "AS") {
			return false
		}
		if t.is("NOT") && i+1 < len(definition) && definition[i+1].is("NULL") {
			notNull = true
		}
	}
	return notNull
}

// grows has the types of which each holds what those before it in its line hold.
var grows = [][]string{
	{"tinyint", "smallint", "mediumint", "int", "bigint"},
	{"char", "varchar", "tinytext", "text", "mediumtext", "longtext"},
	{"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"},
	{"float", "double"},
}

var typeParts = regexp.MustCompile(`(?i)^([a-z]+)(?:\s*\(\s*([0-9]+)\s*\))?(.*)$`)

// narrowed says what the column no longer holds once it is defined so; nothing where it holds all that it did.
func (c column) narrowed(definition []token) string {
	if len(definition) == 0 {
		return ""
	}
	now := definition[0].text
	rest := definition[1:]
	if len(rest) > 2 && rest[0].is("(") {
		for i, t := range rest {
			now += t.text
			if t.is(")") {
				rest = rest[i+1:]
				break
			}
		}
	}
	notNull, unsigned := false, false
	for i, t := range rest {
		notNull = notNull || t.is("NOT") && i+1 < len(rest) && rest[i+1].is("NULL")
		unsigned = unsigned || t.is("UNSIGNED")
	}
	if c.Nullable && notNull {
		return "it may hold no NULL any more"
	}
	if unsigned != strings.Contains(strings.ToLower(c.Type), "unsigned") {
		return "its sign changes"
	}
	if holds(c.Type, now) {
		return ""
	}
	return "what it holds may not fit into " + strings.ToLower(now)
}

// holds says whether a column of the type now holds every value of the type was.
func holds(was, now string) bool {
	a, b := typeParts.FindStringSubmatch(was), typeParts.FindStringSubmatch(now)
	if a == nil || b == nil {
		return false
	}
	nameA, nameB := strings.ToLower(a[1]), strings.ToLower(b[1])
	if nameB == "integer" {
		nameB = "int"
	}
	sizeA, _ := strconv.Atoi(a[2])
	sizeB, _ := strconv.Atoi(b[2])
	isInteger := slices.Contains(grows[0], nameA)
	if nameA == nameB {
		plain := func(rest string) string { // unsigned is judged by whoever calls
			return strings.TrimSpace(strings.ReplaceAll(strings.ToLower(rest), "unsigned", ""))
		}
		return (isInteger || sizeA <= sizeB) && plain(a[3]) == plain(b[3])
	}
	for _, line := range grows {
		i, j := slices.Index(line, nameA), slices.Index(line, nameB)
		if i >= 0 && j > i {
			// a text is measured in bytes, a char in characters of up to four
			limits := map[string]int{"tinytext": 63, "text": 16383, "tinyblob": 255, "blob": 65535}
			limit, bounded := limits[nameB]
			if sized := nameB == "varchar" || nameB == "varbinary"; sized {
				return sizeA <= sizeB
			}
			return !bounded || sizeA <= limit
		}
	}
	return false
}

func (a ahead) hasTable(name string) bool {
	return slices.ContainsFunc(a.Columns, func(c column) bool { return strings.EqualFold(c.Table, name) })
}

func (a ahead) column(table, name string) *column {
	i := slices.IndexFunc(a.Columns, func(c column) bool { return strings.EqualFold(c.Table, table) && strings.EqualFold(c.Name, name) })
	if i < 0 {
		return nil
	}
	return &a.Columns[i]
}

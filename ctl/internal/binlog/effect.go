package binlog

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Effect says how a transaction affects the site's schema.
type Effect int

const (
	// None means that the transaction changes nothing in the site's schema, only accounts or other schemas.
	None Effect = iota
	// Changes means that the transaction changes the site's schema. A filter keeps out its changes to the rows of other
	// schemas.
	Changes
	// Moves means that one statement changes both the site's schema and another one: a restore has swapped tables.
	Moves
	// Unclear means that the effect is unknown, or that a statement changes other schemas too and cannot be carried out for
	// the site's alone.
	Unclear
)

// effects collects what the events of one transaction touch.
type effects struct {
	site, moves, byStatement bool
	why                      string
}

func (e *effects) unclear(why string) {
	if e.why == "" {
		e.why = why
	}
}

func (e *effects) sum() (Effect, string) {
	switch {
	case e.why != "":
		return Unclear, e.why
	case e.moves:
		return Moves, ""
	case e.site:
		return Changes, ""
	}
	return None, ""
}

func (e *effects) rows(schema, site string) { e.site = e.site || schema == site }

// table matches a table's name in a statement, in its plainest forms. It captures the schema, if one is given.
const table = "(?:(?:`([^`]+)`|([\\w$]+))\\s*\\.\\s*)?(?:`[^`]+`|[\\w$]+)"

var (
	// This matches everything before a statement's first word, such as whole comments. Of a comment with a version, it
	// matches only the marks, since MySQL executes the content.
	before = regexp.MustCompile(`(?s)^(?:\s+|/\*!\d*|/\*[^!].*?\*/|/\*\*/|--[ \t][^\n]*(?:\n|$)|--\n|#[^\n]*(?:\n|$))+`)
	// These change neither the rows nor the definition of any table.
	apart = regexp.MustCompile(`(?i)^(grant|revoke|flush|analyze|optimize|repair|set|(install|uninstall)|` +
		`(create|alter|drop|rename)\s+(or\s+replace\s+)?(user|role|server|tablespace|undo|logfile|resource|spatial\s+reference|instance)|do)\b`)
	// Each of these is part of a transaction whose other events show what it touches, or of a prepared transaction.
	bracket = regexp.MustCompile(`(?i)^(begin|commit|rollback|savepoint|release\s+savepoint|start\s+transaction|xa)\b`)
	// The log does not record whose tables these statements change. It follows from their text and the session's schema. The
	// first pattern is the form in which the server logs CREATE TABLE ... SELECT.
	telling = []*regexp.Regexp{
		regexp.MustCompile(`^CREATE TABLE ` + table + ` \((?s:.*) START TRANSACTION$`),
		regexp.MustCompile(`(?i)^create\s+table\s+(?:if\s+not\s+exists\s+)?` + table + `\s*\(?\s*like\s+` + table + `\s*\)?$`),
		regexp.MustCompile(`(?i)^truncate\s+(?:table\s+)?` + table + `$`),
		regexp.MustCompile(`(?i)^alter\s+table\s+` + table + `\s+(?:truncate|analyze|check|optimize|rebuild|repair)\s+partition\s[^.]*$`),
	}
	renaming = regexp.MustCompile(`(?i)^(rename|alter)\s+table\b`)
)

// statement adds the effects of a statement. The log usually says which schemas it changes. If the log does not, only
// statements of known kinds are accepted.
func (e *effects) statement(q query, site string) {
	text := before.ReplaceAllString(q.text, "")
	if len(q.schemas) == 0 && !q.many {
		for _, one := range telling {
			for i, found := 1, one.FindStringSubmatch(strings.TrimSpace(text)); i < len(found); i += 2 {
				q.schemas = append(q.schemas, cmp.Or(found[i], found[i+1], q.schema))
			}
		}
	}
	shown := text
	if len(shown) > 200 {
		shown = shown[:200] + " ..."
	}
	here, elsewhere := slices.Contains(q.schemas, site), slices.ContainsFunc(q.schemas, func(s string) bool { return s != site })
	switch {
	case bracket.MatchString(text):
		if strings.EqualFold(text[:2], "xa") {
			e.site = true // harmless if it is not the site's: the filter keeps its rows out
		}
	case apart.MatchString(text):
	case q.many:
		e.unclear("a statement that changes many schemas: " + shown)
	case here && elsewhere && renaming.MatchString(text):
		e.moves = true
	case here && elsewhere:
		e.unclear(fmt.Sprintf("a statement that changes %s and, with it, %s: %s", site, strings.Join(slices.DeleteFunc(slices.Clone(q.schemas), func(s string) bool { return s == site }), ", "), shown))
	case here:
		e.site, e.byStatement = true, true
	case elsewhere:
	default:
		e.unclear("a statement that does not say what it changes: " + shown)
	}
}

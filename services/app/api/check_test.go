package api

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"oneserver/app"
)

func TestQueriesAreCheckedByName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		query string
		wrong string // the fields that are refused, in order
	}{
		{"", ""},
		{"limit=1", ""},
		{"limit=100&before=18446744073709551615", ""},
		{"limit=0", "limit"},
		{"limit=101", "limit"},
		{"limit=-1", "limit"},
		{"limit=", "limit"},
		{"limit=ten", "limit"},
		{"limit=1e2", "limit"},
		{"limit=010", "limit"},
		{"limit=+10", "limit"},
		{"limit=%2B10", "limit"},
		{"limit=99999999999999999999999", "limit"},
		{"limit=5&limit=6", "limit"},
		{"before=0", "before"},
		{"before=-3", "before"},
		{"before=18446744073709551616", "before"},
		{"before=1%00", "before"},
		{"before=%D9%A3", "before"}, // a digit, but not in ASCII
		{"limit=0&before=x", "before limit"},
		{"befor=3&page=2", "befor page"},
		{"LIMIT=5", "LIMIT"},
		{"limit=%zz", "?"},
		{"limit=5;before=3", "?"},
	} {
		t.Run(test.query, func(t *testing.T) {
			t.Parallel()
			err := checkQuery(test.query, pageParameters)
			if wrong := fieldsOf(err); wrong != test.wrong {
				t.Errorf("refused %q (%v), want %q", wrong, err, test.wrong)
			}
		})
	}
}

// fieldsOf lists the fields of err, or "?" if it names none.
func fieldsOf(err error) string {
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*app.Error](err)
	if !ok || e.Code != app.Invalid {
		return fmt.Sprintf("not an Invalid: %v", err)
	}
	if len(e.Fields) == 0 {
		return "?"
	}
	var names []string
	for _, f := range e.Fields {
		names = append(names, f.Field)
	}
	return strings.Join(names, " ")
}

func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	var query strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&query, "x%d=1&", i)
	}
	err := checkQuery(query.String(), pageParameters)
	if e, ok := errors.AsType[*app.Error](err); !ok || len(e.Fields) != maxFieldErrors {
		t.Errorf("1000 unknown parameters give %v, want %d fields", err, maxFieldErrors)
	}
}

var one, hundred = 1.0, 100.0

// pageParameters are the query parameters of a list of posts, as in the table of operations.
var pageParameters = []*huma.Param{
	{Name: "limit", In: "query", Schema: &huma.Schema{Type: "integer", Minimum: &one, Maximum: &hundred}},
	{Name: "before", In: "query", Schema: &huma.Schema{Type: "integer", Minimum: &one}},
}

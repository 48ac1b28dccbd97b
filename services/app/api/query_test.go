package api

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"oneserver/app"
)

func TestDecodePage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		query string
		want  app.Page
		wrong string // the fields that are refused, in order
	}{
		{"", app.Page{Size: 20}, ""},
		{"limit=1", app.Page{Size: 1}, ""},
		{"limit=100&before=18446744073709551615", app.Page{Size: 100, Before: 18446744073709551615}, ""},
		{"limit=0", app.Page{}, "limit"},
		{"limit=101", app.Page{}, "limit"},
		{"limit=-1", app.Page{}, "limit"},
		{"limit=", app.Page{}, "limit"},
		{"limit=ten", app.Page{}, "limit"},
		{"limit=1e2", app.Page{}, "limit"},
		{"limit=010", app.Page{}, "limit"},
		{"limit=+10", app.Page{}, "limit"},
		{"limit=%2B10", app.Page{}, "limit"},
		{"limit=99999999999999999999999", app.Page{}, "limit"},
		{"limit=5&limit=6", app.Page{}, "limit"},
		{"before=0", app.Page{}, "before"},
		{"before=-3", app.Page{}, "before"},
		{"before=18446744073709551616", app.Page{}, "before"},
		{"before=1%00", app.Page{}, "before"},
		{"before=%D9%A3", app.Page{}, "before"}, // a digit, but not one of ours
		{"limit=0&before=x", app.Page{}, "limit before"},
		{"befor=3&page=2", app.Page{}, "befor page"},
		{"LIMIT=5", app.Page{}, "LIMIT"},
		{"limit=%zz", app.Page{}, "?"},
		{"limit=5;before=3", app.Page{}, "?"},
	} {
		t.Run(test.query, func(t *testing.T) {
			t.Parallel()
			got, err := decodePage(test.query)
			if wrong := refused(err); wrong != test.wrong {
				t.Errorf("refused %q (%v), want %q", wrong, err, test.wrong)
			}
			if err == nil && got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// refused lists the fields of err, "?" if it names none.
func refused(err error) string {
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
	_, err := decodePage(query.String())
	if e, ok := errors.AsType[*app.Error](err); !ok || len(e.Fields) != maxFieldErrors {
		t.Errorf("1000 unknown parameters give %v, want %d fields", err, maxFieldErrors)
	}
}

// Whatever the query, the decoder gives a page within the rules or an error that is the caller's.
func FuzzDecodePage(f *testing.F) {
	for _, seed := range []string{
		"", "limit=20&before=3", "limit=0", "limit=-1", "limit=5&limit=6", "before=18446744073709551616",
		"limit=%zz", "a=1;b=2", "=", "&&&", "limit=%00", "limit=\xff", "before=٣",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		page, err := decodePage(query)
		if err != nil {
			if e, ok := errors.AsType[*app.Error](err); !ok || e.Code != app.Invalid {
				t.Fatalf("%q: %v is not the caller's error", query, err)
			}
			return
		}
		if page.Size < 1 || page.Size > app.MaxPageSize {
			t.Fatalf("%q: page of %d", query, page.Size)
		}
	})
}

package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"oneserver/app"
)

// An input is the body that an operation takes, by its name in the document.
type input struct {
	name   string
	fields fields
}

// fields are the members of a body. All are texts, and none may be missing.
type fields []field

// A field is a text in a body. This is the only place that says what it may be, both for checking it and for the
// document.
type field struct {
	name        string
	into        *string             // where it goes
	least, most int                 // characters (Unicode code points), as received
	tidy        func(string) string // puts it into its normal form; nil if it has only one
	check       func(string) string // what is wrong with that, or nothing
	doc         string
	example     string
}

// read checks and keeps the members that were given.
func (f fields) read(given map[string]jsontext.Value) error {
	var wrong []app.FieldError
	for _, field := range f {
		value, is := given[field.name]
		delete(given, field.name)
		detail := "is missing"
		if is {
			detail = field.read(value)
		}
		if detail != "" {
			wrong = append(wrong, app.FieldError{Field: field.name, Detail: detail})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		wrong = append(wrong, app.FieldError{Field: cut(name), Detail: "is not a member here"})
	}
	return refused(http.StatusUnprocessableEntity, wrong...)
}

// read keeps a value, or returns what is wrong with it.
func (f field) read(value jsontext.Value) string {
	if value.Kind() != '"' {
		return "must be text"
	}
	unquoted, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "must be text"
	}
	text := string(unquoted)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return empty
	case n < f.least:
		return fmt.Sprintf("must have at least %d characters", f.least)
	case n > f.most: // before anything looks at the characters, however many there are
		return fmt.Sprintf(tooLong, f.most)
	}
	if f.tidy != nil {
		text = f.tidy(text)
	}
	if detail := f.check(text); detail != "" {
		return detail
	}
	*f.into = text
	return ""
}

// schema describes a body of these fields.
func (f fields) schema() *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
	for _, field := range f {
		member := &huma.Schema{Type: huma.TypeString, MinLength: &field.least, MaxLength: &field.most, Description: field.doc}
		if field.example != "" {
			member.Examples = []any{field.example}
		}
		schema.Properties[field.name] = member
		schema.Required = append(schema.Required, field.name)
	}
	return schema
}

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

// An input is the body that an operation takes, as the document names it.
type input struct {
	name   string
	fields fields
}

// fields are the members of a body. All of them are texts, and none may be missing.
type fields []field

// A field is a text in a body: the one place that says what it may be, for the check of it and for the document.
type field struct {
	name        string
	into        *string             // where it goes
	least, most int                 // characters (Unicode code points), as it comes
	tidy        func(string) string // its one spelling; nil where it has only one
	check       func(string) string // what is wrong with that, nothing if it is right
	doc         string
	example     string
}

// read checks the members that were given and keeps them.
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
	case n > f.most: // before anything looks at the characters of a text of any length
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

// schema describes a body of these.
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

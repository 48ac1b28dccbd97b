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

// An input is the body that an operation takes, with its name in the OpenAPI document.
type input struct {
	name   string
	fields fields
}

// fields are the members of a body. All are strings, and all are required.
type fields []field

// A field is a string in a body. Both the checks and the OpenAPI document follow from this one definition.
type field struct {
	name        string
	into        *string             // where the value is stored
	least, most int                 // characters (Unicode code points), as received
	tidy        func(string) string // normalises the value; nil if it needs none
	check       func(string) string // returns what is wrong with the normalised value, or ""
	doc         string
	example     string
}

// read checks and stores the given members.
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

// read stores a value, or returns what is wrong with it.
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
	case n > f.most: // before each character is examined, since there may be many
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

// schema returns the JSON schema of a body with these fields.
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

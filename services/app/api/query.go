package api

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"oneserver/app"
)

// decodePage reads the parameters of a list. It is strict: what it does not know, what comes twice and what is not a
// plain number in range is refused by name. A misspelt "before" that were ignored would show page one for ever.
func decodePage(rawQuery string) (app.Page, error) {
	page := app.Page{Size: app.DefaultPageSize}
	values, errs, err := decodeQuery(rawQuery, "limit", "before")
	if err != nil {
		return page, err
	}
	if text, given := values["limit"]; given {
		size, valid := parsePositive(text)
		if !valid || size > app.MaxPageSize {
			errs = append(errs, app.FieldError{Field: "limit", Detail: fmt.Sprintf("must be a whole number from 1 to %d", app.MaxPageSize)})
		} else {
			page.Size = int(size)
		}
	}
	if text, given := values["before"]; given {
		before, valid := parsePositive(text)
		if !valid {
			errs = append(errs, app.FieldError{Field: "before", Detail: "must be the id of a post: a whole number from 1"})
		}
		page.Before = before
	}
	return page, invalid(errs)
}

// decodeQuery returns the values of the known parameters that are present once, and what is wrong with the others.
func decodeQuery(rawQuery string, known ...string) (map[string]string, []app.FieldError, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, nil, &app.Error{Code: app.Invalid, Message: "The query of this address is not well-formed.", Err: err}
	}
	values := make(map[string]string, len(known))
	var errs []app.FieldError
	for name, given := range query {
		switch {
		case !slices.Contains(known, name):
			errs = append(errs, app.FieldError{Field: name, Detail: "is not a parameter here"})
		case len(given) > 1:
			errs = append(errs, app.FieldError{Field: name, Detail: "is given more than once"})
		default:
			values[name] = given[0]
		}
	}
	slices.SortFunc(errs, func(a, b app.FieldError) int { return cmp.Compare(a.Field, b.Field) }) // a map has no order
	return values, errs, nil
}

// parsePositive reads a number from 1 to 2^64-1 in its one spelling: digits without sign, space or leading zero.
func parsePositive(text string) (id uint64, valid bool) {
	id, err := strconv.ParseUint(text, 10, 64)
	return id, err == nil && id > 0 && strconv.FormatUint(id, 10) == text
}

// maxFieldErrors bounds an answer: a query can hold thousands of parameters.
const maxFieldErrors = 10

func invalid(errs []app.FieldError) error {
	if len(errs) == 0 {
		return nil
	}
	return &app.Error{
		Code:    app.Invalid,
		Message: "Some parameters are not right.",
		Fields:  errs[:min(len(errs), maxFieldErrors)],
	}
}

package api

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"oneserver/app"
)

// check validates the address and the headers of every request. It refuses a parameter that is unknown, repeated or
// invalid, and names it. If a misspelt "before" were ignored, a client would get page one again and again.
func (c *call) check() error {
	request := c.gin.Request
	var query []*huma.Param
	takesKey := false
	for _, p := range c.op.Parameters {
		switch p.In {
		case "path":
			if _, valid := parsePositive(c.gin.Param(p.Name)); !valid && p.Schema.Type == huma.TypeInteger {
				return &app.Error{Code: app.NotFound, Message: "There is no such post."}
			}
		case "query":
			query = append(query, p)
		case "header":
			takesKey = true
		}
	}
	if err := checkQuery(request.URL.RawQuery, query); err != nil {
		return err
	}
	if c.op.Security != nil && c.token == (app.Digest{}) {
		return signedOut()
	}
	if !takesKey {
		return nil
	}
	key, err := parseKey(request.Header.Values(idempotencyKey))
	c.key = key
	return err
}

// checkQuery returns an error that names what is wrong with a query, or nil. known lists the parameters that the query
// may contain.
func checkQuery(rawQuery string, known []*huma.Param) error {
	if rawQuery == "" {
		return missing(nil, known)
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return &app.Error{Code: app.Invalid, Message: "The query of this address is not well-formed.", Err: err}
	}
	var wrong []app.FieldError
	for name, given := range query {
		i := slices.IndexFunc(known, func(p *huma.Param) bool { return p.Name == name })
		switch {
		case i < 0:
			wrong = append(wrong, app.FieldError{Field: cut(name), Detail: "is not a parameter here"})
		case len(given) > 1:
			wrong = append(wrong, app.FieldError{Field: cut(name), Detail: "is given more than once"})
		default:
			if detail := checkValue(given[0], known[i].Schema); detail != "" {
				wrong = append(wrong, app.FieldError{Field: name, Detail: detail})
			}
		}
	}
	slices.SortFunc(wrong, func(a, b app.FieldError) int { return cmp.Compare(a.Field, b.Field) }) // maps are unordered
	if err := refused(http.StatusBadRequest, wrong...); err != nil {
		return err
	}
	return missing(query, known)
}

func missing(query url.Values, known []*huma.Param) error {
	for _, p := range known {
		if p.Required && !query.Has(p.Name) {
			return refused(http.StatusBadRequest, app.FieldError{Field: p.Name, Detail: "is missing"})
		}
	}
	return nil
}

// checkValue returns what is wrong with the value of a parameter, or "" if it is valid.
func checkValue(text string, schema *huma.Schema) string {
	if schema.Type == huma.TypeInteger {
		n, valid := parsePositive(text)
		switch {
		case schema.Maximum != nil && (!valid || float64(n) > *schema.Maximum):
			return fmt.Sprintf("must be a whole number from 1 to %.0f", *schema.Maximum)
		case !valid:
			return "must be the id of a post: a whole number from 1"
		}
		return ""
	}
	if schema.MaxLength != nil && utf8.RuneCountInString(text) > *schema.MaxLength {
		return fmt.Sprintf("may have at most %d characters", *schema.MaxLength)
	}
	return checkLine(text)
}

// parsePositive reads a number from 1 to 2^64-1 in the only spelling allowed: digits without sign, space or leading
// zero.
func parsePositive(text string) (id uint64, valid bool) {
	id, err := strconv.ParseUint(text, 10, 64)
	return id, err == nil && text[0] != '0' && text[0] != '+'
}

// readBody returns the members of the body, if it is a single JSON object in UTF-8 with no repeated members.
func readBody(r *http.Request) (map[string]jsontext.Value, error) {
	if err := checkMediaType(r.Header); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &app.Error{
			Code: app.Invalid, Message: fmt.Sprintf("The body is larger than %d kB.", tooLarge.Limit>>10),
			Err: httpStatus(http.StatusRequestEntityTooLarge),
		}
	}
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() {
		return nil, &app.Error{Code: app.Invalid, Message: "The body did not come in time.", Err: httpStatus(http.StatusRequestTimeout)}
	}
	if err != nil {
		return nil, &app.Error{Code: app.Invalid, Message: "The body broke off.", Err: err}
	}
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	return members(body)
}

// members returns the members of a body that checkJSON has accepted.
func members(body []byte) (map[string]jsontext.Value, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	if decoder.PeekKind() != '{' {
		return nil, &app.Error{Code: app.Invalid, Message: "The body must be a JSON object.", Err: httpStatus(http.StatusUnprocessableEntity)}
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("read a body that is well-formed: %w", err)
	}
	given := map[string]jsontext.Value{}
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read a body that is well-formed: %w", err)
		}
		member := name.String() // now, because its bytes are valid only until the next call
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("read a body that is well-formed: %w", err)
		}
		given[member] = value.Clone()
	}
	return given, nil
}

func checkMediaType(header http.Header) error {
	unsupported := func(message string) error {
		return &app.Error{Code: app.Invalid, Message: message, Err: httpStatus(http.StatusUnsupportedMediaType)}
	}
	if header["Content-Encoding"] != nil {
		return unsupported("The body must not be compressed: send it without Content-Encoding.")
	}
	given := header.Values("Content-Type")
	if len(given) == 1 {
		kind, parameters, err := mime.ParseMediaType(given[0])
		charset, has := parameters["charset"]
		if err == nil && kind == "application/json" && (!has || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return unsupported("The body must be JSON in UTF-8: send it with Content-Type: application/json.")
}

func checkJSON(body []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	_, err := decoder.ReadValue()
	if err == nil {
		if _, err = decoder.ReadToken(); err == io.EOF {
			return nil
		}
	}
	bad := &app.Error{Code: app.Invalid, Message: "The body is not one well-formed JSON object.", Err: err}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok && syntax.JSONPointer != "" {
		detail := "is not well-formed JSON in UTF-8"
		if errors.Is(err, jsontext.ErrDuplicateName) {
			detail = "is given more than once"
		}
		bad.Fields = []app.FieldError{{Field: cut(syntax.JSONPointer.LastToken()), Detail: detail}}
	}
	return bad
}

// maxFieldName limits how many bytes of a field's name are sent back.
const maxFieldName = 64

func cut(name string) string {
	if len(name) <= maxFieldName {
		return name
	}
	return strings.ToValidUTF8(name[:maxFieldName], "") + "…"
}

package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"oneserver/app"
)

// An operation is a row of the table in operations.go: its entry in the OpenAPI document, the body that it takes, and
// the handler that answers. huma generates the document; requests do not pass through huma.
type operation struct {
	huma.Operation // Errors names only the statuses that do not follow from what the operation takes
	takes          *input
	answers        any // a value of the answer's type; nil for an answer without a body
	handle         func(*call) (any, error)
}

// A call is one request to an operation. Its address and headers have been checked.
type call struct {
	*visit
	gin *gin.Context
	op  *operation
	key string // the Idempotency-Key, if the operation takes one
}

// Context returns the request's context, which ends with the request.
func (c *call) Context() context.Context { return c.gin.Request.Context() }

// read reads the body, and stores each member, normalised, in the variable that fields gives for it. If the body is
// invalid, the error says what is wrong with each member.
func (c *call) read(fields fields) error {
	given, err := readBody(c.gin.Request)
	if err != nil {
		return err
	}
	return fields.read(given)
}

// id returns the id of a post from the address.
func (c *call) id() uint64 {
	id, _ := parsePositive(c.gin.Param("id"))
	return id
}

// page returns the page that a query asks for.
func (c *call) page() app.Page {
	query := c.gin.Request.URL.Query()
	page := app.Page{Size: app.DefaultPageSize}
	if limit, given := parsePositive(query.Get("limit")); given {
		page.Size = int(limit)
	}
	page.Before, _ = parsePositive(query.Get("before"))
	return page
}

// add registers an operation's route and adds its entry to the document.
func (s *Server) add(op *operation, document *huma.OpenAPI, router *gin.Engine) {
	op.describe(document.Components.Schemas)
	document.AddOperation(&op.Operation)
	methods := []string{op.Method}
	if op.Method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	path := strings.NewReplacer("{", ":", "}", "").Replace(op.Path)
	router.Match(methods, path, s.handle(func(c *gin.Context) error {
		call := &call{visit: visitOf(c), gin: c, op: op}
		if err := call.check(); err != nil {
			return err
		}
		out, err := op.handle(call)
		if err != nil {
			return err
		}
		return s.ok(c, op.DefaultStatus, out)
	}))
}

// describe completes the operation's entry in the document with what follows from its input and its output.
func (op *operation) describe(schemas huma.Registry) {
	success := &huma.Response{Description: http.StatusText(op.DefaultStatus)}
	if op.answers != nil {
		success.Content = map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(reflect.TypeOf(op.answers), true, "")}}
	}
	op.Responses = map[string]*huma.Response{strconv.Itoa(op.DefaultStatus): success}
	statuses := append(op.Errors, http.StatusBadRequest) // for an unknown parameter
	if op.takes != nil {
		schemas.Map()[op.takes.name] = op.takes.fields.schema()
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/" + op.takes.name}},
		}}
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	}
	if op.Method != http.MethodGet {
		statuses = append(statuses, http.StatusForbidden) // for a request from another site
	}
	if op.Security != nil {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	for _, status := range statuses {
		response := &huma.Response{
			Description: http.StatusText(status),
			Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[problem](), true, "")},
			},
		}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			response.Headers = map[string]*huma.Header{"Retry-After": {
				Description: "Seconds.", Required: true, Schema: &huma.Schema{Type: huma.TypeInteger},
			}}
		}
		op.Responses[strconv.Itoa(status)] = response
	}
	op.Errors = nil
}

// number describes a parameter that is a whole number from 1. most is its maximum and standard its default; 0 means
// none.
func number(in, name string, most, standard int, doc string) *huma.Param {
	least := 1.0
	schema := &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &least, Description: doc}
	if most > 0 {
		limit := float64(most)
		schema.Maximum = &limit
	}
	if standard > 0 {
		schema.Default = standard
	}
	return parameter(in, name, schema)
}

// text describes a parameter that is a text of between least and most characters.
func text(in, name string, least, most int, doc string) *huma.Param {
	schema := &huma.Schema{Type: huma.TypeString, Description: doc}
	if most > 0 {
		schema.MinLength, schema.MaxLength = &least, &most
	}
	return parameter(in, name, schema)
}

func parameter(in, name string, schema *huma.Schema) *huma.Param {
	p := &huma.Param{Name: name, In: in, Description: schema.Description, Schema: schema, Required: in == "path"}
	if in == "query" {
		p.Explode = new(bool)
	}
	return p
}

// required marks p as a parameter that every request must have, and returns it.
func required(p *huma.Param) *huma.Param {
	p.Required = true
	return p
}

// The parameters that operations take.
var (
	limitOfPage = number("query", "limit", app.MaxPageSize, app.DefaultPageSize, "Posts on a page.")
	beforePost  = number("query", "before", 0, 0, "Only posts with a smaller id: the next page.")
	searched    = required(text("query", "q", 1, app.MaxSearch, "Words that all occur in a post."))
	postID      = number("path", "id", 0, 0, "")
	sessionOfID = text("path", "id", 0, 0, "An id from the list of sessions.")
	keyOfThis   = func() *huma.Param {
		p := required(text("header", idempotencyKey, minKey, maxKey, fmt.Sprintf("Makes this request take effect once, however often it is sent: "+
			"%d to %d printable ASCII characters, new for each new request. The quoted form of "+
			"draft-ietf-httpapi-idempotency-key-header works too.", minKey, maxKey)))
		p.Schema.Examples = []any{`"8e03978e-40d5-43e8-bc93-6894a57f9324"`}
		return p
	}()
)

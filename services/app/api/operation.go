package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/gin-gonic/gin"

	"oneserver/app"
)

type humaContext = huma.Context // a name that does not hide its method Context

// call is one request on its way through huma.
type call struct {
	humaContext
	*visit
	gin  *gin.Context
	body []byte
	key  string // the Idempotency-Key, where the operation takes one
	err  error  // why there is no answer
}

// nothing is the output of an operation that answers with 204.
type nothing struct{}

// answered leaves the writing to us.
type answered struct {
	Body func(huma.Context)
}

// register adds an operation: its route, its checks and its part of the OpenAPI document. op.Errors names only the
// statuses that do not follow from what the operation takes.
func register[I, O any](s *Server, api huma.API, op huma.Operation, handle func(*call, *I) (*O, error)) {
	schemas := api.OpenAPI().Components.Schemas
	success := &huma.Response{Description: http.StatusText(op.DefaultStatus)}
	if op.DefaultStatus != http.StatusNoContent {
		success.Content = map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(reflect.TypeFor[O](), true, "")},
		}
	}
	op.Responses = map[string]*huma.Response{strconv.Itoa(op.DefaultStatus): success}
	statuses := append(op.Errors, http.StatusBadRequest) // for a parameter that it does not have
	if _, has := reflect.TypeFor[I]().FieldByName("Body"); has {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	}
	if op.Method != http.MethodGet {
		statuses = append(statuses, http.StatusForbidden) // for another site
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
	op.SkipValidateParams = true // check.go is stricter
	op.BodyReadTimeout = -1      // it has been read: a deadline that is left would end the work, as if the client had gone

	huma.Register(api, op, func(_ context.Context, in *I) (*answered, error) {
		return &answered{func(ctx huma.Context) {
			call := ctx.(*call)
			out, err := handle(call, in)
			if err == nil {
				err = s.ok(call.gin, op.DefaultStatus, out)
			}
			call.err = err
		}}, nil
	})
}

// adapter lets huma's operations be routes of ours.
type adapter struct {
	server *Server
	router *gin.Engine
}

func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

func (a adapter) Handle(op *huma.Operation, next func(huma.Context)) {
	methods := []string{op.Method}
	if op.Method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	check := newCheck(op)
	path := strings.NewReplacer("{", ":", "}", "").Replace(op.Path)
	a.router.Match(methods, path, a.server.handle(func(c *gin.Context) error {
		call := &call{humaContext: humagin.NewContext(op, c), visit: visitOf(c), gin: c}
		if err := check.do(call); err != nil {
			return err
		}
		next(call)
		return call.err
	}))
}

// huma's decoder reports here what it refuses. What it would then write, Marshal drops.
func init() {
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		ctx.(*call).err = decodeError(status, message, errs)
		return huma.NewError(status, message)
	}
	huma.NewError = func(status int, _ string, _ ...error) huma.StatusError { return &problem{Status: status} }
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false

	validation.MsgUnexpectedProperty = "is not a member here"
	validation.MsgExpectedRequiredProperty = "%s is missing"
	validation.MsgExpectedString = "must be text"
	validation.MsgExpectedObject = "must be an object"
	validation.MsgExpectedMinLength = "must have at least %d characters"
	validation.MsgExpectedMaxLength = "may have at most %d characters"
}

func (p *problem) GetStatus() int { return p.Status }
func (p *problem) Error() string  { return p.Detail }

var format = huma.Format{
	Marshal:   func(io.Writer, any) error { return nil },
	Unmarshal: json.Unmarshal, // checkJSON has been stricter; and this one goes on after a member of the wrong type
}

// decodeError translates what huma found wrong with a body.
func decodeError(status int, message string, errs []error) error {
	var fields []app.FieldError
	for _, err := range errs {
		detail, ok := err.(huma.ErrorDetailer)
		if !ok {
			return errors.Join(append([]error{errors.New(message)}, errs...)...)
		}
		d := detail.ErrorDetail()
		field, found := strings.CutPrefix(d.Location, "body.")
		if missing, is := strings.CutSuffix(d.Message, " is missing"); is && !found {
			field, d = missing, &huma.ErrorDetail{Message: "is missing"}
		} else if !found {
			return &app.Error{Code: app.Invalid, Message: "The body must be a JSON object.", Err: httpStatus(status)}
		}
		what := d.Message
		if what == fmt.Sprintf(validation.MsgExpectedMinLength, 1) {
			what = empty
		}
		fields = append(fields, app.FieldError{Field: cut(field), Detail: what})
	}
	return refused(status, fields...)
}

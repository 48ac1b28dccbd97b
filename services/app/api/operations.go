package api

import (
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"oneserver/app/journey"
)

// operations adds the table's routes to router and returns their OpenAPI document.
func (s *Server) operations(router *gin.Engine) (encoded, error) {
	document := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:       "The site's API",
			Version:     "1",
			Description: about,
		},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{"session": {
				Type: "apiKey", In: "cookie", Name: "session",
				Description: "From signing in. Under HTTPS its name is __Host-session.",
			}},
		},
	}
	session := []map[string][]string{{"session": {}}}
	const (
		ok, made, gone = http.StatusOK, http.StatusCreated, http.StatusNoContent
		notFound       = http.StatusNotFound
		conflict       = http.StatusConflict
		unauthorized   = http.StatusUnauthorized
		tooMany        = http.StatusTooManyRequests
		unavailable    = http.StatusServiceUnavailable
		full           = http.StatusInsufficientStorage
	)

	add := func(op operation) { s.add(&op, document, router) }
	add(operation{Operation: huma.Operation{
		OperationID: "listPosts", Method: "GET", Path: "/api/v1/posts", DefaultStatus: ok,
		Summary: "Read posts, newest first", Tags: []string{"Posts"},
		Errors:     []int{unavailable},
		Parameters: []*huma.Param{limitOfPage, beforePost},
	}, answers: postPage{}, handle: s.listPosts})
	add(operation{Operation: huma.Operation{
		OperationID: "searchPosts", Method: "GET", Path: "/api/v1/search", DefaultStatus: ok,
		Summary: "Search posts, newest first", Tags: []string{"Posts"},
		Errors:     []int{tooMany, unavailable},
		Parameters: []*huma.Param{searched, limitOfPage, beforePost},
	}, answers: postPage{}, handle: s.searchPosts})
	add(operation{Operation: huma.Operation{
		OperationID: "getPost", Method: "GET", Path: "/api/v1/posts/{id}", DefaultStatus: ok,
		Summary: "Read one post", Tags: []string{"Posts"},
		Errors:     []int{notFound, unavailable},
		Parameters: []*huma.Param{postID},
	}, answers: post{}, handle: s.getPost})
	add(operation{Operation: huma.Operation{
		OperationID: "createPost", Method: "POST", Path: "/api/v1/posts", DefaultStatus: made,
		Summary: "Write a post", Tags: []string{"Posts"},
		Security: session, Errors: []int{tooMany, unavailable, full},
		Parameters: []*huma.Param{keyOfThis},
	}, takes: &input{"Draft", new(draft).fields()}, answers: post{}, handle: s.createPost})
	add(operation{Operation: huma.Operation{
		OperationID: "updatePost", Method: "PUT", Path: "/api/v1/posts/{id}", DefaultStatus: ok,
		Summary: "Change a post of one's own", Tags: []string{"Posts"},
		Security: session, Errors: []int{notFound, tooMany, unavailable, full},
		Parameters: []*huma.Param{postID},
	}, takes: &input{"Draft", new(draft).fields()}, answers: post{}, handle: s.updatePost})
	add(operation{Operation: huma.Operation{
		OperationID: "deletePost", Method: "DELETE", Path: "/api/v1/posts/{id}", DefaultStatus: gone,
		Summary: "Delete a post of one's own", Tags: []string{"Posts"},
		Security: session, Errors: []int{notFound, unavailable},
		Parameters: []*huma.Param{postID},
	}, handle: s.deletePost})

	add(operation{Operation: huma.Operation{
		OperationID: "createAccount", Method: "POST", Path: "/api/v1/accounts", DefaultStatus: made,
		Summary: "Sign up", Tags: []string{"Accounts"},
		Description: "This does not sign anybody in. 409 means that the address already has an account.",
		Errors:      []int{conflict, tooMany, unavailable, full},
		Parameters:  []*huma.Param{keyOfThis},
	}, takes: &input{"CreateAccountInputBody", new(newAccount).fields()}, answers: created{}, handle: s.createAccount})
	add(operation{Operation: huma.Operation{
		OperationID: "renameAccount", Method: "PATCH", Path: "/api/v1/account", DefaultStatus: ok,
		Summary: "Change one's name", Tags: []string{"Accounts"},
		Security: session, Errors: []int{tooMany, unavailable},
	}, takes: &input{"RenameInputBody", new(newName).fields()}, answers: user{}, handle: s.rename})
	add(operation{Operation: huma.Operation{
		OperationID: "changePassword", Method: "PUT", Path: "/api/v1/account/password", DefaultStatus: gone,
		Summary: "Change one's password", Tags: []string{"Accounts"},
		Description: "Ends every other session. This one continues under a new cookie.",
		Security:    session, Errors: []int{tooMany, unavailable},
	}, takes: &input{"ChangePasswordInputBody", new(passwordChange).fields()}, handle: s.changePassword})
	add(operation{Operation: huma.Operation{
		OperationID: "deleteAccount", Method: "POST", Path: "/api/v1/account/deletion", DefaultStatus: gone,
		Summary: "Delete one's account with everything in it", Tags: []string{"Accounts"},
		Security: session, Errors: []int{tooMany, unavailable},
	}, takes: &input{"DeleteAccountInputBody", new(confirmation).fields()}, handle: s.deleteAccount})

	add(operation{Operation: huma.Operation{
		OperationID: "getSession", Method: "GET", Path: "/api/v1/session", DefaultStatus: ok,
		Summary: "Ask who is signed in", Tags: []string{"Sessions"},
		Errors: []int{unavailable},
	}, answers: sessionState{}, handle: s.getSession})
	add(operation{Operation: huma.Operation{
		OperationID: "signIn", Method: "PUT", Path: "/api/v1/session", DefaultStatus: ok,
		Summary: "Sign in", Tags: []string{"Sessions"},
		Description: "Sets a new session cookie each time, and a cookie that identifies this browser at its next sign-in: " +
			"it has its own count of attempts, which nobody else can use up.",
		Errors: []int{unauthorized, tooMany, unavailable},
	}, takes: &input{"SignInInputBody", new(signInForm).fields()}, answers: sessionState{}, handle: s.signIn})
	add(operation{Operation: huma.Operation{
		OperationID: "signOut", Method: "DELETE", Path: "/api/v1/session", DefaultStatus: gone,
		Summary: "Sign out", Tags: []string{"Sessions"},
		Errors: []int{unavailable},
	}, handle: s.signOut})

	add(operation{Operation: huma.Operation{
		OperationID: "listSessions", Method: "GET", Path: "/api/v1/sessions", DefaultStatus: ok,
		Summary: "See where one is signed in", Tags: []string{"Sessions"},
		Security: session, Errors: []int{unavailable},
	}, answers: openSessions{}, handle: s.listSessions})
	add(operation{Operation: huma.Operation{
		OperationID: "endSession", Method: "DELETE", Path: "/api/v1/sessions/{id}", DefaultStatus: gone,
		Summary: "Sign another browser out", Tags: []string{"Sessions"},
		Security: session, Errors: []int{notFound, unavailable},
		Parameters: []*huma.Param{sessionOfID},
	}, handle: s.endSession})

	add(operation{Operation: huma.Operation{
		OperationID: "getJourney", Method: "GET", Path: "/api/v1/journey", DefaultStatus: ok,
		Summary: "See what a request passes on its way", Tags: []string{"Site"},
	}, answers: journey.Journey{}, handle: s.getJourney})
	add(operation{Operation: huma.Operation{
		OperationID: "getDocument", Method: "GET", Path: "/api/openapi.json", DefaultStatus: ok,
		Summary: "Read this document", Tags: []string{"Site"},
	}, answers: encoded{}, handle: s.getDocument})

	encodedDocument, err := document.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return append(encodedDocument, '\n'), nil
}

const about = `Reading posts needs no session. Writing does: sign in, and send the cookie back. ` +
	`Requests that create something take an Idempotency-Key, so that repeating one does not create it twice. ` +
	`Accounts and the whole site have quotas: 429 says when to try again, and 507 means that the disk is nearly full. ` +
	`Every error is a problem detail (RFC 9457) that names the wrong fields.`

// Schema describes the OpenAPI document simply as an object.
func (encoded) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeObject} }

func (s *Server) getDocument(*call) (any, error) { return s.document, nil }

package api

import (
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

// operations adds the table's routes to router and returns the OpenAPI document of them.
func (s *Server) operations(router *gin.Engine) (encoded, error) {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	api := huma.NewAPI(huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "The site's API",
				Version:     "1",
				Description: about,
			},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{"session": {
					Type: "apiKey", In: "cookie", Name: "session",
					Description: "From signing in. Under HTTPS its name is __Host-session.",
				}},
			},
		},
		Formats: map[string]huma.Format{"application/json": format},
	}, adapter{s, router})
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

	register(s, api, huma.Operation{
		OperationID: "listPosts", Method: "GET", Path: "/api/v1/posts", DefaultStatus: ok,
		Summary: "Read posts, newest first", Tags: []string{"Posts"},
		Errors: []int{unavailable},
	}, s.listPosts)
	register(s, api, huma.Operation{
		OperationID: "searchPosts", Method: "GET", Path: "/api/v1/search", DefaultStatus: ok,
		Summary: "Search posts, newest first", Tags: []string{"Posts"},
		Errors: []int{tooMany, unavailable},
	}, s.searchPosts)
	register(s, api, huma.Operation{
		OperationID: "getPost", Method: "GET", Path: "/api/v1/posts/{id}", DefaultStatus: ok,
		Summary: "Read one post", Tags: []string{"Posts"},
		Errors: []int{notFound, unavailable},
	}, s.getPost)
	register(s, api, huma.Operation{
		OperationID: "createPost", Method: "POST", Path: "/api/v1/posts", DefaultStatus: made,
		Summary: "Write a post", Tags: []string{"Posts"},
		Security: session, Errors: []int{tooMany, unavailable, full},
	}, s.createPost)
	register(s, api, huma.Operation{
		OperationID: "updatePost", Method: "PUT", Path: "/api/v1/posts/{id}", DefaultStatus: ok,
		Summary: "Change a post of one's own", Tags: []string{"Posts"},
		Security: session, Errors: []int{notFound, tooMany, unavailable, full},
	}, s.updatePost)
	register(s, api, huma.Operation{
		OperationID: "deletePost", Method: "DELETE", Path: "/api/v1/posts/{id}", DefaultStatus: gone,
		Summary: "Delete a post of one's own", Tags: []string{"Posts"},
		Security: session, Errors: []int{notFound, unavailable},
	}, s.deletePost)

	register(s, api, huma.Operation{
		OperationID: "createAccount", Method: "POST", Path: "/api/v1/accounts", DefaultStatus: made,
		Summary: "Sign up", Tags: []string{"Accounts"},
		Description: "Nobody is signed in by it. 409 says that the address has an account already.",
		Errors:      []int{conflict, tooMany, unavailable, full},
	}, s.createAccount)
	register(s, api, huma.Operation{
		OperationID: "renameAccount", Method: "PATCH", Path: "/api/v1/account", DefaultStatus: ok,
		Summary: "Change one's name", Tags: []string{"Accounts"},
		Security: session, Errors: []int{tooMany, unavailable},
	}, s.rename)
	register(s, api, huma.Operation{
		OperationID: "changePassword", Method: "PUT", Path: "/api/v1/account/password", DefaultStatus: gone,
		Summary: "Change one's password", Tags: []string{"Accounts"},
		Description: "Ends every other session. This one goes on under a new cookie.",
		Security:    session, Errors: []int{tooMany, unavailable},
	}, s.changePassword)
	register(s, api, huma.Operation{
		OperationID: "deleteAccount", Method: "POST", Path: "/api/v1/account/deletion", DefaultStatus: gone,
		Summary: "Delete one's account with everything in it", Tags: []string{"Accounts"},
		Security: session, Errors: []int{tooMany, unavailable},
	}, s.deleteAccount)

	register(s, api, huma.Operation{
		OperationID: "getSession", Method: "GET", Path: "/api/v1/session", DefaultStatus: ok,
		Summary: "Ask who is signed in", Tags: []string{"Sessions"},
		Errors: []int{unavailable},
	}, s.getSession)
	register(s, api, huma.Operation{
		OperationID: "signIn", Method: "PUT", Path: "/api/v1/session", DefaultStatus: ok,
		Summary: "Sign in", Tags: []string{"Sessions"},
		Description: "Sets the session's cookie, a new one each time, and one by which this browser is known the next time: " +
			"it has its own count of attempts, which nobody else can use up.",
		Errors: []int{unauthorized, tooMany, unavailable},
	}, s.signIn)
	register(s, api, huma.Operation{
		OperationID: "signOut", Method: "DELETE", Path: "/api/v1/session", DefaultStatus: gone,
		Summary: "Sign out", Tags: []string{"Sessions"},
		Errors: []int{unavailable},
	}, s.signOut)

	register(s, api, huma.Operation{
		OperationID: "listSessions", Method: "GET", Path: "/api/v1/sessions", DefaultStatus: ok,
		Summary: "See where one is signed in", Tags: []string{"Sessions"},
		Security: session, Errors: []int{unavailable},
	}, s.listSessions)
	register(s, api, huma.Operation{
		OperationID: "endSession", Method: "DELETE", Path: "/api/v1/sessions/{id}", DefaultStatus: gone,
		Summary: "Sign another browser out", Tags: []string{"Sessions"},
		Security: session, Errors: []int{notFound, unavailable},
	}, s.endSession)

	register(s, api, huma.Operation{
		OperationID: "getJourney", Method: "GET", Path: "/api/v1/journey", DefaultStatus: ok,
		Summary: "See what a request passes on its way", Tags: []string{"Site"},
	}, s.getJourney)
	register(s, api, huma.Operation{
		OperationID: "getDocument", Method: "GET", Path: "/api/openapi.json", DefaultStatus: ok,
		Summary: "Read this document", Tags: []string{"Site"},
	}, s.getDocument)

	document, err := api.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return append(document, '\n'), nil
}

const about = `Reads need nothing. Writes need a session: sign in, and send the cookie back. ` +
	`What creates something takes an Idempotency-Key, with which it can be sent again without being done again. ` +
	`What one account and the whole site may keep is bounded: 429 says when to go on, 507 that the disk is nearly full. ` +
	`Every error is a problem detail (RFC 9457) that names the fields that are not right.`

// Schema describes the OpenAPI document no further than that.
func (encoded) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeObject} }

func (s *Server) getDocument(*call, *struct{}) (*encoded, error) { return &s.document, nil }

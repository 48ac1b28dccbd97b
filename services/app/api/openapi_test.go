package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"oneserver/app"
)

const aKey = "0123456789abcdef"

// outcomes has a request for each operation and status. Ada is signed in and has written post 2; post 1 is the site's
// own.
var outcomes = []struct {
	operation string
	status    int
	target    string
	body      string // "" for none
	changes   []change
	prepare   func(*fake)
}{
	{"listPosts", 200, "/api/v1/posts?limit=1", "", nil, nil},
	{"listPosts", 400, "/api/v1/posts?page=2", "", nil, nil},
	{"listPosts", 503, "/api/v1/posts", "", nil, away},
	{"searchPosts", 200, "/api/v1/search?q=text&limit=1", "", nil, nil},
	{"searchPosts", 400, "/api/v1/search", "", nil, nil},
	{"searchPosts", 429, "/api/v1/search?q=text", "", nil, spent},
	{"searchPosts", 503, "/api/v1/search?q=text", "", nil, away},
	{"getPost", 200, "/api/v1/posts/1", "", nil, nil},
	{"getPost", 400, "/api/v1/posts/1?full=1", "", nil, nil},
	{"getPost", 404, "/api/v1/posts/99", "", nil, nil},
	{"getPost", 503, "/api/v1/posts/1", "", nil, away},
	{"createPost", 201, "/api/v1/posts", aDraft, []change{keyed(aKey)}, nil},
	{"createPost", 400, "/api/v1/posts", aDraft, nil, nil},
	{"createPost", 401, "/api/v1/posts", aDraft, []change{keyed(aKey), stranger}, nil},
	{"createPost", 403, "/api/v1/posts", aDraft, []change{keyed(aKey), elsewhere}, nil},
	{"createPost", 413, "/api/v1/posts", huge, []change{keyed(aKey)}, nil},
	{"createPost", 415, "/api/v1/posts", aDraft, []change{keyed(aKey), form}, nil},
	{"createPost", 422, "/api/v1/posts", `{}`, []change{keyed(aKey)}, nil},
	{"createPost", 429, "/api/v1/posts", aDraft, []change{keyed(aKey)}, spent},
	{"createPost", 503, "/api/v1/posts", aDraft, []change{keyed(aKey)}, away},
	{"createPost", 507, "/api/v1/posts", aDraft, []change{keyed(aKey)}, full},
	{"updatePost", 200, "/api/v1/posts/2", aDraft, nil, nil},
	{"updatePost", 400, "/api/v1/posts/2", `{`, nil, nil},
	{"updatePost", 401, "/api/v1/posts/2", aDraft, []change{stranger}, nil},
	{"updatePost", 403, "/api/v1/posts/1", aDraft, nil, nil},
	{"updatePost", 404, "/api/v1/posts/99", aDraft, nil, nil},
	{"updatePost", 413, "/api/v1/posts/2", huge, nil, nil},
	{"updatePost", 415, "/api/v1/posts/2", aDraft, []change{form}, nil},
	{"updatePost", 422, "/api/v1/posts/2", `{}`, nil, nil},
	{"updatePost", 429, "/api/v1/posts/2", aDraft, nil, spent},
	{"updatePost", 503, "/api/v1/posts/2", aDraft, nil, away},
	{"updatePost", 507, "/api/v1/posts/2", aDraft, nil, full},
	{"deletePost", 204, "/api/v1/posts/2", "", nil, nil},
	{"deletePost", 400, "/api/v1/posts/2?really=1", "", nil, nil},
	{"deletePost", 401, "/api/v1/posts/2", "", []change{stranger}, nil},
	{"deletePost", 403, "/api/v1/posts/1", "", nil, nil},
	{"deletePost", 404, "/api/v1/posts/99", "", nil, nil},
	{"deletePost", 503, "/api/v1/posts/2", "", nil, away},
	{"createAccount", 201, "/api/v1/accounts", anAccount, []change{keyed(aKey)}, nil},
	{"createAccount", 400, "/api/v1/accounts", anAccount, nil, nil},
	{"createAccount", 403, "/api/v1/accounts", anAccount, []change{keyed(aKey), elsewhere}, nil},
	{"createAccount", 409, "/api/v1/accounts", `{"email":"ADA@example.com","name":"New","password":"` + password + `"}`, []change{keyed(aKey)}, nil},
	{"createAccount", 413, "/api/v1/accounts", huge, []change{keyed(aKey)}, nil},
	{"createAccount", 415, "/api/v1/accounts", anAccount, []change{keyed(aKey), form}, nil},
	{"createAccount", 422, "/api/v1/accounts", `{}`, []change{keyed(aKey)}, nil},
	{"createAccount", 429, "/api/v1/accounts", anAccount, []change{keyed(aKey)}, worn},
	{"createAccount", 503, "/api/v1/accounts", anAccount, []change{keyed(aKey)}, away},
	{"createAccount", 507, "/api/v1/accounts", anAccount, []change{keyed(aKey)}, full},
	{"renameAccount", 200, "/api/v1/account", `{"name":"Ada L."}`, nil, nil},
	{"renameAccount", 400, "/api/v1/account", `{`, nil, nil},
	{"renameAccount", 401, "/api/v1/account", `{"name":"Ada L."}`, []change{stranger}, nil},
	{"renameAccount", 403, "/api/v1/account", `{"name":"Ada L."}`, []change{elsewhere}, nil},
	{"renameAccount", 413, "/api/v1/account", huge, nil, nil},
	{"renameAccount", 415, "/api/v1/account", `{"name":"Ada L."}`, []change{form}, nil},
	{"renameAccount", 422, "/api/v1/account", `{"name":" "}`, nil, nil},
	{"renameAccount", 429, "/api/v1/account", `{"name":"Ada L."}`, nil, spent},
	{"renameAccount", 503, "/api/v1/account", `{"name":"Ada L."}`, nil, away},
	{"changePassword", 204, "/api/v1/account/password", newPassword, nil, nil},
	{"changePassword", 400, "/api/v1/account/password", `{`, nil, nil},
	{"changePassword", 401, "/api/v1/account/password", newPassword, []change{stranger}, nil},
	{"changePassword", 403, "/api/v1/account/password", newPassword, []change{elsewhere}, nil},
	{"changePassword", 413, "/api/v1/account/password", huge, nil, nil},
	{"changePassword", 415, "/api/v1/account/password", newPassword, []change{form}, nil},
	{"changePassword", 422, "/api/v1/account/password", `{"current":"wrong","new":"long enough"}`, nil, nil},
	{"changePassword", 429, "/api/v1/account/password", newPassword, nil, worn},
	{"changePassword", 503, "/api/v1/account/password", newPassword, nil, away},
	{"deleteAccount", 204, "/api/v1/account/deletion", aPassword, nil, nil},
	{"deleteAccount", 400, "/api/v1/account/deletion", `{`, nil, nil},
	{"deleteAccount", 401, "/api/v1/account/deletion", aPassword, []change{stranger}, nil},
	{"deleteAccount", 403, "/api/v1/account/deletion", aPassword, []change{elsewhere}, nil},
	{"deleteAccount", 413, "/api/v1/account/deletion", huge, nil, nil},
	{"deleteAccount", 415, "/api/v1/account/deletion", aPassword, []change{form}, nil},
	{"deleteAccount", 422, "/api/v1/account/deletion", `{"password":"wrong"}`, nil, nil},
	{"deleteAccount", 429, "/api/v1/account/deletion", aPassword, nil, worn},
	{"deleteAccount", 503, "/api/v1/account/deletion", aPassword, nil, away},
	{"getSession", 200, "/api/v1/session", "", nil, nil},
	{"getSession", 200, "/api/v1/session", "", []change{stranger}, nil},
	{"getSession", 400, "/api/v1/session?who=me", "", nil, nil},
	{"getSession", 503, "/api/v1/session", "", nil, away},
	{"signIn", 200, "/api/v1/session", credentials, []change{stranger}, nil},
	{"signIn", 400, "/api/v1/session", `{`, nil, nil},
	{"signIn", 401, "/api/v1/session", `{"email":"ada@example.com","password":"wrong"}`, nil, nil},
	{"signIn", 403, "/api/v1/session", credentials, []change{elsewhere}, nil},
	{"signIn", 413, "/api/v1/session", huge, nil, nil},
	{"signIn", 415, "/api/v1/session", credentials, []change{form}, nil},
	{"signIn", 422, "/api/v1/session", `{"email":"ada"}`, nil, nil},
	{"signIn", 429, "/api/v1/session", credentials, nil, worn},
	{"signIn", 503, "/api/v1/session", credentials, nil, away},
	{"signOut", 204, "/api/v1/session", "", nil, nil},
	{"signOut", 400, "/api/v1/session?all=1", "", nil, nil},
	{"signOut", 403, "/api/v1/session", "", []change{elsewhere}, nil},
	{"signOut", 503, "/api/v1/session", "", nil, away},
	{"listSessions", 200, "/api/v1/sessions", "", nil, signedInElsewhere},
	{"listSessions", 400, "/api/v1/sessions?limit=1", "", nil, nil},
	{"listSessions", 401, "/api/v1/sessions", "", []change{stranger}, nil},
	{"listSessions", 503, "/api/v1/sessions", "", nil, away},
	{"endSession", 204, "/api/v1/sessions/" + aSession, "", nil, signedInElsewhere},
	{"endSession", 400, "/api/v1/sessions/" + aSession + "?all=1", "", nil, nil},
	{"endSession", 401, "/api/v1/sessions/" + aSession, "", []change{stranger}, nil},
	{"endSession", 403, "/api/v1/sessions/" + aSession, "", []change{elsewhere}, nil},
	{"endSession", 404, "/api/v1/sessions/" + aSession, "", nil, nil},
	{"endSession", 503, "/api/v1/sessions/" + aSession, "", nil, away},
	{"getJourney", 200, "/api/v1/journey", "", nil, nil},
	{"getJourney", 400, "/api/v1/journey?to=nowhere", "", nil, nil},
	{"getDocument", 200, "/api/openapi.json", "", nil, nil},
	{"getDocument", 400, "/api/openapi.json?version=2", "", nil, nil},
}

const (
	aDraft      = `{"title":"A title","body":"One paragraph.\n\nAnother."}`
	anAccount   = `{"email":"new@example.com","name":"New","password":"` + password + `"}`
	aPassword   = `{"password":"` + password + `"}`
	credentials = `{"email":"ada@example.com","password":"` + password + `"}`
	newPassword = `{"current":"` + password + `","new":"another horse battery"}`
)

var huge = `{"title":"` + strings.Repeat("a", bodyLimit) + `"}`

func stranger(r *http.Request)  { r.Header.Del("Cookie") }
func elsewhere(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
func form(r *http.Request)      { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }

func away(f *fake) {
	f.err = &app.Error{Code: app.Unavailable, Message: "The database cannot be reached.", Err: errors.New("dial tcp: refused")}
}

func spent(f *fake) {
	f.err = &app.Error{Code: app.TooMany, Message: "This account has written as much as may be kept for now.", RetryAfter: time.Hour}
}

func full(f *fake) { f.err = &app.Error{Code: app.Full, Message: "The site's disk is nearly full."} }

// worn makes every bucket full.
func worn(f *fake) { f.worn = true }

// aSession is the id of a session that Ada has in another browser.
const aSession = "01000000000000000000000000000000"

func signedInElsewhere(f *fake) { f.sessions[app.Digest{1}] = 1 }

// Every operation is made to return every status that the document lists for it. Each answer is checked against the
// document, and so is each request that succeeds.
func TestAnswersAreWhatTheOpenAPIDocumentSays(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, newFake(0), nil)
	document, err := openapi3.NewLoader().LoadFromData([]byte(body(t, ask(s, "GET", "/api/openapi.json"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}

	documented := map[string]string{} // method by operation and status
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				documented[operation.OperationID+" "+status] = method
			}
			if len(operation.Responses.Map()) < 2 || operation.Summary == "" {
				t.Errorf("%s %s has no summary, or too few statuses", method, path)
			}
		}
	}
	tried := map[string]bool{}
	for _, o := range outcomes {
		name := fmt.Sprintf("%s %d", o.operation, o.status)
		tried[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method, ok := documented[name]
			if !ok {
				t.Fatal("is not in the document")
			}
			f := newFake(1)
			hers := f.join("Ada")
			f.add(1, app.Draft{Title: "Hers", Body: "text"})
			s, lines := newServer(t, f, nil)
			if o.prepare != nil {
				o.prepare(f)
			}
			changes := []change{hers}
			if o.body != "" {
				changes = append(changes, sending(o.body))
			}
			request := httptest.NewRequest(method, "http://localhost"+o.target, nil)
			for _, c := range slices.Concat(changes, o.changes) {
				c(request)
			}
			input := checkRequest(t, router, request, o.body, o.status < 300)
			response := ask(s, method, o.target, slices.Concat(changes, o.changes)...)
			text := body(t, response)
			if response.StatusCode != o.status {
				t.Fatalf("got %d %s\n%s", response.StatusCode, text, lines)
			}
			err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: input,
				Status:                 response.StatusCode,
				Header:                 response.Header,
				Body:                   io.NopCloser(strings.NewReader(text)),
				Options:                &openapi3filter.Options{IncludeResponseStatus: true},
			})
			if err != nil {
				t.Errorf("%v\n%s", err, text)
			}
			retry, err := strconv.Atoi(response.Header.Get("Retry-After"))
			if wanted := o.status == 429 || o.status == 503; wanted != (err == nil && retry > 0) {
				t.Errorf("Retry-After is %q", response.Header.Get("Retry-After"))
			}
		})
	}
	for name := range documented {
		if !tried[name] {
			t.Errorf("%s is in the document but was not tried", name)
		}
	}
}

// checkRequest checks a request against the document. It reports an error only if right says that the request should be
// valid.
func checkRequest(t *testing.T, router routers.Router, r *http.Request, body string, right bool) *openapi3filter.RequestValidationInput {
	t.Helper()
	route, parameters, err := router.FindRoute(r)
	if err != nil {
		t.Fatal(err)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	r.Body = io.NopCloser(bytes.NewReader([]byte(body)))
	if err := openapi3filter.ValidateRequest(t.Context(), input); right && err != nil {
		t.Errorf("the request: %v", err)
	}
	return input
}

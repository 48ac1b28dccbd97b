// Package site replaces ctl/internal/site when the tool is built for this application. It is all that the tool knows of it.
package site

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Schema is the database that holds the site's data.
const Schema = "foobar"

// Versions is the table that records which migrations have run.
const Versions = "goose_db_version"

// OfTheMoment are tables that a restore leaves empty.
var OfTheMoment []string

// Explain is the program in the image that shows what a replica did for a request.
var Explain = []string{"/app", "request"}

// Page is the path that a trace follows.
const Page = "/api/bookmarks"

// Prefix is the beginning of the paths that Nginx passes on.
const Prefix = "/api/"

// Ready is the path where a replica reports whether it can serve.
const Ready = "/readyz"

// Request is a request that the tool sends.
type Request struct {
	Name     string
	Method   string
	Path     string
	Body     string
	SignedIn bool
	Status   int
}

func (r Request) String() string { return r.Method + " " + r.Path }

// Proofs are the requests that a release on trial must answer.
var Proofs = []Request{
	{Method: http.MethodGet, Path: "/api/bookmarks", Status: http.StatusOK},
	{Method: http.MethodPost, Path: "/api/bookmarks", Body: `{"name":""}`, Status: http.StatusUnprocessableEntity},
}

// Reads are the requests that a drill's visitors send to the application.
var Reads = []Request{{Name: "GET /api/bookmarks", Method: http.MethodGet, Path: "/api/bookmarks"}}

// Kept are the requests that Nginx may answer by itself.
var Kept = []Request{{Name: "GET / (static)", Method: http.MethodGet, Path: "/"}}

// Write returns the request with which a drill's visitor writes.
func Write(token string) Request {
	body, err := json.Marshal(map[string]string{"name": token, "address": "https://example.com/"})
	if err != nil {
		panic(err) // a map of strings
	}
	return Request{Name: "POST /api/bookmarks", Method: http.MethodPost, Path: "/api/bookmarks", Body: string(body)}
}

// Written returns the statement that asks the database for what was written.
func Written(prefix string) string {
	return "SELECT name FROM bookmarks WHERE name LIKE '" + prefix + "%'"
}

// An Account is the account with which a drill writes.
type Account struct {
	SignUp, SignIn, Remove Request
	Free, Erase            string
}

// NewAccount returns no real account, since anybody may write.
func NewAccount(_, _ string) Account {
	return Account{Erase: "DELETE FROM bookmarks WHERE name LIKE 'drill-%'"}
}

// Growing is the table that a drill fills.
const Growing = "bookmarks"

// Filled is the condition that the added rows meet.
const Filled = "name LIKE 'filled %'"

// Fill returns the statement that adds this many rows.
func Fill(after, rows int) string {
	return fmt.Sprintf(`INSERT INTO bookmarks (name, address)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT CONCAT('filled ', %d + i), 'https://example.com/' FROM n`, rows, after)
}

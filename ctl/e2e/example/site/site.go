// Package site takes the place of ctl/internal/site where the tool is to serve this application: all that it knows of it.
package site

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Schema is the database that holds the site's data.
const Schema = "foobar"

// Versions is the table of the migrations.
const Versions = "goose_db_version"

// OfTheMoment are tables that a restore leaves empty.
var OfTheMoment []string

// Explain is the program of the image that shows what a replica did for a request.
var Explain = []string{"/app", "request"}

// Page is the path that a trace follows.
const Page = "/api/bookmarks"

// Prefix is what the paths begin with that Nginx passes on.
const Prefix = "/api/"

// Ready is the path where a replica says that it can serve.
const Ready = "/readyz"

// Request is one that the tool sends.
type Request struct {
	Name     string
	Method   string
	Path     string
	Body     string
	SignedIn bool
	Status   int
}

func (r Request) String() string { return r.Method + " " + r.Path }

// Proofs are what a release on trial must answer.
var Proofs = []Request{
	{Method: http.MethodGet, Path: "/api/bookmarks", Status: http.StatusOK},
	{Method: http.MethodPost, Path: "/api/bookmarks", Body: `{"name":""}`, Status: http.StatusUnprocessableEntity},
}

// Reads are what visitors of a drill ask the application for.
var Reads = []Request{{Name: "GET /api/bookmarks", Method: http.MethodGet, Path: "/api/bookmarks"}}

// Kept are what Nginx may answer by itself.
var Kept = []Request{{Name: "GET / (static)", Method: http.MethodGet, Path: "/"}}

// Write is what a visitor of a drill writes.
func Write(token string) Request {
	body, err := json.Marshal(map[string]string{"name": token, "address": "https://example.com/"})
	if err != nil {
		panic(err) // a map of strings
	}
	return Request{Name: "POST /api/bookmarks", Method: http.MethodPost, Path: "/api/bookmarks", Body: string(body)}
}

// Written asks the database for what was written.
func Written(prefix string) string {
	return "SELECT name FROM bookmarks WHERE name LIKE '" + prefix + "%'"
}

// An Account is what a drill writes with.
type Account struct {
	SignUp, SignIn, Remove Request
	Free, Erase            string
}

// NewAccount is none: anybody may write.
func NewAccount(_, _ string) Account {
	return Account{Erase: "DELETE FROM bookmarks WHERE name LIKE 'drill-%'"}
}

// Growing is the table that a drill fills.
const Growing = "bookmarks"

// Filled is the condition that its rows meet.
const Filled = "name LIKE 'filled %'"

// Fill adds so many.
func Fill(after, rows int) string {
	return fmt.Sprintf(`INSERT INTO bookmarks (name, address)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT CONCAT('filled ', %d + i), 'https://example.com/' FROM n`, rows, after)
}

// Package site is all that the tool knows of the application: whoever puts another in the place of this one changes this
// file (docs/your-application.md). What compares with this very application, the bench and the abuses, knows it besides.
package site

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Schema is the database that holds the site's data, as compose.yaml (MYSQL_DATABASE) and db-init name it.
const Schema = "foobar"

// Versions is the table of Schema in which migrations are noted as goose does it, in the columns version_id and
// is_applied. What has none is no state of this site.
const Versions = "goose_db_version"

// OfTheMoment are tables of Schema that say what is now and not what was: who had signed out would be signed in again, and
// who was to wait would wait no more. A restore leaves them empty.
var OfTheMoment = []string{"sessions", "throttle"}

// Explain is the program of the image that shows, as JSON, what a replica did for the request whose id follows. The others
// (serve, migrate, pending, migrations, secrets, probe) are called by the services of compose.yaml.
var Explain = []string{"/app", "request"}

// Page is the path that a trace follows where nobody names another, one that goes through every part.
const Page = "/api/v1/posts"

// Prefix is what the paths begin with that Nginx passes on to the application (nginx.conf). Itself it is kept by nobody.
const Prefix = "/api/"

// Ready is the path where a replica says, with 200, that it can serve.
const Ready = "/readyz"

// Request is one that the tool sends.
type Request struct {
	Name     string // of a kind of requests, in reports
	Method   string
	Path     string
	Body     string // JSON
	SignedIn bool   // with the session of the drill's account
	Status   int    // of the answer of a site that is well; 0 for any success
}

func (r Request) String() string { return r.Method + " " + r.Path }

// Proofs are what a release on trial must answer. None leaves a trace: nobody is signed in, which a release says before it
// writes.
var Proofs = []Request{
	{Method: http.MethodGet, Path: "/api/v1/posts", Status: http.StatusOK},
	{Method: http.MethodGet, Path: "/api/openapi.json", Status: http.StatusOK},
	{Method: http.MethodPost, Path: "/api/v1/posts", Body: `{"title":"A release on trial","body":"Nobody is signed in."}`, Status: http.StatusUnauthorized},
}

// Reads are what visitors of a drill ask for and Nginx may not answer by itself: they reach the database.
var Reads = []Request{
	{Name: "GET /api/v1/posts (signed in)", Method: http.MethodGet, Path: "/api/v1/posts", SignedIn: true},
	{Name: "GET /api/v1/posts/{id} (signed in)", Method: http.MethodGet, Path: "/api/v1/posts/1", SignedIn: true},
}

// Kept are what they ask for and Nginx may answer from a file or from what it keeps.
var Kept = []Request{
	{Name: "GET / (static)", Method: http.MethodGet, Path: "/"},
	{Name: "GET /api/v1/posts (anybody)", Method: http.MethodGet, Path: "/api/v1/posts"},
}

// Write is what a visitor of a drill writes: it holds the token, which is of letters, digits and hyphens. It is sent with an
// Idempotency-Key, and answered with 201 and a Location, where a read finds the token.
func Write(token string) Request {
	return Request{Name: "POST /api/v1/posts", Method: http.MethodPost, Path: "/api/v1/posts", SignedIn: true,
		Body: object("title", token, "body", "Written by a drill, and removed at its end.")}
}

// Written asks the database for the token of each write whose token begins so, a row each.
func Written(prefix string) string {
	return "SELECT title FROM posts WHERE title LIKE '" + prefix + "%'"
}

// An Account is what a drill writes with. It is made for one run and removed with all that it wrote. What is empty of it is not
// done: an application without accounts has nothing but Erase.
type Account struct {
	SignUp Request
	Free   string  // SQL that frees it of quotas: it writes more than a person may
	SignIn Request // whose answer sets the cookie of the session, as its first
	Remove Request
	Erase  string // SQL that removes what drills wrote, where Remove does not
}

// NewAccount is one with a name and a password of letters and digits.
func NewAccount(name, password string) Account {
	email := name + "@drill.invalid"
	return Account{
		SignUp: Request{Method: http.MethodPost, Path: "/api/v1/accounts", Body: object("email", email, "name", "Drill", "password", password)},
		Free:   "UPDATE users SET unbounded = 1 WHERE email = '" + email + "'",
		SignIn: Request{Method: http.MethodPut, Path: "/api/v1/session", Body: object("email", email, "password", password)},
		Remove: Request{Method: http.MethodPost, Path: "/api/v1/account/deletion", SignedIn: true, Body: object("password", password)},
	}
}

// Growing is a table that a drill fills with many rows, to change it and to back it up meanwhile: the one that every write goes
// through, and that grows fastest. Unlike the posts, which are indexed for the search, it is filled and emptied in seconds.
const Growing = "idempotency_keys"

// Filled is the condition that the rows of a drill in Growing meet, up to a million, and no others: no digest is so small by chance.
const Filled = "digest <= UNHEX(LPAD(HEX(1000000), 64, '0'))"

// Fill adds so many rows of a drill to Growing, after those that it has added. cte_max_recursion_depth allows them.
func Fill(after, rows int) string {
	return fmt.Sprintf(`INSERT INTO idempotency_keys (digest, request, answer, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT UNHEX(LPAD(HEX(%d + i), 64, '0')), UNHEX(REPEAT('0', 64)), JSON_OBJECT('id', i), UTC_TIMESTAMP(6) FROM n`, rows, after)
}

// object is a JSON object of texts, each after its name.
func object(members ...string) string {
	all := map[string]string{}
	for i := 0; i+1 < len(members); i += 2 {
		all[members[i]] = members[i+1]
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // a map of strings
	}
	return string(text)
}

// Package site is all that the tool knows of the application: to put another application in its place, change this file
// (docs/your-application.md). Only the bench and the abuses, which are about this very application, know more of it.
package site

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Schema is the database that holds the site's data, as compose.yaml (MYSQL_DATABASE) and db-init name it.
const Schema = "foobar"

// Versions is the table of Schema in which migrations are recorded as goose does it, in the columns version_id and
// is_applied. Data without this table cannot be this site's.
const Versions = "goose_db_version"

// OfTheMoment lists tables of Schema that describe the present rather than the past. Restoring them would sign in users who
// had signed out, and let in visitors who had to wait. A restore leaves them empty.
var OfTheMoment = []string{"sessions", "throttle"}

// Explain is the program in the image that shows, as JSON, what a replica did for the request whose id follows. The services
// of compose.yaml call the image's other programs (serve, migrate, pending, migrations, secrets, probe).
var Explain = []string{"/app", "request"}

// Page is the path that a trace follows if its user names none; it goes through every part.
const Page = "/api/v1/posts"

// Prefix begins the paths that Nginx passes on to the application (nginx.conf). The path Prefix itself is never cached.
const Prefix = "/api/"

// Ready is the path at which a replica reports, with 200, that it can serve.
const Ready = "/readyz"

// Request is a request that the tool sends.
type Request struct {
	Name     string // the name of this kind of request in reports
	Method   string
	Path     string
	Body     string // JSON
	SignedIn bool   // whether to send the session of the drill's account
	Status   int    // the status of a healthy site's answer; 0 for any success
}

func (r Request) String() string { return r.Method + " " + r.Path }

// Proofs are the requests that a release on trial must answer. None leaves a trace: nobody is signed in, so a release
// refuses the request before it writes anything.
var Proofs = []Request{
	{Method: http.MethodGet, Path: "/api/v1/posts", Status: http.StatusOK},
	{Method: http.MethodGet, Path: "/api/openapi.json", Status: http.StatusOK},
	{Method: http.MethodPost, Path: "/api/v1/posts", Body: `{"title":"A release on trial","body":"Nobody is signed in."}`, Status: http.StatusUnauthorized},
}

// Reads are the requests of a drill's visitors that Nginx may not answer by itself: they reach the database.
var Reads = []Request{
	{Name: "GET /api/v1/posts (signed in)", Method: http.MethodGet, Path: "/api/v1/posts", SignedIn: true},
	{Name: "GET /api/v1/posts/{id} (signed in)", Method: http.MethodGet, Path: "/api/v1/posts/1", SignedIn: true},
}

// Kept are the requests of a drill's visitors that Nginx may answer from a file or from its cache.
var Kept = []Request{
	{Name: "GET / (static)", Method: http.MethodGet, Path: "/"},
	{Name: "GET /api/v1/posts (anybody)", Method: http.MethodGet, Path: "/api/v1/posts"},
}

// Write returns the request with which a drill's visitor writes a token of letters, digits and hyphens. It is sent with an
// Idempotency-Key, and answered with 201 and a Location, where a read finds the token.
func Write(token string) Request {
	return Request{Name: "POST /api/v1/posts", Method: http.MethodPost, Path: "/api/v1/posts", SignedIn: true,
		Body: object("title", token, "body", "Written by a drill, and removed at its end.")}
}

// Written returns a query for all written tokens that begin with prefix, one per row.
func Written(prefix string) string {
	return "SELECT title FROM posts WHERE title LIKE '" + prefix + "%'"
}

// An Account is the account that a drill writes with. It is created for one run and removed with all that it wrote. Empty
// steps are skipped: for an application without accounts, only Erase is set.
type Account struct {
	SignUp Request
	Free   string  // SQL that frees it of quotas, since it writes more than a person may
	SignIn Request // its answer sets the session's cookie first
	Remove Request
	Erase  string // SQL that removes what drills wrote, if Remove does not
}

// NewAccount returns an account with a name and a password of letters and digits.
func NewAccount(name, password string) Account {
	email := name + "@drill.invalid"
	return Account{
		SignUp: Request{Method: http.MethodPost, Path: "/api/v1/accounts", Body: object("email", email, "name", "Drill", "password", password)},
		Free:   "UPDATE users SET unbounded = 1 WHERE email = '" + email + "'",
		SignIn: Request{Method: http.MethodPut, Path: "/api/v1/session", Body: object("email", email, "password", password)},
		Remove: Request{Method: http.MethodPost, Path: "/api/v1/account/deletion", SignedIn: true, Body: object("password", password)},
	}
}

// Growing is the table that a drill fills with many rows, to change it or back it up under load. It is the one that every
// write goes through and that grows fastest. Unlike the posts, which are indexed for the search, it is filled and emptied in
// seconds.
const Growing = "idempotency_keys"

// Filled is a condition that only the drill's rows in Growing meet, up to a million of them: no digest is so small by
// chance.
const Filled = "digest <= UNHEX(LPAD(HEX(1000000), 64, '0'))"

// Fill returns a statement that adds a number of a drill's rows to Growing; after is how many it has added before.
// cte_max_recursion_depth must allow that many rows.
func Fill(after, rows int) string {
	return fmt.Sprintf(`INSERT INTO idempotency_keys (digest, request, answer, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT UNHEX(LPAD(HEX(%d + i), 64, '0')), UNHEX(REPEAT('0', 64)), JSON_OBJECT('id', i), UTC_TIMESTAMP(6) FROM n`, rows, after)
}

// object returns a JSON object of texts. Each text in members is preceded by its name.
func object(members ...string) string {
	all := map[string]string{}
	for i := 0; i+1 < len(members); i += 2 {
		all[members[i]] = members[i+1]
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // impossible for a map of strings
	}
	return string(text)
}

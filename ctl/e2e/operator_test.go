package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// statements returns how many statements the application sent for a request, as it reports to its operator, and their SQL.
func (v *visitor) statements(id string) (count int, sql string) {
	v.Helper()
	out, err := v.stack.compose(v.Context(), "exec", "--no-TTY", "app", "/app", "request", id)
	if err != nil {
		v.Fatal(err)
	}
	var seen struct {
		ID             string
		Route          string
		StatementCount int `json:"statement_count"`
		Statements     []struct{ SQL string }
	}
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		v.Fatalf("%v: %s", err, out)
	}
	if seen.ID != id || seen.Route == "" || len(seen.Statements) != seen.StatementCount {
		v.Errorf("app reports about the request %s: %s", id, out)
	}
	for _, one := range seen.Statements {
		sql += one.SQL + "\n"
	}
	return seen.StatementCount, sql
}

// A page of posts takes at most two statements, however many posts and authors are on it; so do a search and a single post.
func TestAPageOfPostsIsAtMostTwoStatements(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	for range 3 {
		v.write("Counted")
	}
	newMember(t, site).write("By another author")
	one := fmt.Sprintf("/api/v1/posts/%d", v.found()[0].ID)
	for _, who := range []*visitor{newVisitor(t, site), v} {
		who := who.elsewhere()
		for _, path := range []string{"/api/v1/posts?limit=100&before=999999999", "/api/v1/posts?limit=1&before=999999999", "/api/v1/search?q=" + v.word, one + "?"} {
			got := who.ask("GET", path, nil)
			who.want(http.StatusOK, got)
			count, sql := who.statements(got.header.Get("X-Request-ID"))
			if count < 1 || count > 2 {
				t.Errorf("%s takes %d statements:\n%s", path, count, sql)
			}
			if strings.Contains(sql, v.word) || !strings.Contains(sql, "?") {
				t.Errorf("%s: the operator is shown values:\n%s", path, sql)
			}
		}
	}
}

// The addresses of the two services' metrics, inside the network.
const (
	appMetrics = "http://app:9090/metrics"
	dnsMetrics = "http://dns:9153/metrics"
)

// metrics returns what Prometheus would read from an address inside the network.
func (c *copyOfStack) metrics(t *testing.T, address string) string {
	t.Helper()
	out, err := c.compose(t.Context(), "exec", "--no-TTY", "web", "curl", "--silent", "--fail", "--max-time", "10", address)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Inside the network, app and dns tell Prometheus how much they do, and how fast.
func TestAppAndDNSOfferMetricsInsideTheNetwork(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	v.write("Measured")
	v.ask("GET", "/api/v1/posts/718281828459", nil) // which does not exist
	mustAsk(t, "udp", question("www.foobar.com.", 1))
	for address, wants := range map[string][]string{
		appMetrics: {
			`http_request_duration_seconds_count{method="POST",route="/api/v1/posts",status="201"} [1-9]`,
			`http_request_duration_seconds_bucket{method="GET",route="/api/v1/posts/:id",status="404",le="0\.1"} \d`,
			`go_sql_max_open_connections{db_name="foobar"} [1-9]`, `go_sql_wait_count_total{db_name="foobar"} \d`,
			`database_statements_total [1-9]`, `go_build_info{`, `process_resident_memory_bytes [1-9]`,
		},
		dnsMetrics: {
			`coredns_dns_requests_total{.*type="A".*} [1-9]`, `coredns_dns_request_duration_seconds_count{.*} [1-9]`,
			`coredns_dns_responses_total{.*rcode="NOERROR".*} [1-9]`, `coredns_build_info{`,
		},
	} {
		out := site.metrics(t, address)
		for _, want := range wants {
			if !regexp.MustCompile(`(?m)^` + strings.ReplaceAll(want, "{", `\{`)).MatchString(out) {
				t.Errorf("%s has no line %s", address, want)
			}
		}
	}
}

// Nothing that a visitor sends becomes part of a line of the metrics, which visitors could otherwise fill up.
func TestNoVisitorAddsLinesToTheMetrics(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	v.write("Measured")
	// Digits that no sum of durations happens to contain, as it would a row of nines.
	const sent = "718281828459"
	v.ask("GET", "/api/v1/posts/"+sent, nil)
	mustAsk(t, "udp", question("www.foobar.com.", 1))
	for _, address := range []string{appMetrics, dnsMetrics} {
		out := site.metrics(t, address)
		for line := range strings.Lines(out) {
			if strings.Contains(line, v.word) || strings.Contains(line, sent) {
				t.Errorf("%s contains what a visitor sent: %s", address, line)
			}
		}
	}
}

// A trace shows how every part handled one request, in words or as JSON.
func TestTraceTellsTheWholeWayOfARequest(t *testing.T) {
	t.Parallel()
	v := newMember(t, site)
	written := v.write("Traced")
	url := fmt.Sprintf("http://www.foobar.com/api/v1/posts?limit=3&before=%d", written.ID+1)
	text, err := site.ctl(t.Context(), nil, "trace", url)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"www.foobar.com", "CNAME", "8.8.8.8", "200", "X-Request-ID", "Server-Timing", "SELECT", "Nginx"} {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("trace does not say %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b[") {
		t.Errorf("colours where there is no terminal:\n%q", text)
	}
	if lines := strings.Count(text, "\n"); lines > 60 {
		t.Errorf("%d lines do not fit on a screen", lines)
	}
	out, err := site.ctl(t.Context(), nil, "trace", "--json", url)
	if err != nil {
		t.Fatal(err)
	}
	var told any
	if err := json.Unmarshal([]byte(out), &told); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"SELECT", "8.8.8.8", "request_id", "200"} {
		if !strings.Contains(out, want) {
			t.Errorf("the JSON does not contain %s:\n%s", want, out)
		}
	}
	// over https, by a client that trusts the stack's own authority
	for url, wants := range map[string][]string{
		"https://www.foobar.com:" + site.httpsPort + "/api/v1/posts?limit=1": {"HTTP/2.0 200", "TLS 1.3, key exchange X25519MLKEM768", "of foobar.com, www.foobar.com, localhost", "by oneserver of foobar.com", "days left", "tls;desc=", "SELECT"},
		"https://localhost:" + site.httpsPort + "/":                          {"HTTP/2.0 200", "static"},
	} {
		text, err := site.ctl(t.Context(), nil, "trace", url)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("trace of %s does not say %s:\n%s", url, want, text)
			}
		}
	}
	// a page that Nginx serves itself
	if text, err := site.ctl(t.Context(), nil, "trace", "http://www.foobar.com/"); err != nil || !strings.Contains(text, "static") {
		t.Errorf("trace of the home page: %v\n%s", err, text)
	}
}

// The API describes itself, and every operation that it describes exists.
func TestTheAPIDescribesItself(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, site)
	got := v.ask("GET", "/api/openapi.json", nil)
	document := decode[struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Responses   map[string]any
		}
	}](v, http.StatusOK, got)
	if !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Errorf("it is OpenAPI %q", document.OpenAPI)
	}
	operations := 0
	for path, methods := range document.Paths {
		for method, operation := range methods {
			operations++
			if operation.OperationID == "" || len(operation.Responses) < 2 {
				t.Errorf("%s %s: %+v", method, path, operation)
			}
			// Without a body or a session, the operation refuses the request, but with a status that it describes.
			answer := v.ask(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "1"), nil)
			if _, described := operation.Responses[fmt.Sprint(answer.status)]; !described {
				t.Errorf("%s %s answers %d, which is not described: %s", method, path, answer.status, answer.body)
			}
		}
	}
	for path, methods := range map[string]string{
		"/api/v1/posts": "get post", "/api/v1/posts/{id}": "get put delete", "/api/v1/search": "get", "/api/v1/accounts": "post", "/api/v1/session": "get put delete",
		"/api/v1/account": "patch", "/api/v1/account/password": "put", "/api/v1/account/deletion": "post", "/api/v1/journey": "get",
	} {
		for _, method := range strings.Fields(methods) {
			if _, described := document.Paths[path][method]; !described {
				t.Errorf("%s %s is not described", method, path)
			}
		}
	}
	t.Logf("%d operations", operations)
}

// The journey names each part with its version and health, and shows the DNS chain as the stack's own name server answers
// it.
func TestTheJourneyNamesEveryPart(t *testing.T) {
	t.Parallel()
	newScenario(t, site).Then(10*time.Second, check{"the journey is complete", []string{"app", "dns", "web"}, func(ctx context.Context, c *copyOfStack) error {
		body, err := c.get(ctx, "/api/v1/journey")
		if err != nil {
			return err
		}
		var journey struct {
			DNS struct {
				Question string
				Error    string
				Records  []struct{ Name, Type, Data string }
			}
			Parts []struct {
				Name, Software, Version, Replica string
				Healthy                          bool
			}
		}
		if err := json.Unmarshal([]byte(body), &journey); err != nil {
			return fmt.Errorf("%w: %s", err, body)
		}
		var parts []string
		for _, part := range journey.Parts {
			if !part.Healthy || part.Software == "" || !regexp.MustCompile(`^\d+\.\d+`).MatchString(strings.TrimPrefix(part.Version, "v")) {
				return fmt.Errorf("%+v", part)
			}
			parts = append(parts, part.Name)
		}
		if got := strings.Join(parts, " "); got != "dns web app db" {
			return errors.New("its parts are " + got)
		}
		if len(journey.DNS.Records) != 2 || journey.DNS.Records[0].Type != "CNAME" || journey.DNS.Records[1].Type != "A" || journey.DNS.Error != "" {
			return fmt.Errorf("DNS says %+v", journey.DNS)
		}
		return nil
	}})
}

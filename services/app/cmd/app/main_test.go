package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// environment returns a getenv with valid settings, changed by pairs of name and value.
func environment(t *testing.T, pairs ...string) func(string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("topsecret\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"LISTEN": "127.0.0.1:0", "METRICS_LISTEN": "127.0.0.1:0", "DNS_ADDRESS": "127.0.0.1:1", "TRUSTED_PROXY": "192.0.2.80", "MYSQL_ADDRESS": "127.0.0.1:1",
		"MYSQL_DATABASE": "foobar", "MYSQL_USER": "app", "MYSQL_PASSWORD_FILE": file,
	}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

func TestSettings(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, variable, value, want string }{
		{"as in compose.yaml", "", "", ""},
		{"no proxy", "TRUSTED_PROXY", "", ""},
		{"default address", "LISTEN", "", ""},
		{"no port to listen on", "LISTEN", "localhost", "LISTEN is"},
		{"port out of range", "LISTEN", ":65536", "LISTEN is"},
		{"no port for the operator", "METRICS_LISTEN", "localhost", "METRICS_LISTEN is"},
		{"a name server without port", "DNS_ADDRESS", "dns", "DNS_ADDRESS is"},
		{"no network of its own", "OWN_NETWORK", "", ""},
		{"a network of its own", "OWN_NETWORK", "172.28.0.0/24", ""},
		{"an address as network of its own", "OWN_NETWORK", "172.28.0.1", "must be a network"},
		{"a network as proxy", "TRUSTED_PROXY", "172.28.0.0/24", "must be one IP address"},
		{"a name as proxy", "TRUSTED_PROXY", "web", "must be one IP address"},
		{"no database address", "MYSQL_ADDRESS", "", "MYSQL_ADDRESS is not set"},
		{"database address without port", "MYSQL_ADDRESS", "db", "MYSQL_ADDRESS is \"db\""},
		{"database address without host", "MYSQL_ADDRESS", ":3306", "the host is missing"},
		{"no database", "MYSQL_DATABASE", "", "MYSQL_DATABASE is not set"},
		{"no user", "MYSQL_USER", "", "MYSQL_USER is not set"},
		{"no password file", "MYSQL_PASSWORD_FILE", "", "MYSQL_PASSWORD_FILE is not set"},
		{"password file that is not there", "MYSQL_PASSWORD_FILE", "/nowhere/password", "does not exist"},
		{"quotas", "WRITES_A_DAY", "300", ""},
		{"no quota", "TEXT_A_DAY", "0", ""},
		{"a quota that is no number", "POSTS_PER_ACCOUNT", "many", "POSTS_PER_ACCOUNT is"},
		{"a quota below nothing", "ACCOUNTS_A_DAY", "-1", "ACCOUNTS_A_DAY is"},
		{"a reserve beyond measure", "DISK_RESERVE", "1000001", "DISK_RESERVE is"},
		{"empty password file", "MYSQL_PASSWORD_FILE", empty, "is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := readSettings(environment(t, test.variable, test.value))
			if test.want == "" {
				if err != nil || s.database.Password != "topsecret" {
					t.Errorf("got %+v, %v", s, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestAllThatIsWrongWithTheSettingsIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	_, err := readSettings(func(string) string { return "" })
	for _, name := range []string{"MYSQL_ADDRESS", "MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD_FILE"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	nothing := func(string) string { return "" }
	for _, test := range []struct {
		args   string
		exit   int
		stdout string
		stderr string
	}{
		{"--help", exitOK, "Usage:", ""},
		{"help", exitOK, "Usage:", ""},
		{"migrate --help", exitOK, "Usage:", ""},
		{"secrets -h", exitOK, "Usage:", ""},
		{"frobnicate", exitUsage, "", `there is no command "frobnicate"; there are serve, migrate, pending, migrations, healthcheck, probe, request and secrets`},
		{"serve --port 1", exitUsage, "", "flag provided but not defined: -port"},
		{"migrate now", exitUsage, "", `"now" is the version of no migration`},
		{"migrate 1 2", exitUsage, "", "takes 1 arguments, not 2"},
		{"migrations", exitOK, `{"version":1,"file":"00001_create_posts.sql","sql":"-- +goose Up`, ""},
		{"secrets", exitUsage, "", "takes 1 arguments, not 0"},
		{"request", exitUsage, "", "takes 1 arguments, not 0"},
		{"secrets /nowhere/at/all", exitFailed, "", "no such file or directory"},
		{"", exitUsage, "", "MYSQL_ADDRESS is not set"},
		{"migrate", exitUsage, "", "MYSQL_ADDRESS is not set"},
		{"pending", exitUsage, "", "MYSQL_ADDRESS is not set"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			exit := run(context.Background(), strings.Fields(test.args), nothing, &stdout, &stderr)
			if exit != test.exit || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q, %q", exit, &stdout, &stderr, test.exit, test.stdout, test.stderr)
			}
		})
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		exit   int
		stderr string
	}{
		{"ready", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				w.WriteHeader(404)
			}
		}, exitOK, ""},
		{"not ready", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			w.Write([]byte(`{"detail":"The database does not answer."}`))
		}, exitFailed, "not ready: The database does not answer."},
		{"not ours", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, exitFailed, "not ready: 502 Bad Gateway"},
		{"hanging", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, exitFailed, "does not answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.answer)
			defer server.Close()
			listen := strings.TrimPrefix(server.URL, "http://")
			var stdout, stderr bytes.Buffer
			began := time.Now()
			exit := run(context.Background(), []string{"healthcheck"}, environment(t, "LISTEN", listen), &stdout, &stderr)
			if exit != test.exit || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit %d, stderr %q; want %d, %q", exit, &stderr, test.exit, test.stderr)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %s; its own limit is 2s", took)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/requests/a%/b" { // the id that the operator types, even with a % or a slash
			http.Error(w, "no request with that id", http.StatusNotFound)
			return
		}
		w.Write([]byte("{}\n"))
	}))
	t.Cleanup(server.Close) // after the parallel subtests
	listen := strings.TrimPrefix(server.URL, "http://")
	for _, test := range []struct {
		listen, id     string
		exit           int
		stdout, stderr string
	}{
		{listen, "a%/b", exitOK, "{}\n", ""},
		{listen, "unknown", exitFailed, "", "app request: no request with that id\n"},
		{"127.0.0.1:1", "unknown", exitFailed, "", "the server does not answer"},
		{"nonsense", "unknown", exitUsage, "", "METRICS_LISTEN is"},
	} {
		t.Run(test.listen+" "+test.id, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			exit := run(context.Background(), []string{"request", test.id}, environment(t, "METRICS_LISTEN", test.listen), &stdout, &stderr)
			if exit != test.exit || stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, %q, %q", exit, &stdout, &stderr, test.exit, test.stdout, test.stderr)
			}
		})
	}
}

// The whole program without its database: it starts, logs that, never shows the password, and stops cleanly.
func TestServeStartsAndStopsWithoutADatabase(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	getenv := environment(t)
	output := &lines{began: make(chan string, 1)}
	exit := make(chan int, 1)
	var stderr bytes.Buffer
	go func() { exit <- run(ctx, nil, getenv, output, &stderr) }()

	var started struct {
		Address string
		Metrics string `json:"metrics_address"`
	}
	select {
	case line := <-output.began:
		if strings.Contains(line, "topsecret") || !strings.Contains(line, "***") {
			t.Errorf("the password is not masked: %s", line)
		}
		if err := json.Unmarshal([]byte(line), &started); err != nil {
			t.Fatal(err)
		}
	case <-exit:
		t.Fatalf("ended: %s", &stderr)
	}

	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/api/v1/session": 200} {
		response, err := http.Get("http://" + started.Address + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s without a database is %d, want %d", path, response.StatusCode, want)
		}
	}

	// The command shows an operator what a request did; visitors cannot see it.
	response, err := http.Get("http://" + started.Address + "/api/v1/journey")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	var stdout bytes.Buffer
	id := response.Header.Get("X-Request-ID")
	if exit := run(ctx, []string{"request", id}, environment(t, "METRICS_LISTEN", started.Metrics), &stdout, &stderr); exit != exitOK ||
		!strings.Contains(stdout.String(), `"route": "/api/v1/journey"`) {
		t.Errorf("app request %s: exit %d, %s%s", id, exit, &stdout, &stderr)
	}
	for address, want := range map[string]int{
		started.Metrics + "/metrics": 200, started.Metrics + "/requests/" + id: 200,
		started.Address + "/metrics": 404, started.Address + "/requests/" + id: 404,
	} {
		response, err := http.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s is %d, want %d", address, response.StatusCode, want)
		}
	}

	stop()
	if code := <-exit; code != exitOK {
		t.Errorf("exit %d: %s", code, &stderr)
	}
}

// lines sends the first write, which is the first line of the log, to began.
type lines struct{ began chan string }

func (l *lines) Write(p []byte) (int, error) {
	select {
	case l.began <- string(p):
	default:
	}
	return len(p), nil
}

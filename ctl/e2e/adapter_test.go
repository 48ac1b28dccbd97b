package e2e

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The application's own tests of its SQL (migrations, pages, text, times) need a real MySQL. They are compiled for the
// engine's platform and run on the stack's network, with a database and an account that exist only for them.
func TestTheApplicationsSQLAgainstMySQL(t *testing.T) { runAdapter(t, 3*time.Minute) }

// An author of 100,000 posts deletes the account, and the process that removes the posts is killed on the way.
func TestLongAProlificAuthorIsRemovedInPieces(t *testing.T) {
	runAdapter(t, 5*time.Minute, "--env", "MYSQL_TEST_PROLIFIC=100000")
}

func runAdapter(t *testing.T, limit time.Duration, options ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	platform, err := site.output(ctx, "docker", "version", "--format", "{{.Server.Os}} {{.Server.Arch}}")
	if err != nil {
		t.Fatal(err)
	}
	system, architecture, _ := strings.Cut(strings.TrimSpace(platform), " ")
	if _, err := site.with("CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture).
		output(ctx, "go", "test", "-C", "services/app", "-c", "-o", filepath.Join(scratch, "mysql.test"), "./mysql"); err != nil {
		t.Fatal(err)
	}

	password := rand.Text()
	t.Cleanup(func() {
		if _, err := site.sql(context.Background(), "root", "DROP DATABASE IF EXISTS adapter; DROP USER IF EXISTS adapter"); err != nil {
			t.Error(err)
		}
	})
	if _, err := site.sql(ctx, "root", "CREATE DATABASE adapter; CREATE USER adapter IDENTIFIED BY '"+password+"'; GRANT ALL ON adapter.* TO adapter"); err != nil {
		t.Fatal(err)
	}
	run := slices.Concat([]string{"run", "--rm", "--network", site.project + "_default", "--volume", scratch + ":/tests:ro",
		"--env", "MYSQL_TEST_ADDRESS=db:3306", "--env", "MYSQL_TEST_DATABASE=adapter", "--env", "MYSQL_TEST_USER=adapter", "--env", "MYSQL_TEST_PASSWORD=" + password},
		options, []string{"--entrypoint", "/tests/mysql.test", "nginx:1.30", "-test.v", "-test.run", "TestAgainstMySQL"})
	out, err := site.output(ctx, "docker", run...)
	if err != nil || strings.Contains(out, "SKIP") {
		t.Fatalf("%v\n%s", err, out)
	}
}

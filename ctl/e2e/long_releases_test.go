package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// unnamed returns the images that Compose has built for a project and that have no name.
func unnamed(t *testing.T, project string) []string {
	t.Helper()
	out, err := site.output(t.Context(), "docker", "image", "ls", "--quiet", "--filter", "dangling=true", "--filter", "label=com.docker.compose.project="+project)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out)
}

// Eight deploys leave the five newest releases, to which a rollback leads. These tests run in order: each begins where the
// one before ends.
func TestLongFiveReleasesStayAndNothingElse(t *testing.T) {
	first, from := releases(t)
	const foreign = "oneserver-e2e-another-project"
	cmd := site.command(t.Context(), "docker", "build", "--quiet", "-")
	cmd.Stdin = strings.NewReader("FROM oneserver-app:e2e\nLABEL com.docker.compose.project=" + foreign + "\n")
	if out, err := combined(cmd); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	others := unnamed(t, foreign)
	if len(others) != 1 {
		t.Fatalf("another project has the images %q", others)
	}
	t.Cleanup(func() {
		if _, err := site.output(context.Background(), "docker", "image", "rm", others[0]); err != nil {
			t.Error(err)
		}
	})

	var served []string
	for i := range 8 {
		from(fmt.Sprintf("LABEL kept=\"%d\"", i)).says(t, root, false, []string{"deploy"}, "done")
		image, _ := replicas(t)
		served = append(served, strings.TrimPrefix(image, "sha256:")[:12])
	}
	t.Run("they are listed, the newest first", func(t *testing.T) {
		listed := site.says(t, root, false, []string{"releases"})
		lines := strings.Split(strings.TrimSpace(listed), "\n")[1:]
		if len(lines) != 5 {
			t.Fatalf("%d releases are listed", len(lines))
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, served[len(served)-1-i]) || strings.Contains(line, "serves") != (i == 0) {
				t.Errorf("line %d is %q; the releases served are %q", i, line, served)
			}
		}
	})
	t.Run("no other image of the project stays", func(t *testing.T) {
		if names, err := site.keptReleases(t.Context()); err != nil || len(names) != 5 {
			t.Errorf("the kept releases are %q, %v", names, err)
		}
		if left := unnamed(t, site.project); len(left) > 0 {
			t.Errorf("images without a name are left: %q", left)
		}
	})
	t.Run("the images of another project stay", func(t *testing.T) {
		if still := unnamed(t, foreign); len(still) != 1 {
			t.Errorf("it had %q and has %q", others, still)
		}
	})
	t.Run("a rollback leads to the one that it names, or else to the one before", func(t *testing.T) {
		goes := func(to string, args ...string) {
			t.Helper()
			site.says(t, root, false, append([]string{"rollback"}, args...), "done")
			if image, _ := replicas(t); !strings.HasPrefix(image, "sha256:"+to) {
				t.Errorf("rollback %q leads to %s, want %s", args, image, to)
			}
		}
		goes(served[4], served[4])
		goes(served[7])
		goes(served[4])
	})
	t.Run("a rollback to the one that serves, or to one that has not stayed, is refused", func(t *testing.T) {
		site.says(t, root, true, []string{"rollback", served[4]}, "is the release that serves")
		site.says(t, root, true, []string{"rollback", first[len("sha256:"):]}, "make releases lists them")
	})
	t.Run("another copy on the same machine has releases of its own", func(t *testing.T) {
		beside := newCopy("oneserver-test-beside", "18080", "11053", "172.28.1")
		beside.says(t, root, false, []string{"releases"}, "No release is known yet")
	})
}

// Once a release has removed something, no rollback leads back to the releases before it.
func TestLongNoRollbackGoesBehindAContraction(t *testing.T) {
	releases(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := site.sql(ctx, "root", "DROP TABLE IF EXISTS foobar.e2e_extra; DELETE FROM foobar.goose_db_version WHERE version_id IN (97, 98)"); err != nil {
			t.Error(err)
		}
	})
	source := t.TempDir()
	if err := os.CopyFS(filepath.Join(source, "services/app"), os.DirFS(filepath.Join(root, "services/app"))); err != nil {
		t.Fatal(err)
	}
	changed := releaseOf(t, source, "services/app/Dockerfile")
	migrations := filepath.Join(source, "services/app/mysql/migrations")
	write(t, filepath.Join(migrations, "00097_add.sql"), "-- +goose Up\nCREATE TABLE e2e_extra (i int PRIMARY KEY);\n")
	changed.says(t, root, false, []string{"deploy"}, "to migrate: 00097_add.sql", "tried on a copy of the tables", "done")
	expanded, _ := replicas(t)
	write(t, filepath.Join(migrations, "00098_drop.sql"), "-- +goose Up\nDROP TABLE e2e_extra;\n")
	changed.says(t, root, true, []string{"deploy"}, "00098_drop.sql drops the table e2e_extra", "as before")
	write(t, filepath.Join(migrations, "00098_drop.sql"), "-- +goose Up\n-- contract: it was a test's\nDROP TABLE e2e_extra;\n")
	changed.says(t, root, false, []string{"deploy"}, "done")
	contracted, _ := replicas(t)
	site.says(t, root, true, []string{"rollback"}, "no way back", "00098_drop.sql", "it was a test's")
	site.says(t, root, false, []string{"releases"}, "00098_drop.sql", "no way back", "serves")
	if image, _ := replicas(t); image != contracted || image == expanded {
		t.Errorf("%s serves; it was %s", image, contracted)
	}
	left, err := site.output(t.Context(), "docker", "ps", "--all", "--quiet", "--filter", "label=oneserver.throwaway="+site.project)
	if err != nil || left != "" {
		t.Errorf("the throwaway server has left %q, %v", left, err)
	}
}

package stack

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// This runs on the real engine, with a container whose label names the folder that Compose made it from.
func TestTheContainersOfAnotherCloneAreNotTakenOver(t *testing.T) {
	t.Parallel()
	const name = "ctl-test-clone"
	here, there := t.TempDir(), t.TempDir()
	for _, dir := range []string{here, there} {
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(here, link); err != nil {
		t.Skip(err)
	}
	own := New(here)
	remove := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = own.Output(ctx, "rm", "--force", name)
	}
	t.Cleanup(remove)
	for _, c := range []struct {
		folder string
		other  bool
	}{
		{there, true},
		{here, false},
		{link, false},
		{filepath.Join(there, "moved"), false}, // this folder no longer exists
	} {
		remove()
		if _, err := own.Output(t.Context(), "create", "--name", name, "--pull", "never", "--network", "none", "--label", "com.docker.compose.project="+name,
			"--label", "com.docker.compose.project.working_dir="+c.folder, "nginx:1.30"); err != nil {
			t.Skip(err)
		}
		err := own.checkOwn(t.Context(), name, name+"_data")
		if (err != nil) != c.other || err != nil && !strings.Contains(err.Error(), there) {
			t.Errorf("of a container of %s: %v, want it taken for another clone's: %t", c.folder, err, c.other)
		}
	}
}

// After docker compose down, only volumes are left, and Compose does not record which folder they were made from.
func TestTheDataOfAnotherCloneIsNotTakenOver(t *testing.T) {
	t.Parallel()
	const name = "ctl-test-data"
	here, there := New(t.TempDir()), New(t.TempDir())
	for _, s := range []*Stack{here, there} {
		if err := os.WriteFile(filepath.Join(s.Dir, "compose.yaml"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := here.Output(ctx, "volume", "rm", "--force", name+"_data", noteName(name)); err != nil {
			t.Error(err)
		}
	})
	want := func(when string, s *Stack, other bool) {
		t.Helper()
		err := s.checkOwn(t.Context(), name, name+"_data")
		if (err != nil) != other || err != nil && !strings.Contains(err.Error(), "whose stack does not run now: work there") {
			t.Errorf("%s: %v, want it taken for another clone's: %t", when, err, other)
		}
	}
	if err := there.claim(t.Context(), name); err != nil {
		t.Skip(err)
	}
	want("there is no data", here, false)
	if _, err := here.Output(t.Context(), "volume", "create", name+"_data"); err != nil {
		t.Fatal(err)
	}
	want("it is another's", here, true)
	want("it is its own", there, false)
	if err := os.Remove(filepath.Join(there.Dir, "compose.yaml")); err != nil {
		t.Fatal(err)
	}
	want("that clone is gone", here, false)
	if err := here.claim(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if folder, err := here.notedFolder(t.Context(), name); err != nil || folder != here.Dir {
		t.Errorf("noted is %q, %v", folder, err)
	}
	if folder, err := here.notedFolder(t.Context(), name+"-none"); err != nil || folder != "" {
		t.Errorf("of a project that nobody has noted it says %q, %v", folder, err)
	}
}

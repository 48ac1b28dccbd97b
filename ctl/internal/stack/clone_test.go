package stack

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// On the real engine: a container whose label says which folder Compose made it from.
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
		{filepath.Join(there, "moved"), false}, // it is not there any more
	} {
		remove()
		if _, err := own.Output(t.Context(), "create", "--name", name, "--pull", "never", "--network", "none", "--label", "com.docker.compose.project="+name,
			"--label", "com.docker.compose.project.working_dir="+c.folder, "nginx:1.30"); err != nil {
			t.Skip(err)
		}
		err := own.checkOwn(t.Context(), name)
		if (err != nil) != c.other || err != nil && !strings.Contains(err.Error(), there) {
			t.Errorf("of a container of %s: %v, want it taken for another clone's: %t", c.folder, err, c.other)
		}
	}
}

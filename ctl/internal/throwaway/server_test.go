package throwaway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/stack"
)

// If the kernel ends MySQL for lack of memory, the error says so.
func TestAMySQLThatNeedsTooMuchMemorySaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const image = "mysql:9.7"
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: { db: { image: "+image+", user: '999:999' } }"), 0o600); err != nil {
		t.Fatal(err)
	}
	of := stack.New(dir, append(os.Environ(), "COMPOSE_PROJECT_NAME=oneserver-test-memory")...)
	if _, err := of.Output(t.Context(), "image", "inspect", image); err != nil {
		t.Skip(err)
	}
	server, err := Start(t.Context(), of, "test", "--max-allowed-packet=1G")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := server.SQL(ctx, "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if err := server.Explain(errors.New("none")); err.Error() != "none" {
		t.Errorf("while it runs: %v", err)
	}
	_, err = server.SQL(ctx, "SELECT LENGTH(CONCAT(REPEAT('a', 500000000), REPEAT('b', 500000000)))")
	if err == nil {
		t.Fatal("it has more memory than it may have")
	}
	if err := server.Explain(err); !strings.Contains(err.Error(), "it needed more memory than the "+memory) {
		t.Errorf("it says %v", err)
	}
}

// A container that was made is about to be started, or nobody will start it. The engine's clock may be far from ours.
func TestWhatIsLeftIsRemovedWhateverTheEnginesClockSays(t *testing.T) {
	for _, test := range []struct {
		name, then string // how the container is soon
		created    time.Time
		removed    bool
	}{
		{"left, and the engine's clock is ahead", "created", time.Now().Add(time.Hour), true},
		{"about to start, and the engine's clock is behind", "running", time.Now().Add(-time.Hour), false},
	} {
		dir := dockertest.Replace(t, `cd "${0%/*}"
case "$*" in
compose*) echo '{"name": "p"}' ;;
ps*) echo a ;;
inspect*) status=created; [ ! -e seen ] || status=`+test.then+`; : >seen
	echo '[{"Id": "a", "Created": "`+test.created.Format(time.RFC3339)+`", "State": {"Status": "'$status'"}}]' ;;
rm*) : >removed ;;
esac`)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := Clean(ctx, stack.New(dir))
		cancel()
		if _, missing := os.Stat(filepath.Join(dir, "removed")); err != nil || (missing == nil) != test.removed {
			t.Errorf("%s: %v, removed: %t, want %t", test.name, err, missing == nil, test.removed)
		}
	}
}

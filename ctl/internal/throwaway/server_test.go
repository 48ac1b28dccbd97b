package throwaway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

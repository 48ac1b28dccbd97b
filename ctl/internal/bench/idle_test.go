package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheEnginesTimeIsThatOfItsProcessesAndTheirChildren(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	for pid, stat := range map[string]string{
		"7":  "7 (dockerd) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 10 0 5 1 2",
		"8":  "8 (containerd-shim) S 1 8 7 0 -1 4194560 1 2 3 4 1 2 30 40 20 0 10 0 5 1 2",
		"9":  "9 (a name ) of two) S 1 9 9 0 -1 4194560 1 2 3 4 1000 1000 1000 1000 20 0 10 0 5 1 2",
		"10": "10 (dockerd",
	} {
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := engineCPU(proc); got != 2*time.Second {
		t.Errorf("%s, want 2 s", got)
	}
	if got := engineCPU(filepath.Join(proc, "nothing")); got != 0 {
		t.Errorf("%s where there is none", got)
	}
}

package backup

import (
	"os"
	"strings"
	"testing"
)

func TestAFolderIsOneRunsAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	held, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); err == nil || !strings.Contains(err.Error(), "wait until it has ended") {
		t.Errorf("a second run is let in: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lock(dir)
	if err != nil {
		t.Fatalf("once the first has ended: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 1 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if _, err := lock(dir + "/none"); err == nil {
		t.Error("a folder that is not there is locked")
	}
}

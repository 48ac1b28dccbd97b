package backup

import (
	"os"
	"path/filepath"
)

const onWindows = true

// lock keeps a second run away from a folder: Windows removes no file that is open.
func lock(dir string) (*os.File, error) {
	name := filepath.Join(dir, ".lock")
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}

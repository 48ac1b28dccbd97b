package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

// lock locks a folder against other runs of this program. The system releases the lock when the program ends, for whatever
// reason. The folder itself is locked, so nothing has to be written in it; Windows can lock only files.
func lock(dir string) (*flock.Flock, error) {
	name, flag := dir, os.O_RDONLY
	if runtime.GOOS == "windows" {
		name, flag = filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR
	}
	held := flock.New(name, flock.SetFlag(flag))
	locked, err := held.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("another backup or restore is at work in %s: wait until it has ended", dir)
	}
	return held, err
}

//go:build !windows

package backup

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const onWindows = false

// lock keeps a second run away from a folder; the kernel lets go of it when this program ends, however it ends.
func lock(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another backup or restore is at work in %s: wait until it has ended", dir), d.Close())
	}
	return d, nil
}

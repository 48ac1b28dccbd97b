package backup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// rotate removes what is older than the newest keep backups. What was just made is never among it, also where the
// clock was set back.
func rotate(dir string, keep int, made string) (removed []string, err error) {
	all, err := list(dir)
	if err != nil {
		return nil, err
	}
	for i, b := range all {
		if i >= len(all)-keep || b.name() == made {
			continue
		}
		if err := remove(b.Dir); err != nil {
			return removed, err
		}
		removed = append(removed, b.name())
	}
	return removed, nil
}

// remove takes the name away first, so that no half of a backup is taken for a whole one.
func remove(dir string) error {
	if err := os.Rename(dir, dir+partial); err != nil {
		return err
	}
	return os.RemoveAll(dir + partial)
}

// sweep removes what runs that did not come to their end have left. Nobody else is at work in the folder.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() && strings.HasSuffix(entry.Name(), partial) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

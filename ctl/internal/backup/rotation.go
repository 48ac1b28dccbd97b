package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// rotate removes all but the newest keep backups of the server of the one that was just made, which always stays. Those of
// another server stay: which of them are older is not known. In an order that contradicts itself nothing is removed.
func rotate(dir string, keep int, made Backup) (removed []string, err error) {
	all, _, err := list(dir)
	if err != nil {
		return nil, err
	}
	ours := of(all, made.ServerUUID)
	if err := contradiction(ours); err != nil {
		return nil, fmt.Errorf("no old backup was removed: %w", err)
	}
	for i, b := range ours {
		if i >= len(ours)-keep || b.name() == made.name() {
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
		name := filepath.Join(dir, entry.Name())
		if !entry.IsDir() {
			continue
		}
		if strings.HasSuffix(name, partial) {
			errs = append(errs, os.RemoveAll(name))
			continue
		}
		if _, err := time.Parse(nameLayout, entry.Name()); err != nil {
			continue
		}
		files, err := os.ReadDir(name)
		errs = append(errs, err)
		for _, file := range files { // of a binary log, in a backup that is complete
			if strings.HasSuffix(file.Name(), partial) {
				errs = append(errs, os.Remove(filepath.Join(name, file.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// rotate removes all but the newest keep backups of the server that the latest one comes from; the latest one always stays.
// Backups of other servers stay, since their age cannot be compared. If the order contradicts itself, nothing is removed.
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

// remove renames the folder first, so that a partly removed backup is not taken for a complete one.
func remove(dir string) error {
	if err := os.Rename(dir, dir+partial); err != nil {
		return err
	}
	return os.RemoveAll(dir + partial)
}

// sweep removes what unfinished runs have left. Nobody else may be using the folder.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		made, unfinished := strings.CutSuffix(entry.Name(), partial)
		if _, err := time.Parse(nameLayout, made); err != nil || !entry.IsDir() { // somebody else's
			continue
		}
		if unfinished {
			errs = append(errs, os.RemoveAll(name))
			continue
		}
		files, err := os.ReadDir(name)
		errs = append(errs, err)
		for _, file := range files { // an unfinished binary log in a complete backup
			if strings.HasSuffix(file.Name(), partial) {
				errs = append(errs, os.Remove(filepath.Join(name, file.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// Package secrets generates the stack's passwords, so that none is in the repository and none has a default.
package secrets

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is one secret: its name, who owns it and who may read it.
type File struct {
	Name     string
	UID, GID int
	Mode     os.FileMode
}

// Numeric user ids from the images in compose.yaml. Each account's password can be read by the database, which creates
// the account with it, and by the one service that signs in with it.
const (
	root    = 0
	mysqld  = 999
	app     = 10001
	migrate = 10002
	backup  = 10003
)

// Files lists the stack's secrets. The last one is not secret, and anybody may read it: it is a random id that ties a
// data volume to the secrets with which it was initialised.
var Files = []File{
	{"mysql_root_password", mysqld, mysqld, 0o400},
	{"mysql_health_password", mysqld, mysqld, 0o400},
	{"mysql_app_password", mysqld, app, 0o440},
	{"mysql_migrate_password", mysqld, migrate, 0o440},
	{"mysql_backup_password", mysqld, backup, 0o440},
	{"stack_id", root, root, 0o444},
}

// Make creates the files that are missing from dir and returns their names. An existing file is never touched, not even
// read. Make can be interrupted at any point and run again: a file appears under its name complete or not at all.
//
// It is written to run as root with no capability but CAP_CHOWN.
func Make(dir string, files []File) (made []string, err error) {
	for _, f := range files {
		temporary := filepath.Join(dir, "."+f.Name+".new")
		if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by an interrupted run
			return made, err
		}
		final := filepath.Join(dir, f.Name)
		if _, err := os.Lstat(final); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return made, err
		}
		if err := write(temporary, f); err != nil {
			return made, err
		}
		if err := os.Rename(temporary, final); err != nil {
			return made, err
		}
		made = append(made, f.Name)
	}
	if len(made) == 0 {
		return nil, nil
	}
	return made, sync(dir)
}

// write creates f under a temporary name, with its content, mode and owner, and syncs it to disk.
func write(name string, f File) (err error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteString(newSecret()); err != nil {
		return err
	}
	if err := file.Chmod(f.Mode); err != nil { // before Chown, after which we may no longer change the file
		return err
	}
	if err := file.Chown(f.UID, f.GID); err != nil {
		return fmt.Errorf("%w: this needs root with CAP_CHOWN", err)
	}
	return file.Sync()
}

// sync makes sure that the new names in dir are on disk.
func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// newSecret returns 32 characters of base32, letters and digits only: 160 random bits that need no quoting in SQL, in
// a shell or in a DSN.
func newSecret() string { return (rand.Text() + rand.Text())[:32] }

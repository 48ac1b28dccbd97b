// Package dockertest puts a shell script in docker's place, to show tests what this machine's engine would not do.
package dockertest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Replace makes a script for sh the docker of this test, and returns the folder that it is in.
func Replace(t *testing.T, script string) (dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for docker is a shell script")
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

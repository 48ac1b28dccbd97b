package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oneserver/ctl/cmd"
)

// Environment variables that would change what Docker does must not reach it.
func TestVariablesOfOtherProjectsDoNotReachDocker(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	seen := filepath.Join(dir, "seen")
	for name, text := range map[string]string{
		"compose.yaml": "name: w",
		"docker":       "#!/bin/sh\n(env; pwd) >>" + seen + "\n[ \"$2\" != config ] || echo '{\"name\": \"w\"}'\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, name := range []string{"DOCKER_DEFAULT_PLATFORM", "COMPOSE_COMPATIBILITY", "COMPOSE_REMOVE_ORPHANS", "COMPOSE_STATUS_STDOUT"} {
		t.Setenv(name, "unwanted")
	}
	t.Chdir(link)
	root := cmd.Root()
	root.SetArgs([]string{"reset"})
	if err := root.Execute(); err != nil { // there is nothing to remove
		t.Fatal(err)
	}
	text, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "=unwanted") {
		t.Errorf("docker sees\n%s", text)
	}
	if !strings.Contains(string(text), "\n"+dir+"\n") {
		t.Errorf("docker runs by another name than %s:\n%s", dir, text)
	}
}

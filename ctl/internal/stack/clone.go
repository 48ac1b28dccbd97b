package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"oneserver/ctl/internal/docker"
)

// defaultName is the project's in compose.yaml. Who gives another one means it.
const defaultName = "oneserver"

// OtherCloneError means that the project's containers are those of another folder.
type OtherCloneError struct{ There string }

// Says is what is wrong.
func (e OtherCloneError) Says() string {
	return fmt.Sprintf("the stack on this machine is that of %s, with its containers and its data", e.There)
}

// Do is what to do about it.
func (e OtherCloneError) Do() string {
	return "work there; or give this clone a project, ports and a network of its own: COMPOSE_PROJECT_NAME, HTTP_PORT, HTTPS_PORT, DNS_PORT and SUBNET in .env; " +
		"or move that folder away, and this one takes its place"
}

func (e OtherCloneError) Error() string { return e.Says() + ": " + e.Do() }

// CheckOwn returns an OtherCloneError where the project, by its default name, has containers that another clone, which is
// still there, has made: whoever clones twice would otherwise change or remove what he does not see.
func CheckOwn(ctx context.Context, cli docker.CLI, project string) error {
	if project != defaultName {
		return nil
	}
	return checkOwn(ctx, cli, project)
}

func checkOwn(ctx context.Context, cli docker.CLI, project string) error {
	folders, err := cli.Output(ctx, "ps", "--all", "--filter", "label=com.docker.compose.project="+project,
		"--format", `{{.Label "com.docker.compose.project.working_dir"}}`)
	if err != nil {
		return err
	}
	here, err := os.Stat(cli.Dir)
	if err != nil {
		return err
	}
	for folder := range strings.Lines(folders) {
		folder = strings.TrimSpace(folder)
		if folder == "" {
			continue
		}
		there, err := os.Stat(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved here, or removed
		}
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(folder, "compose.yaml")); err == nil && !os.SameFile(here, there) {
			return OtherCloneError{There: folder}
		}
	}
	return nil
}

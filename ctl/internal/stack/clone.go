package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
func (s *Stack) CheckOwn(ctx context.Context) error {
	project, err := s.Project(ctx)
	if err != nil || project.Name != defaultName {
		return err
	}
	return s.checkOwn(ctx, project.Name)
}

func (s *Stack) checkOwn(ctx context.Context, project string) error {
	containers, err := s.List(ctx, "--all", "--filter", "label=com.docker.compose.project="+project)
	if err != nil {
		return err
	}
	here, err := os.Stat(s.Dir)
	if err != nil {
		return err
	}
	for _, container := range containers {
		folder := container.Config.Labels["com.docker.compose.project.working_dir"]
		there, err := os.Stat(folder)
		if folder == "" || errors.Is(err, fs.ErrNotExist) {
			continue // made by hand; or its folder was moved here, or removed
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

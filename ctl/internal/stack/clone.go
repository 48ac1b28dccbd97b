package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"oneserver/ctl/internal/docker"
)

// defaultName is the project's name in compose.yaml. Another name is a deliberate choice of the user.
const defaultName = "oneserver"

// folderLabel is a label of a volume that we add to the project's. It names the folder that the data belongs to. Compose
// records the folder only for containers.
const folderLabel = "oneserver.folder"

// OtherCloneError means that the project's containers, or only its data, belong to another folder.
type OtherCloneError struct {
	There string
	Data  bool // whether there is only data, without containers
}

// Says describes what is wrong.
func (e OtherCloneError) Says() string {
	if e.Data {
		return fmt.Sprintf("the data on this machine is that of %s, whose stack does not run now", e.There)
	}
	return fmt.Sprintf("the stack on this machine is that of %s, with its containers and its data", e.There)
}

// Do returns the remedy.
func (e OtherCloneError) Do() string {
	return "work there; or give this clone a project, ports and a network of its own: COMPOSE_PROJECT_NAME, HTTP_PORT, HTTPS_PORT, DNS_PORT and SUBNET in .env; " +
		"or move that folder away, and this one takes its place"
}

func (e OtherCloneError) Error() string { return e.Says() + ": " + e.Do() }

// CheckOwn returns an OtherCloneError if the project, with its default name, has containers or data from another clone that
// still exists: a user who has cloned twice would otherwise unknowingly change or remove things of the other clone.
func (s *Stack) CheckOwn(ctx context.Context) error {
	project, err := s.Project(ctx)
	if err != nil || project.Name != defaultName {
		return err
	}
	return s.checkOwn(ctx, project.Name, project.Volumes["data"].Name)
}

func (s *Stack) checkOwn(ctx context.Context, project, data string) error {
	containers, err := s.List(ctx, "--all", "--filter", "label=com.docker.compose.project="+project)
	if err != nil {
		return err
	}
	for _, container := range containers {
		if err := s.checkFolder(container.Config.Labels["com.docker.compose.project.working_dir"], false); err != nil {
			return err
		}
	}
	if len(containers) > 0 {
		return nil
	}
	volumes, err := s.Output(ctx, "volume", "ls", "--quiet")
	if err != nil || !slices.Contains(strings.Fields(volumes), data) {
		return err
	}
	folder, err := s.notedFolder(ctx, project)
	if err != nil {
		return err
	}
	return s.checkFolder(folder, true)
}

// checkFolder returns an OtherCloneError if a folder is a clone, but not this one. It returns none if something was made by
// hand, or if the folder is gone because it was moved here or removed.
func (s *Stack) checkFolder(folder string, data bool) error {
	if folder == "" {
		return nil
	}
	_, err := os.Stat(filepath.Join(folder, "compose.yaml"))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && s.In(folder):
		return nil
	case err != nil:
		return err
	}
	return OtherCloneError{There: folder, Data: data}
}

func noteName(project string) string { return project + "_clone" }

// notedFolder returns the folder that the project's data belongs to; empty if none is recorded.
func (s *Stack) notedFolder(ctx context.Context, project string) (string, error) {
	folder, err := s.Output(ctx, "volume", "inspect", "--format", `{{index .Labels "`+folderLabel+`"}}`, noteName(project))
	if docker.Gone(err) {
		return "", nil
	}
	return strings.TrimSuffix(folder, "\n"), err
}

// Unclaimed reports whether no folder is recorded for the data of a project with its default name.
func (s *Stack) Unclaimed(ctx context.Context) (bool, error) {
	project, err := s.Project(ctx)
	if err != nil || project.Name != defaultName {
		return false, err
	}
	folder, err := s.notedFolder(ctx, project.Name)
	return folder == "", err
}

// Claim records that the data of the project, with its default name, belongs to this folder, where its containers were made.
func (s *Stack) Claim(ctx context.Context) error {
	project, err := s.Project(ctx)
	if err != nil || project.Name != defaultName {
		return err
	}
	return s.claim(ctx, project.Name)
}

func (s *Stack) claim(ctx context.Context, project string) error {
	folder, err := s.notedFolder(ctx, project)
	if err != nil || folder == s.Dir {
		return err
	}
	if _, err := s.Output(ctx, "volume", "rm", "--force", noteName(project)); err != nil {
		return err
	}
	_, err = s.Output(ctx, "volume", "create", "--label", folderLabel+"="+s.Dir, noteName(project))
	return err
}

// Disclaim removes Claim's record. It is called when the data is removed.
func (s *Stack) Disclaim(ctx context.Context) error {
	project, err := s.Project(ctx)
	if err != nil {
		return err
	}
	_, err = s.Output(ctx, "volume", "rm", "--force", noteName(project.Name))
	return err
}

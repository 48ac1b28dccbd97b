package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"oneserver/ctl/internal/stack"
)

// checkClone checks that Docker and Compose can handle this folder's path, and that the stack belongs to this folder.
func checkClone(ctx context.Context, f *facts) ([]Finding, error) {
	if odd := oddCharacter(f.stack.Dir); odd != "" {
		return []Finding{{Error, "folder", fmt.Sprintf("%s has %s in its name, which Docker takes for something else", f.stack.Dir, odd), "move this clone to a folder without"}}, nil
	}
	if files := f.stack.Getenv("COMPOSE_FILE"); files != "" {
		separator := string(os.PathListSeparator)
		if set := f.stack.Getenv("COMPOSE_PATH_SEPARATOR"); set != "" {
			separator = set
		}
		first, _, _ := strings.Cut(files, separator)
		if !filepath.IsAbs(first) {
			first = filepath.Join(f.stack.Dir, first)
		}
		if !f.stack.In(filepath.Dir(first)) {
			return []Finding{{Error, "COMPOSE_FILE", "COMPOSE_FILE=" + files + " leads Compose to another project", "unset COMPOSE_FILE"}}, nil
		}
	}
	if f.stack.Getenv("DOCKER_CONTENT_TRUST") == "1" {
		return []Finding{{Error, "DOCKER_CONTENT_TRUST", "it has Docker refuse images that nobody has signed, and what is built here is not signed", "unset DOCKER_CONTENT_TRUST"}}, nil
	}
	if _, err := f.engine(); err != nil {
		return nil, err
	}
	if local, err := f.local(); err != nil {
		return nil, err
	} else if !local {
		return []Finding{{Error, "Docker", "the engine is on another machine, and what the stack mounts is on this one",
			"work there, in a clone on that machine; for this machine's engine: unset DOCKER_HOST DOCKER_CONTEXT; docker context use default"}}, nil
	}
	if err := f.stack.CheckOwn(ctx); err != nil {
		other, ok := errors.AsType[stack.OtherCloneError](err)
		if !ok {
			return nil, err
		}
		return []Finding{{Error, "folder", other.Says(), other.Do()}}, nil
	}
	return []Finding{{OK, "folder", f.stack.Dir, ""}}, nil
}

// oddCharacter names a character of a path that the tools below would take for a separator: Docker's volumes split at a
// colon and its mounts at a comma and a quote, and Compose reads a percent sign as the beginning of an escape.
func oddCharacter(path string) string {
	path = path[len(filepath.VolumeName(path)):]
	for character, name := range map[string]string{":": "a colon", ",": "a comma", `"`: "a double quote", "%": "a percent sign", "\n": "a line break"} {
		if strings.Contains(path, character) {
			return name
		}
	}
	return ""
}

// checkFiles checks that the containers' users, who are unknown to this machine, can read the files: a mount keeps its
// permissions inside a container. A virtual machine that shares the files hides the permissions.
func checkFiles(_ context.Context, f *facts) ([]Finding, error) {
	info, err := f.engine()
	if err != nil {
		return nil, err
	}
	project, err := f.project()
	if err != nil {
		return nil, err
	}
	if info.inVM() || runtime.GOOS == "windows" {
		return []Finding{{OK, "files", "shared by the engine's virtual machine", ""}}, nil
	}
	closed, err := unreadable(project)
	if err != nil {
		return nil, err
	}
	if len(closed) == 0 {
		return []Finding{{OK, "files", "what is mounted can be read in the containers", ""}}, nil
	}
	relative := closed[0]
	if path, err := filepath.Rel(f.stack.Dir, closed[0]); err == nil {
		relative = path
	}
	more := ""
	if len(closed) > 1 {
		more = fmt.Sprintf(" and %d more", len(closed)-1)
	}
	return []Finding{{Error, "files", relative + more + " cannot be read in the containers: this clone was made under a umask such as 077",
		"chmod -R go+rX -- corefile nginx.conf db-init services"}}, nil
}

// unreadable returns the files and folders that a project mounts but that not every user can read.
func unreadable(project stack.Project) ([]string, error) {
	var closed []string
	for _, service := range project.Services {
		for _, mount := range service.Volumes {
			if mount.Type != "bind" {
				continue
			}
			err := filepath.WalkDir(mount.Source, func(path string, entry fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
					return nil // another user's, or gone; Compose reports more about it
				}
				if err != nil {
					return err
				}
				info, err := entry.Info()
				if err != nil {
					return err
				}
				wanted := fs.FileMode(0o004)
				if entry.IsDir() {
					wanted = 0o005
				}
				if entry.Type()&fs.ModeSymlink == 0 && info.Mode()&wanted != wanted {
					closed = append(closed, path)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(closed)
	return slices.Compact(closed), nil
}

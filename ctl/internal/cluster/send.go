package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
)

const (
	sendWithin  = 2 * time.Minute  // for files
	imageWithin = 15 * time.Minute // for some 450 MB of images, over a slow line
	mysqlImage  = "mysql:9.7"
)

// each does something on several servers at the same time. It returns the errors of all of them, and they name the server.
func each(ctx context.Context, servers []Server, do func(ctx context.Context, one Server) error) error {
	var working sync.WaitGroup
	failed := make([]error, len(servers))
	for i, one := range servers {
		working.Go(func() {
			if err := do(ctx, one); err != nil {
				failed[i] = fmt.Errorf("server %s: %w", one.Letter, err)
			}
		})
	}
	working.Wait()
	return errors.Join(failed...)
}

// sendImages gives every server the images that it lacks, without a registry: the images are read once here, and each server
// that lacks any of them loads what is read.
func (c *Cluster) sendImages(ctx context.Context, out *images.Runner, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, imageWithin)
	defer cancel()
	out.Begin("comparing images")
	here, err := contents(ctx, c.here.CLI, names)
	if err != nil {
		return out.Fail(err)
	}
	lacks := make([][]string, len(c.Servers))
	if err := each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		have, err := contents(ctx, c.on[one.Letter].CLI, names)
		for _, name := range names {
			if have[name] != here[name] {
				lacks[indexOf(one)] = append(lacks[indexOf(one)], name)
			}
		}
		return err
	}); err != nil {
		return out.Fail(err)
	}
	wanted := slices.Compact(slices.Sorted(slices.Values(slices.Concat(lacks...))))
	if len(wanted) == 0 {
		out.End()
		return nil
	}
	out.Now("sending images: %s", strings.Join(wanted, ", "))
	sending, stop := context.WithCancel(ctx) // one that fails ends all, since they read from one source
	defer stop()
	var loading errgroup.Group
	var into []io.Writer
	var pipes []*io.PipeWriter
	for i, one := range c.Servers {
		if len(lacks[i]) == 0 {
			continue
		}
		reader, writer := io.Pipe()
		into, pipes = append(into, writer), append(pipes, writer)
		loading.Go(func() error {
			_, err := c.on[one.Letter].OutputFrom(sending, reader, "load", "--quiet")
			if err != nil {
				err = fmt.Errorf("server %s: %w", one.Letter, err)
				reader.CloseWithError(err)
			}
			return err
		})
	}
	into = append(into, &shown{out: out})
	save := c.here.Command(sending, append([]string{"save"}, tagged(wanted)...)...)
	save.Stdout = io.MultiWriter(into...)
	var said bytes.Buffer
	save.Stderr = &said
	err = save.Run()
	for _, pipe := range pipes {
		pipe.CloseWithError(err) // nil is the end
	}
	if err != nil {
		err = fmt.Errorf("docker save: %w: %s", err, strings.TrimSpace(said.String()))
	}
	if loaded := loading.Wait(); loaded != nil { // the reason why the writing failed too
		err = loaded
	}
	if err != nil {
		return out.Fail(err)
	}
	out.Done("sent images: %s", strings.Join(wanted, ", "))
	return nil
}

// tagged adds the tag that a name without one means. To docker save, such a name means every tag that there is.
func tagged(names []string) []string {
	full := slices.Clone(names)
	for i, name := range full {
		if !strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
			full[i] += ":latest"
		}
	}
	return full
}

// contents describes the images that an engine has, by name, so that two engines can be compared. Engines differ in what they
// call an image's id.
func contents(ctx context.Context, cli docker.CLI, names []string) (map[string]string, error) {
	found := map[string]string{}
	for _, name := range names {
		out, err := cli.Output(ctx, "image", "inspect", "--format", "{{.Created}} {{json .RootFS.Layers}}", name)
		if err != nil && !strings.Contains(strings.ToLower(err.Error()), "no such image") {
			return nil, err
		}
		found[name] = strings.TrimSpace(out)
	}
	return found, nil
}

// shown shows how much has been written to it.
type shown struct {
	out  *images.Runner
	done int64
}

func (s *shown) Write(p []byte) (int, error) {
	s.done += int64(len(p))
	s.out.Show("%d MB", s.done/1_000_000)
	return len(p), nil
}

// sendFiles puts the stack's files onto a server: what the Compose files mount, the Compose files, and what is rendered for
// this server. They are written over, not replaced, since a container that has mounted a single file keeps seeing that file.
func (c *Cluster) sendFiles(ctx context.Context, one Server, files []string, rendered map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(c.pack(writer, files, rendered)) }()
	defer reader.Close() // ends the packing if the command fails
	unpack := c.command(ctx, one, "tar", "--extract", "--overwrite", "--no-same-owner", "--preserve-permissions")
	unpack.Stdin = reader
	_, err := docker.Output(ctx, unpack)
	return err
}

// command prepares a program on a server, in the stack's folder there.
func (c *Cluster) command(ctx context.Context, one Server, name string, args ...string) *exec.Cmd {
	return c.transport(one, there).Command(ctx, nil, name, args...)
}

// pack writes files and folders of the repository, and rendered files, as tar.
func (c *Cluster) pack(to io.Writer, files []string, rendered map[string]string) error {
	archive := tar.NewWriter(to)
	// These come first: with them the folder is known to be ours (askConfig), even if the rest does not arrive.
	for name, text := range rendered {
		mode := int64(0o644)
		if name == ".env" { // it may hold the key of an account at a certificate authority
			mode = 0o600
		}
		if err := add(archive, &tar.Header{Name: name, ModTime: time.Now(), Mode: mode}, []byte(text)); err != nil {
			return err
		}
	}
	for _, file := range files {
		err := filepath.WalkDir(c.here.Path(file), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(c.here.Dir, path)
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			header := &tar.Header{Name: filepath.ToSlash(name), ModTime: info.ModTime(), Mode: 0o644}
			switch {
			case entry.IsDir():
				header.Typeflag, header.Mode = tar.TypeDir, 0o755
				return archive.WriteHeader(header)
			case !info.Mode().IsRegular():
				return fmt.Errorf("%s is neither a file nor a folder: it cannot be sent", path)
			}
			if info.Mode()&0o111 != 0 {
				header.Mode = 0o755
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return add(archive, header, content)
		})
		if err != nil {
			return err
		}
	}
	return archive.Close()
}

func add(archive *tar.Writer, header *tar.Header, content []byte) error {
	header.Size = int64(len(content))
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

// mounted returns what is needed of the repository on a server: the Compose files, and the files and folders that they mount.
// Compose reads them here, with values that stand for those of a server.
func (c *Cluster) mounted(ctx context.Context) ([]string, error) {
	there := c.here.As(c.here.With("COMPOSE_FILE="+c.here.Path("compose.yaml")+string(os.PathListSeparator)+c.here.Path("compose.cluster.yaml"),
		"PEER_1=db-b:192.0.2.2", "PEER_2=db-c:192.0.2.3", "PRIMARY=db-a", "DATABASE=db-a", "PRIVATE_IP=192.0.2.1"))
	project, err := there.Project(ctx)
	if err != nil {
		return nil, err
	}
	return sources(c.here.Dir, project)
}

func sources(dir string, project stack.Project) ([]string, error) {
	files := []string{"compose.yaml", "compose.cluster.yaml"}
	for _, service := range project.Services {
		for _, volume := range service.Volumes {
			if volume.Type != "bind" {
				continue
			}
			name, err := filepath.Rel(dir, volume.Source)
			if err != nil || !filepath.IsLocal(name) {
				return nil, fmt.Errorf("%s is mounted and is not in the repository: it cannot be sent to a server", volume.Source)
			}
			files = append(files, filepath.ToSlash(name))
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	return slices.DeleteFunc(files, func(name string) bool { return name == "group.cnf" }), nil // it is rendered
}

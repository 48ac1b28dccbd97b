package images

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/ctxio"
	"oneserver/ctl/internal/stack"
)

// Bundle writes every image that the stack runs, and this program, into one archive, for Load or, on any system, `docker
// load`. An empty file name means oneserver-images-<os>-<arch>.tar.gz; a relative one is taken from the repository's root.
func Bundle(ctx context.Context, s *stack.Stack, out *Runner, file string) error {
	if err := Ensure(ctx, s, out); err != nil {
		return err
	}
	names, system, arch, err := runtimeImages(ctx, s)
	if err != nil {
		return err
	}
	file = archivePath(s, file, system, arch)
	here, err := s.Images(ctx, names...)
	if err != nil {
		return err
	}
	var total int64 // a little more than the archive holds, since images share layers
	for _, image := range here {
		total += image.Size
	}

	out.Begin("writing %s", file)
	temporary, err := os.CreateTemp(filepath.Dir(file), "partial-*.tar.gz")
	if err != nil {
		return out.Fail(err)
	}
	defer os.Remove(temporary.Name())
	defer temporary.Close()
	// BestSpeed takes a third of the default level's time for these images (6 s instead of 20 s), and 7% more bytes.
	compressor, err := gzip.NewWriterLevel(temporary, gzip.BestSpeed)
	if err != nil {
		return out.Fail(err)
	}
	if err := addTool(compressor); err != nil {
		return out.Fail(err)
	}
	progress := &progress{out: out, total: total}
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		cmd := s.Command(ctx, append([]string{"save"}, names...)...)
		cmd.Stdout = io.MultiWriter(compressor, progress)
		return cmd
	}); err != nil {
		return out.Fail(err)
	}
	if err := errors.Join(compressor.Close(), temporary.Chmod(0o644), temporary.Sync(), temporary.Close()); err != nil {
		return out.Fail(err)
	}
	written, err := os.Stat(temporary.Name())
	if err != nil {
		return out.Fail(err)
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return out.Fail(err)
	}
	out.Done("wrote %s, %s: %s", file, megabytes(written.Size()), list(names))
	uses, err := published(ctx, s, names)
	if err != nil {
		return err
	}
	out.Say("%s", Describe(uses))
	return nil
}

// addTool begins an archive with this program, for a machine with the same system that cannot build it. make load finds the
// program by its name, which contains the system's name as uname prints it. The engine ignores the program.
func addTool(archive io.Writer) error {
	name := "oneserver-" + strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
	path, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	entries := tar.NewWriter(archive)
	if err := entries.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(program)), ModTime: time.Now()}); err != nil {
		return err
	}
	if _, err := entries.Write(program); err != nil {
		return err
	}
	return entries.Flush() // without an end marker: the images follow
}

// Load reads an archive that Bundle wrote. It checks the whole archive before the engine gets any of it.
func Load(ctx context.Context, s *stack.Stack, out *Runner, file string) error {
	names, system, arch, err := runtimeImages(ctx, s)
	if err != nil {
		return err
	}
	uses, err := published(ctx, s, names)
	if err != nil {
		return err
	}
	file = archivePath(s, file, system, arch)
	out.Begin("reading %s", file)
	archive, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return out.Fail(fmt.Errorf("there is no %s: write it with make bundle on a connected machine, or name another with make load FILE=…", file))
	}
	if err != nil {
		return out.Fail(err)
	}
	defer archive.Close()
	info, err := archive.Stat()
	if err != nil {
		return out.Fail(err)
	}
	found, err := readArchive(io.TeeReader(ctxio.Reader{Context: ctx, Reader: archive}, &progress{out: out, total: info.Size()}))
	if err != nil {
		return out.Fail(err)
	}
	if err := check(found, names, system, arch); err != nil {
		return out.Fail(err)
	}
	var foreign []string
	for i, use := range uses {
		loaded := found[use.Name].origin
		if use.Here != "" && use.Here != loaded {
			foreign = append(foreign, use.Name)
			err = fmt.Errorf("%s is %s here and %s in this archive, and only make images exchanges the two.\nTo have the archive's all the same: make down, docker image rm %s, and then make load again", use.Name, use.Here, loaded, strings.Join(foreign, " "))
		}
		uses[i].Here = loaded
	}
	if err != nil {
		return out.Fail(err)
	}
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd { return s.Command(ctx, "load", "--input", file) }); err != nil {
		return out.Fail(err)
	}
	out.Done("loaded %s", list(names))
	out.Say("%s", Describe(uses))
	return nil
}

// runtimeImages returns the images that containers of the stack are made from, and the engine's platform.
func runtimeImages(ctx context.Context, s *stack.Stack) (names []string, system, arch string, err error) {
	plan, err := readPlan(ctx, s)
	if err != nil {
		return nil, "", "", err
	}
	system, arch, err = platform(ctx, s)
	return slices.Concat(plan.pulled, plan.built), system, arch, err
}

func archivePath(s *stack.Stack, file, system, arch string) string {
	return s.Path(cmp.Or(file, "oneserver-images-"+system+"-"+arch+".tar.gz"))
}

// maxDescription limits the size, in bytes, of the JSON files that describe the images of an archive.
const maxDescription = 1 << 20

var (
	errForeign = errors.New("this is not an archive of images: write one with `make bundle`")
	errDamaged = errors.New("this file is damaged: copy it again")
	errCut     = errors.New("this file ends too early: copy it again, whole")
)

// archived holds what an archive says about an image.
type archived struct {
	platform string // os/arch
	origin   Origin
}

// readArchive reads an archive of images to its end and returns what it says about each, by name.
func readArchive(r io.Reader) (map[string]archived, error) {
	decompressor, err := gzip.NewReader(r)
	switch {
	case errors.Is(err, gzip.ErrHeader), err == io.EOF:
		return nil, errForeign
	case err != nil:
		return nil, unreadable(err)
	}
	descriptions := map[string][]byte{}
	entries := tar.NewReader(decompressor)
	for first := true; ; first = false {
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if first && errors.Is(err, tar.ErrHeader) {
			return nil, errForeign
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if header.Typeflag != tar.TypeReg || header.Size > maxDescription {
			continue
		}
		content, err := io.ReadAll(entries)
		if err != nil {
			return nil, unreadable(err)
		}
		if bytes.HasPrefix(content, []byte("{")) || header.Name == "manifest.json" {
			descriptions[header.Name] = content
		}
	}
	if _, err := io.Copy(io.Discard, decompressor); err != nil { // to verify the checksum at the end
		return nil, unreadable(err)
	}
	return describe(descriptions)
}

// unreadable explains what to do about an archive that cannot be read to its end.
func unreadable(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, tar.ErrHeader):
		return errDamaged
	}
	return err
}

// describe finds the images in an archive's manifest.json (Docker image specification v1.2, "Combined Image JSON +
// Filesystem Changeset Format").
func describe(descriptions map[string][]byte) (map[string]archived, error) {
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	if descriptions["manifest.json"] == nil {
		return nil, errForeign
	}
	if err := json.Unmarshal(descriptions["manifest.json"], &manifest); err != nil {
		return nil, fmt.Errorf("this archive's manifest.json: %w", err)
	}
	found := map[string]archived{}
	for _, image := range manifest {
		var config struct {
			OS, Architecture string
			Config           struct{ Labels map[string]string }
			History          []struct {
				CreatedBy string `json:"created_by"`
			}
		}
		if err := json.Unmarshal(descriptions[image.Config], &config); err != nil {
			return nil, fmt.Errorf("this archive's %q: %w", image.Config, err)
		}
		var history strings.Builder
		for _, layer := range config.History {
			history.WriteString(layer.CreatedBy + "\n")
		}
		for _, tag := range image.RepoTags {
			found[tag] = archived{config.OS + "/" + config.Architecture, origin(config.Config.Labels, history.String())}
		}
	}
	return found, nil
}

// check returns why the stack could not run from the images found on an engine of this platform.
func check(found map[string]archived, names []string, system, arch string) error {
	engine := system + "/" + arch
	for _, name := range names {
		tagged := name
		if !strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
			tagged += ":latest"
		}
		switch platform := found[tagged].platform; platform {
		case engine:
		case "":
			return fmt.Errorf("%s is not in this archive: write a new one with `make bundle` from the same version of this repository", name)
		default:
			return fmt.Errorf("this archive is for %s and this machine's engine runs %s: write one with `make bundle` on a machine of that kind", platform, engine)
		}
	}
	return nil
}

// progress shows how much has passed through it, in bytes.
type progress struct {
	out         *Runner
	done, total int64
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	p.out.said(megabytes(p.done) + " of about " + megabytes(p.total))
	return len(b), nil
}

func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", (bytes+500_000)/1_000_000) }

package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/server"
	"oneserver/ctl/internal/stack"
)

const (
	// baseImage is the base of all stand-ins and of the tests' browser; Debian publishes it under this name too.
	baseImage = "debian:sid-slim"
	// toolchain is the version inside the stand-in for golang. Go's checksum database checks its modules.
	toolchain = "golang.org/toolchain@v0.0.1-go1.26.8.linux-"

	// keepOnly is the script that removes from a stand-in what the official image lacks.
	keepOnly = "offline/keep-only.sh"

	defaultMirror = "http://deb.debian.org/debian"
)

// folders lists the images that have stand-ins, and the folders of their Dockerfiles.
var folders = map[string]string{
	"golang:1.26": "offline/golang",
	"mysql:9.7":   "offline/mysql",
	"nginx:1.30":  "offline/nginx",
}

// standIns builds a stand-in for each of the images. The reason completes a sentence about them: "cannot be pulled".
func standIns(ctx context.Context, s *stack.Stack, out *Runner, names []string, reason string) error {
	for _, name := range names {
		if folders[name] == "" && name != baseImage {
			return fmt.Errorf("%s %s, and there is no stand-in for it: write an archive with `make bundle` on a machine that has it, and read it here with `make load`", name, reason)
		}
	}
	out.Say("%s %s: building from Debian packages", list(names), reason)
	if _, err := EnsurePlugin(ctx, s, out, docker.Buildx); err != nil {
		return err
	}
	here, err := s.Images(ctx, baseImage)
	if err != nil {
		return err
	}
	if len(here) == 0 {
		if err := makeBase(ctx, s, out); err != nil {
			return err
		}
	}
	building, err := ForBuilds(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == baseImage {
			continue
		}
		out.Begin("building a stand-in for %s", name)
		sum, err := sources(s.Dir, name)
		if err != nil {
			return out.Fail(err)
		}
		args := []string{"build", "--progress=plain", "--tag", name, "--label", standInLabel + "=" + sum, "--file", filepath.Join(folders[name], "Dockerfile")}
		if name == "golang:1.26" {
			toolchain, err := downloadToolchain(ctx, s, out)
			if err != nil {
				return out.Fail(err)
			}
			// BuildKit ignores a secret's content when it decides whether a step is cached.
			args = append(args, "--no-cache", "--secret", "id=certificates,src="+certificates(s),
				"--secret", "id=keep-only,src="+keepOnly, "--secret", "id=programs,src="+filepath.Join(folders[name], "programs"), toolchain)
		} else {
			args = append(args, filepath.Dir(folders[name]))
		}
		if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd { return building.Command(ctx, args...) }); err != nil {
			return out.Fail(err)
		}
		out.Done("built a stand-in for %s", name)
	}
	return nil
}

// makeBase installs a minimal Debian into a tar file and imports it once it is complete.
func makeBase(ctx context.Context, s *stack.Stack, out *Runner) error {
	if err := installMmdebstrap(ctx, out); err != nil {
		return err
	}
	out.Begin("making %s from Debian packages", baseImage)
	work, err := workDir()
	if err != nil {
		return out.Fail(err)
	}
	defer os.RemoveAll(work)

	keys, err := debianKeys(ctx, out, work)
	if err != nil {
		return out.Fail(err)
	}
	mirror := debianMirror(ctx)
	args := slices.Concat(asRoot(ctx), []string{"mmdebstrap", "--variant=minbase", "--keyring=" + keys,
		// A mirror's copy of sid may be past its own validity date; signatures are still checked.
		`--aptopt=Acquire::Check-Valid-Until "false"`,
		`--aptopt=Acquire::Languages "none"`,
		`--aptopt=APT::Sandbox::User "root"`, // the keys may be in a folder that is closed to apt's own user
		// Like Debian's own slim images: licences stay, other documentation goes.
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/info/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*"})
	if strings.HasPrefix(mirror, "https:") {
		args = append(args, "--include=ca-certificates") // otherwise builds on this image could not reach the mirror
	}
	tar, err := os.Create(filepath.Join(work, "base.tar"))
	if err != nil {
		return out.Fail(err)
	}
	defer tar.Close()
	args = append(args, "--format=tar", "sid", "-", mirror)
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		cmd := command(ctx, args...)
		cmd.Stdout = tar
		return cmd
	}); err != nil {
		return out.Fail(err)
	}
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		return s.Command(ctx, "import", "--change", `CMD ["bash"]`, tar.Name(), baseImage)
	}); err != nil {
		return out.Fail(err)
	}
	out.Done("made %s from %s", baseImage, mirror)
	return nil
}

// asRoot returns what to put before a command to run it as root: nothing if we are root already, or cannot become root
// without a password. mmdebstrap can then try a user namespace.
func asRoot(ctx context.Context) []string {
	if os.Geteuid() != 0 && command(ctx, "sudo", "-n", "true").Run() == nil {
		return []string{"sudo", "-n"}
	}
	return nil
}

// installMmdebstrap installs mmdebstrap if it is missing.
func installMmdebstrap(ctx context.Context, out *Runner) error {
	if _, err := exec.LookPath("mmdebstrap"); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("stand-ins are built with Debian's tools, and this machine has no apt: write an archive with `make bundle` on a machine that can pull images, and read it here with `make load`")
	}
	install := []string{"apt-get", "install", "--yes", "--no-install-recommends", "mmdebstrap"}
	root := asRoot(ctx)
	if os.Geteuid() != 0 && root == nil {
		return fmt.Errorf("mmdebstrap is missing, and installing it needs root: sudo %s", strings.Join(install, " "))
	}
	out.Begin("installing mmdebstrap")
	if err := withLists(ctx, out, func() error {
		return out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
			return command(ctx, slices.Concat(root, []string{"env", "DEBIAN_FRONTEND=noninteractive"}, install)...)
		})
	}); err != nil {
		return out.Fail(err)
	}
	out.Done("installed mmdebstrap")
	return nil
}

// withLists calls do, which needs the package lists of the machine's apt. If do fails, the lists may be missing or old, so
// withLists fetches new ones and calls do again.
func withLists(ctx context.Context, out *Runner, do func() error) error {
	if err := do(); err == nil || ctx.Err() != nil {
		return err
	}
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		return command(ctx, append(asRoot(ctx), "apt-get", "update")...)
	}); err != nil {
		return err
	}
	return do()
}

// debianKeys returns the file of keys that Debian's archive is signed with. If it is missing, as on Ubuntu, debianKeys
// extracts it into dir from the host's own package for it, which the host's apt has checked.
func debianKeys(ctx context.Context, out *Runner, dir string) (string, error) {
	const path = "usr/share/keyrings/debian-archive-keyring.gpg"
	if _, err := os.Stat("/" + path); err == nil {
		return "/" + path, nil
	}
	if err := withLists(ctx, out, func() error { return download(ctx, out, dir, nil, "debian-archive-keyring") }); err != nil {
		return "", err
	}
	return filepath.Join(dir, path), nil
}

// download fetches a package with apt and unpacks it into dir, installing nothing.
func download(ctx context.Context, out *Runner, dir string, options []string, name string) error {
	// apt-get writes the package to the current folder. The user _apt, as whom apt would download, may not write to a
	// private folder.
	fetch := slices.Concat([]string{"apt-get", "-o", "APT::Sandbox::User=root"}, options, []string{"download", name})
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		cmd := command(ctx, fetch...)
		cmd.Dir = dir
		return cmd
	}); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
			return command(ctx, "dpkg-deb", "--extract", file, dir)
		}); err != nil {
			return err
		}
	}
	return nil
}

// debianMirror returns the mirror that this machine's apt uses for Debian, or else Debian's own.
func debianMirror(ctx context.Context) string {
	out, err := command(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian", "Created-By: Packages").Output()
	if err != nil { // no apt, or a broken one: nothing is lost
		return defaultMirror
	}
	return mirrorAmong(strings.Fields(string(out)))
}

// mirrorAmong returns the first address that a container can use too, without a password that would stay in an image.
func mirrorAmong(addresses []string) string {
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil {
			return strings.TrimSuffix(address, "/")
		}
	}
	return defaultMirror
}

// downloadToolchain gets the Go toolchain for the engine's architecture and returns its folder in the module cache.
func downloadToolchain(ctx context.Context, s *stack.Stack, out *Runner) (string, error) {
	_, arch, err := platform(ctx, s)
	if err != nil {
		return "", err
	}
	var stdout strings.Builder
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		cmd := command(ctx, "go", "mod", "download", "-json", toolchain+arch)
		cmd.Dir = os.TempDir() // outside of any module
		cmd.Stdout = &stdout
		return cmd
	}); err != nil {
		return "", fmt.Errorf("%w%s", err, stdout.String())
	}
	var module struct{ Dir string }
	if err := json.Unmarshal([]byte(stdout.String()), &module); err != nil {
		return "", fmt.Errorf("go mod download: %w", err)
	}
	return module.Dir, nil
}

// certificates returns the file of certificate authorities that this machine trusts; Go honours the same variable.
func certificates(s *stack.Stack) string {
	if file := s.Getenv("SSL_CERT_FILE"); file != "" {
		return file
	}
	return "/etc/ssl/certs/ca-certificates.crt"
}

// platform returns the engine's operating system and architecture, as Go names them.
func platform(ctx context.Context, s *stack.Stack) (system, arch string, err error) {
	out, err := s.Output(ctx, "version", "--format", "{{.Server.Os}} {{.Server.Arch}}")
	if err != nil {
		return "", "", err
	}
	if _, err := fmt.Sscan(out, &system, &arch); err != nil {
		return "", "", fmt.Errorf("docker version prints %q: %w", out, err)
	}
	return system, arch, nil
}

// workDir makes a folder for unfinished files; the caller removes it.
func workDir() (string, error) {
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(cacheDir(), "work-")
}

func goEnv(ctx context.Context, name string) (string, error) {
	out, err := command(ctx, "go", "env", name).Output()
	return strings.TrimSpace(string(out)), err
}

// command prepares a program of this machine. An interruption reaches it and everything that it has started.
func command(ctx context.Context, args ...string) *exec.Cmd {
	return server.OwnGroup(server.Local{}.Command(ctx, nil, args[0], args[1:]...))
}

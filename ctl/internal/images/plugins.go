package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// installPage is where Docker says how to install everything.
const installPage = "https://docs.docker.com/engine/install/"

// EnsurePlugin installs a plugin of docker for this user if it is missing or too old, from its Debian package, and
// returns whether it did. It leaves the machine's own packages alone.
func EnsurePlugin(ctx context.Context, s *stack.Stack, out *Runner, plugin docker.Plugin) (installed bool, err error) {
	info, err := s.Info(ctx)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return false, fmt.Errorf("there is no docker command: install Docker, see %s", installPage)
	case errors.Is(err, docker.ErrSilent):
		return false, errors.New("the Docker Engine does not answer: make doctor says what to do")
	case err != nil:
		return false, err
	}
	_, wrong := info.Plugin(plugin)
	if wrong == "" {
		return false, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return false, fmt.Errorf("docker's %s command: %s: see %s", plugin.Command, wrong, installPage)
	}
	out.Say("docker's %s command: %s", plugin.Command, wrong)
	return true, installPlugin(ctx, s, out, plugin)
}

// installPlugin extracts a plugin from its Debian package, which is named after its program. apt gets its own folders to
// work in, so that it checks signatures as always, yet neither reads nor changes the settings of the machine's apt.
func installPlugin(ctx context.Context, s *stack.Stack, out *Runner, plugin docker.Plugin) error {
	name := "docker-" + plugin.Command
	target, err := pluginDir(s)
	if err != nil {
		return err
	}
	out.Begin("installing %s from Debian into %s", name, target)
	work, err := workDir()
	if err != nil {
		return out.Fail(err)
	}
	defer os.RemoveAll(work)

	keys, err := debianKeys(ctx, out, work)
	if err != nil {
		return out.Fail(err)
	}
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return out.Fail(err)
		}
	}
	source := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n", debianMirror(ctx), keys)
	for name, text := range map[string]string{"sid.sources": source, "status": ""} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			return out.Fail(err)
		}
	}
	options := []string{
		"-o", "Dir::State=" + work + "/state",
		"-o", "Dir::State::status=" + work + "/status",
		"-o", "Dir::Cache=" + work + "/cache",
		"-o", "Dir::Etc::sourcelist=" + work + "/sid.sources",
		"-o", "Dir::Etc::sourceparts=-",
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::Check-Valid-Until=false", // as for the base image
		"-o", "APT::Sandbox::User=root",
	}
	if err := out.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		return command(ctx, slices.Concat([]string{"apt-get"}, options, []string{"update"})...)
	}); err != nil {
		return out.Fail(err)
	}
	unpacked := filepath.Join(work, "packages")
	if err := download(ctx, out, unpacked, options, name); err != nil {
		return out.Fail(err)
	}
	if err := installFile(filepath.Join(unpacked, "usr/libexec/docker/cli-plugins", name), filepath.Join(target, name)); err != nil {
		return out.Fail(err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		return out.Fail(err)
	}
	if _, wrong := info.Plugin(plugin); wrong != "" {
		return out.Fail(fmt.Errorf("docker still says: %s; see %s", wrong, installPage))
	}
	out.Done("installed %s into %s", name, target)
	return nil
}

// pluginDir returns the folder where docker looks for this user's plugins.
func pluginDir(s *stack.Stack) (string, error) {
	config := s.Getenv("DOCKER_CONFIG")
	if config == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		config = filepath.Join(home, ".docker")
	}
	return filepath.Join(config, "cli-plugins"), nil
}

// installFile installs a program in one step, so that it is either missing or complete.
func installFile(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	temporary := to + ".new"
	if err := os.WriteFile(temporary, program, 0o755); err != nil {
		return err
	}
	return os.Rename(temporary, to)
}

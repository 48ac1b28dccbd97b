package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"oneserver/ctl/internal/docker"
)

// installPage is where Docker says how to install all of it.
const installPage = "https://docs.docker.com/engine/install/"

// A plugin is a program that adds a command to docker.
type plugin struct {
	command string
	file    string // its program, and Debian's package of it
	oldest  version
}

var plugins = []plugin{
	{"compose", "docker-compose", version{2, 24, 0}},
	{"buildx", "docker-buildx", version{0, 17, 0}}, // Compose refuses to build with an older one
}

// EnsurePlugins installs docker's compose and buildx commands for this user where they are missing or too old, from
// Debian's packages of them. The machine's own packages are left alone.
func EnsurePlugins(ctx context.Context, cli docker.CLI, out *Reporter) error {
	var wanted []plugin
	for _, p := range plugins {
		found, err := p.installed(ctx, cli)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			return fmt.Errorf("there is no docker command: install Docker, see %s", installPage)
		case err != nil:
			out.say("docker has no %s command", p.command)
			wanted = append(wanted, p)
		case found.before(p.oldest):
			out.say("docker's %s command is too old (%s; %s is needed)", p.command, found, p.oldest)
			wanted = append(wanted, p)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install Docker's plugins: see %s", installPage)
	}
	return installPlugins(ctx, cli, out, wanted)
}

// installed returns the version of the plugin that docker finds.
func (p plugin) installed(ctx context.Context, cli docker.CLI) (version, error) {
	text, err := cli.Output(ctx, p.command, "version")
	if err != nil {
		return version{}, err
	}
	return parseVersion(text)
}

// installPlugins takes the plugins out of Debian's packages. apt is given folders of its own to work in, so that it
// checks signatures as ever and yet neither reads nor changes what the machine's apt is set to.
func installPlugins(ctx context.Context, cli docker.CLI, out *Reporter, wanted []plugin) error {
	var packages []string
	for _, p := range wanted {
		packages = append(packages, p.file)
	}
	target, err := pluginDir(cli)
	if err != nil {
		return err
	}
	step := out.begin(fmt.Sprintf("installing %s from Debian into %s", list(packages), target))
	work, err := workDir()
	if err != nil {
		return step.fail(err)
	}
	defer os.RemoveAll(work)

	keys, err := debianKeys(ctx, step, work)
	if err != nil {
		return step.fail(err)
	}
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return step.fail(err)
		}
	}
	source := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n", debianMirror(ctx), keys)
	for name, text := range map[string]string{"sid.sources": source, "status": ""} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			return step.fail(err)
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
	if err := step.run(ctx, silence, func(ctx context.Context) *exec.Cmd {
		return command(ctx, slices.Concat([]string{"apt-get"}, options, []string{"update"})...)
	}); err != nil {
		return step.fail(err)
	}
	unpacked := filepath.Join(work, "packages")
	if err := download(ctx, step, unpacked, options, packages...); err != nil {
		return step.fail(err)
	}
	for _, p := range wanted {
		if err := installFile(filepath.Join(unpacked, "usr/libexec/docker/cli-plugins", p.file), filepath.Join(target, p.file)); err != nil {
			return step.fail(err)
		}
		found, err := p.installed(ctx, cli)
		if err != nil {
			return step.fail(fmt.Errorf("the %s of Debian does not run on this machine (%w): see %s", p.file, err, installPage))
		}
		if found.before(p.oldest) {
			return step.fail(fmt.Errorf("docker still finds version %s of its %s command: see %s", found, p.command, installPage))
		}
	}
	step.done("installed %s into %s", list(packages), target)
	return nil
}

// pluginDir is where docker looks for this user's plugins.
func pluginDir(cli docker.CLI) (string, error) {
	config := cli.Getenv("DOCKER_CONFIG")
	if config == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		config = filepath.Join(home, ".docker")
	}
	return filepath.Join(config, "cli-plugins"), nil
}

// installFile puts a program in its place in one go: it is not there, or whole.
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

// A version is major, minor, patch.
type version [3]int

// inVersion finds the first version in "Docker Compose version v2.40.3-3" or "github.com/docker/buildx 0.29.1+ds1".
var inVersion = regexp.MustCompile(`\bv?(\d+)\.(\d+)(?:\.(\d+))?`)

func parseVersion(text string) (version, error) {
	match := inVersion.FindStringSubmatch(text)
	if match == nil {
		return version{}, fmt.Errorf("no version in %q", text)
	}
	var v version
	for i, digits := range match[1:] {
		if digits == "" {
			continue
		}
		var err error
		if v[i], err = strconv.Atoi(digits); err != nil {
			return version{}, err
		}
	}
	return v, nil
}

func (v version) before(other version) bool { return slices.Compare(v[:], other[:]) < 0 }

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

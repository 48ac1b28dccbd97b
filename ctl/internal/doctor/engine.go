package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"oneserver/ctl/internal/docker"
)

// oldestEngine is the first version that lets an unprivileged process in a container listen on ports below 1024.
var oldestEngine = docker.Version{20, 10}

func checkEngine(_ context.Context, f *facts) ([]Finding, error) {
	info, err := f.info()
	if errors.Is(err, exec.ErrNotFound) {
		return []Finding{{Error, "Docker", "there is no docker command on the PATH", "install Docker: https://docs.docker.com/get-docker/"}}, nil
	}
	if err != nil {
		return nil, err
	}
	if info.failure != "" {
		return []Finding{unreachable(info, runtime.GOOS, f.stack.Getenv("DOCKER_HOST"))}, nil
	}
	if info.OSType != "linux" {
		return []Finding{{Error, "Docker", "the engine runs " + info.OSType + " containers, and the stack is made of Linux containers",
			"switch over in the menu of Docker Desktop: Switch to Linux containers"}}, nil
	}
	found, err := docker.ParseVersion(info.ServerVersion)
	if err != nil {
		return nil, err
	}
	if found.Before(oldestEngine) {
		return []Finding{{Error, "Docker", fmt.Sprintf("the engine is %s, and %s is the oldest that will do", info.ServerVersion, oldestEngine),
			"upgrade it: https://docs.docker.com/engine/install/"}}, nil
	}
	return []Finding{{OK, "Docker", fmt.Sprintf("engine %s on %s", info.ServerVersion, info.Architecture), ""}}, nil
}

// unreachable returns why the engine does not answer. On Linux, users must start it and have access to it themselves;
// elsewhere, Docker Desktop handles both.
func unreachable(info engine, goos, dockerHost string) Finding {
	f := Finding{Level: Error, About: "Docker", Says: "the engine does not answer: " + oneLine(firstLine(info.failure))}
	switch {
	case strings.Contains(info.failure, "permission denied"):
		f.Says = "this user may not talk to the Docker Engine"
		f.Do = "sudo usermod -aG docker $USER, then log out and in again (members of that group can become root)"
		if goos != "linux" {
			f.Do = "quit Docker Desktop and start it again as this user"
		}
	case dockerHost != "":
		f.Do = "DOCKER_HOST is " + dockerHost + ": start the engine there, or unset DOCKER_HOST to use this machine's"
	case info.ClientInfo.Context != "" && info.ClientInfo.Context != "default":
		f.Do = "the docker context is " + info.ClientInfo.Context + ": start the engine there, or go back with: docker context use default"
	case goos == "linux" && info.failure == docker.ErrSilent.Error():
		f.Do = "it hangs; its log may say why (sudo journalctl --unit docker), and sudo systemctl restart docker ends it"
	case goos == "linux":
		f.Do = "start it: sudo systemctl start docker (without systemd: sudo service docker start; in WSL with Docker Desktop: start that)"
	default:
		f.Do = "start Docker Desktop and wait until it says that the engine is running"
	}
	return f
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

func checkCompose(_ context.Context, f *facts) ([]Finding, error) {
	return checkPlugin(f, "Compose", docker.Compose, Error, "https://docs.docker.com/compose/install/linux/")
}

func checkBuildx(_ context.Context, f *facts) ([]Finding, error) {
	level := Error
	if missing, err := missingImages(f); err == nil && len(missing) == 0 {
		level = Warning // images that exist already can run
	}
	return checkPlugin(f, "buildx", docker.Buildx, level, "https://github.com/docker/buildx#installing")
}

// checkPlugin examines a plugin of the docker command; level is how bad its absence is. If the machine has apt, `make up`
// installs one that is missing or too old (images.EnsurePlugin).
func checkPlugin(f *facts, about string, plugin docker.Plugin, level Level, link string) ([]Finding, error) {
	info, err := f.info()
	if err != nil {
		return nil, fmt.Errorf("%w: needs the docker command", errUnknown)
	}
	if info.failure == docker.ErrSilent.Error() { // the command then has not listed its plugins
		return nil, fmt.Errorf("%w: needs a Docker Engine that answers", errUnknown)
	}
	version, wrong := info.Plugin(plugin)
	if wrong == "" {
		return []Finding{{OK, about, version, ""}}, nil
	}
	if _, err := exec.LookPath("apt-get"); err == nil {
		return []Finding{{Note, about, wrong, "nothing: make up gets it from Debian's packages, into ~/.docker/cli-plugins"}}, nil
	}
	return []Finding{{level, about, wrong, "install it: " + link}}, nil
}

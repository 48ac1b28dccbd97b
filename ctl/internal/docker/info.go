package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Info holds what `docker info` says about the engine and the client.
type Info struct {
	ServerVersion   string
	OSType          string
	OperatingSystem string
	Architecture    string
	DockerRootDir   string
	MemTotal        uint64 // bytes
	SecurityOptions []string
	ServerErrors    []string // why the engine does not answer; empty if it does
	ClientInfo      struct {
		Version string
		Context string
		Plugins []struct{ Name, Version, Err string }
	}
}

// Patience is how long the engine may take to describe itself. A working engine needs a second on a busy machine.
const Patience = 8 * time.Second

// ErrSilent means that the engine accepts a connection but does not answer. The docker command then prints nothing either.
var ErrSilent = errors.New("it says nothing")

// Info asks the engine and the client to describe themselves. If the engine answers with an error or cannot be reached, Info
// returns no error; ServerErrors has the reason.
func (c CLI) Info(ctx context.Context) (Info, error) {
	limited, cancel := context.WithTimeoutCause(ctx, Patience, ErrSilent)
	defer cancel()
	// Clients before 23.0 treat "--format json" as a template and print "json".
	out, err := c.Output(limited, "info", "--format", "{{json .}}")
	switch {
	case limited.Err() != nil:
		return Info{}, context.Cause(limited)
	case errors.Is(err, exec.ErrNotFound):
		return Info{}, err
	}
	var info Info
	if unread := json.Unmarshal([]byte(out), &info); unread != nil && err == nil {
		return Info{}, fmt.Errorf("docker info: %w", unread)
	}
	if err != nil { // clients differ in where they report it, and in whether they call it a failure
		info.ServerErrors = append(info.ServerErrors, errors.Unwrap(err).Error())
	}
	return info, nil
}

// Now returns the time on the engine's clock, which may differ from this machine's.
func (c CLI) Now(ctx context.Context) (time.Time, error) {
	out, err := c.Output(ctx, "info", "--format", "{{.SystemTime}}")
	if err != nil {
		return time.Time{}, err
	}
	now, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(out))
	if err != nil {
		return time.Time{}, fmt.Errorf("docker info: the engine's time: %w", err)
	}
	return now, nil
}

// A Plugin is a program that adds a command to docker.
type Plugin struct {
	Command string
	Oldest  Version // the first release that can do what the stack needs
}

var (
	// Since 2.24, Compose accepts that a one-shot ends while it waits for the services.
	Compose = Plugin{"compose", Version{2, 24}}
	// Compose builds with Buildx, and needs 0.17.
	Buildx = Plugin{"buildx", Version{0, 17}}
)

// Plugin returns the version that a plugin reports and, if the stack cannot use it, the reason in words. A version that
// cannot be parsed is accepted, since only a custom build has one.
func (i Info) Plugin(wanted Plugin) (version, wrong string) {
	for _, plugin := range i.ClientInfo.Plugins {
		if plugin.Name != wanted.Command || plugin.Err != "" {
			continue
		}
		if found, err := ParseVersion(plugin.Version); err == nil && found.Before(wanted.Oldest) {
			wrong = fmt.Sprintf("the plugin is %s, and %s is the oldest that will do", plugin.Version, wanted.Oldest)
		}
		return plugin.Version, wrong
	}
	return "", "the plugin is not installed"
}

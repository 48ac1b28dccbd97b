package abuse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
)

// killed lists the services whose containers were restarted, and those in which the kernel has killed a process for lack of
// memory since a time on the engine's clock.
func (s *site) killed(ctx context.Context, before map[string]docker.Container, since time.Time) ([]string, error) {
	after, err := s.containers(ctx)
	if err != nil {
		return nil, err
	}
	var killed []string
	for service, was := range before {
		is := after[service]
		if is.RestartCount != was.RestartCount || !is.State.StartedAt.Equal(was.State.StartedAt) || !is.Running() {
			killed = append(killed, service+" was started anew")
		}
	}
	until, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.Output(ctx, "events", "--since", since.Format(time.RFC3339Nano), "--until", until.Format(time.RFC3339Nano), "--filter", "event=oom",
		"--filter", "label=com.docker.compose.project="+project, "--format", `{{index .Actor.Attributes "com.docker.compose.service"}}`)
	if err != nil {
		return nil, fmt.Errorf("ask what was killed for memory: %w", err)
	}
	for service := range strings.FieldsSeq(out) {
		killed = append(killed, service+" had no memory left")
	}
	slices.Sort(killed)
	return slices.Compact(killed), nil
}

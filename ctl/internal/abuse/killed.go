package abuse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
)

// killed lists the services whose containers were restarted, and those in which the kernel has since killed a process for
// lack of memory.
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
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	seconds := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
	out, err := s.Output(ctx, "events", "--since", seconds(since), "--until", seconds(time.Now()), "--filter", "event=oom",
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

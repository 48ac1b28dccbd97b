package doctor

import (
	"context"
	"fmt"
	"strings"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/reach"
	"oneserver/ctl/internal/stack"
)

// Local reports whether the engine's ports, disk and network are this machine's own.
func Local(ctx context.Context, s *stack.Stack) (bool, error) {
	out, err := s.Output(ctx, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return false, err
	}
	return isLocal(strings.TrimSpace(out)), nil
}

// unanswered finds published ports of healthy containers that do not answer; publisher has the running containers, by
// service.
func unanswered(ctx context.Context, settings stack.Settings, publisher map[string]docker.Container) ([]Finding, error) {
	answers, err := reach.Ask(ctx, settings, reach.Patience)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	told := map[string]bool{} // which ports have been reported already
	for _, answer := range answers {
		container, running := publisher[answer.Service]
		if answer.Err == nil || told[answer.Port] || !running || !container.Healthy() {
			continue // a container that is not healthy has another problem
		}
		told[answer.Port] = true
		says := fmt.Sprintf("%s at %s: %v, though %s is healthy", answer.What, answer.Port, answer.Err, container.Title())
		do := "docker compose logs app certs " + answer.Service + " shows more"
		if answer.Dead {
			says += ": the engine's proxy for that port has ended, as it does when it runs out of files"
			do = "make up starts it anew; docs/security.md says what keeps it from happening again"
		}
		findings = append(findings, Finding{Warning, answer.Setting, says, do})
	}
	return findings, nil
}

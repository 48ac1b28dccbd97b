package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Containers returns what `docker inspect` says of a Compose project's containers, in T, whose fields are those that are
// asked for: whatever their state, one-shots that have ended included, but not those of `docker compose run`. A service
// that is named leaves out those of the others.
func Containers[T any](ctx context.Context, cli CLI, project, service string) ([]T, error) {
	args := []string{"ps", "--all", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project=" + project,
		"--filter", "label=com.docker.compose.oneoff=False"}
	if service != "" {
		args = append(args, "--filter", "label=com.docker.compose.service="+service)
	}
	ids, err := cli.Output(ctx, args...)
	if err != nil {
		return nil, err
	}
	return Inspect[T](ctx, cli, strings.Fields(ids)...)
}

// Inspect is Containers for containers that are known by their ids.
func Inspect[T any](ctx context.Context, cli CLI, ids ...string) ([]T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	text, err := cli.Output(ctx, append([]string{"inspect"}, ids...)...)
	if err != nil {
		return nil, err
	}
	var list []T
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("docker inspect: %w", err)
	}
	return list, nil
}

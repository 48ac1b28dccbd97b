package images

import (
	"context"

	"oneserver/ctl/internal/docker"
)

// AbsentBases returns the images that those of the services are built from and that are not here, so that Ensure has left
// ours as they are.
func AbsentBases(ctx context.Context, cli docker.CLI, services ...string) ([]string, error) {
	plan, err := readPlan(ctx, cli, services...)
	if err != nil {
		return nil, err
	}
	here, err := cli.Images(ctx, plan.bases...)
	return docker.Absent(here, plan.bases), err
}

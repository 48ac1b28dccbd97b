package images

import (
	"context"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// AbsentBases returns the images that those of the services are built from, if they are not here: then Ensure has left
// our images as they are.
func AbsentBases(ctx context.Context, s *stack.Stack, services ...string) ([]string, error) {
	plan, err := readPlan(ctx, s, services...)
	if err != nil {
		return nil, err
	}
	here, err := s.Images(ctx, plan.bases...)
	return docker.Absent(here, plan.bases), err
}

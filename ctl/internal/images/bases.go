package images

import (
	"context"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// AbsentBases returns the base images of the services' images that the engine does not have. If there are any, Ensure has
// left our images as they are.
func AbsentBases(ctx context.Context, s *stack.Stack, services ...string) ([]string, error) {
	plan, err := readPlan(ctx, s, services...)
	if err != nil {
		return nil, err
	}
	here, err := s.Images(ctx, plan.bases...)
	return docker.Absent(here, plan.bases), err
}

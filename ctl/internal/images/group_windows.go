package images

import (
	"context"
	"os/exec"
)

// command prepares a program that is killed when ctx ends. Windows has no apt, so there is little to run.
func command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

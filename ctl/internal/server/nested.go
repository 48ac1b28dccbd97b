package server

import (
	"context"
	"os/exec"
)

// Nested is a server in a container that has an engine of its own.
type Nested struct {
	Outer     Server // where the container runs
	Container string // its name
	Dir       string // where programs run, in the container
}

// Command implements Server.
func (n Nested) Command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	return remote(ctx, func(ctx context.Context, words ...string) *exec.Cmd {
		return n.Outer.Command(ctx, nil, "docker", append([]string{"exec", "--interactive", n.Container}, words...)...)
	}, n.Dir, env, name, args...)
}

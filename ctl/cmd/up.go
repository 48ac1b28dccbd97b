package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/lifecycle"
	"oneserver/ctl/internal/stack"
)

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "up",
		Short:   "Check, make what is missing, start everything, wait until it is healthy",
		Example: "  HTTP_PORT=8080 oneserver up",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return lifecycle.Up(ctx, s, os.Stdout)
		}),
	}
}

package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

func rollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rollback",
		Short:   "Put the release before this one in its place again",
		Example: "  oneserver rollback",
		Args:    cobra.NoArgs,
		RunE: onSite(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return deploy.Rollback(ctx, s, os.Stdout)
		}),
	}
}

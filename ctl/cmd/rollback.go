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
		Use:   "rollback [RELEASE]",
		Short: "Go back to the previous release, or to another one that is kept",
		Long: `Go back to the previous release, or to another one that is kept: oneserver releases lists them. RELEASE is
the beginning of a release's name, or of the commit that it was built from. No migration is undone; there is no way back to a
release if a later migration has removed what it uses.`,
		Example: "  oneserver rollback\n  oneserver rollback 1a2b3c4d",
		Args:    cobra.MaximumNArgs(1),
		RunE: onSite(func(ctx context.Context, s *stack.Stack, args []string) error {
			return deploy.Rollback(ctx, s, os.Stdout, optional(args))
		}),
	}
}

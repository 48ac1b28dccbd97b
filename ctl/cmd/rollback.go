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
		Short: "Put the release before this one in its place again, or another one that is kept",
		Long: `Put the release before this one in its place again, or another one that is kept: oneserver releases lists them. RELEASE is
the beginning of a release's name, or of the commit that it was built from. No migration is undone; there is no way back to a
release from which a later migration has taken away what it uses.`,
		Example: "  oneserver rollback\n  oneserver rollback 1a2b3c4d",
		Args:    cobra.MaximumNArgs(1),
		RunE: onSite(func(ctx context.Context, s *stack.Stack, args []string) error {
			return deploy.Rollback(ctx, s, os.Stdout, optional(args))
		}),
	}
}

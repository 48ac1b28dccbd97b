package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

func releasesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "releases",
		Short:   "List the releases that are kept: when they served, what they were built from, what they migrated",
		Example: "  oneserver releases",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return deploy.PrintReleases(ctx, s, os.Stdout)
		}),
	}
}

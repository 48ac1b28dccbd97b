package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/docker"
)

func rollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rollback",
		Short:   "Put the release before this one in its place again",
		Example: "  oneserver rollback",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, cli docker.CLI, _ []string) error {
			return deploy.Rollback(ctx, cli, os.Stdout)
		}),
	}
}

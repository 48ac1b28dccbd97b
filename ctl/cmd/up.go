package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/lifecycle"
)

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "up",
		Short:   "Check, make what is missing, start everything, wait until it is healthy",
		Example: "  HTTP_PORT=8080 oneserver up",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, cli docker.CLI, _ []string) error {
			return lifecycle.Up(ctx, cli, os.Stdout)
		}),
	}
}

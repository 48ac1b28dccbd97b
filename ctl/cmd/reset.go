package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/lifecycle"
)

func resetCommand() *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:     "reset",
		Short:   "Remove the containers and the data, after asking",
		Example: "  oneserver reset",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, cli docker.CLI, _ []string) error {
			return lifecycle.Reset(ctx, cli, os.Stdin, os.Stdout, yes)
		}),
	}
	command.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return command
}

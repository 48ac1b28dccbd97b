package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/lifecycle"
	"oneserver/ctl/internal/stack"
)

func resetCommand() *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:     "reset",
		Short:   "Remove the containers and the data, after asking",
		Example: "  oneserver reset",
		Args:    cobra.NoArgs,
		RunE: onSite(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return lifecycle.Reset(ctx, s, os.Stdin, os.Stdout, yes)
		}),
	}
	command.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return command
}

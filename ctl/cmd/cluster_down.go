package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/cluster"
	"oneserver/ctl/internal/stack"
)

func clusterDownCommand() *cobra.Command {
	var name string
	var yes bool
	command := &cobra.Command{
		Use:     "cluster-down",
		Short:   "Remove the three servers in containers, or the stack from three real ones; the data after asking",
		Example: "  oneserver cluster-down",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return cluster.Down(ctx, s, name, os.Stdin, os.Stdout, yes)
		}),
	}
	clusterName(command, &name)
	command.Flags().BoolVar(&yes, "yes", false, "remove the data too, without asking")
	return command
}

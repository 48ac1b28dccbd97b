package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/cluster"
	"oneserver/ctl/internal/stack"
)

func clusterRecoverCommand() *cobra.Command {
	var name string
	var without []string
	command := &cobra.Command{
		Use:   "cluster-recover",
		Short: "Form the group again after all databases were lost, from the one that has everything",
		Long: `Form the group again after all databases were lost, from the one that has everything.

It needs all three servers, and refuses if none of the databases has every transaction of the others. A server that is gone for
good can be left out; what only it had is then lost.`,
		Example: "  oneserver cluster-recover\n  oneserver cluster-recover --without c",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return cluster.Recover(ctx, s, name, without, os.Stdout)
		}),
	}
	clusterName(command, &name)
	command.Flags().StringSliceVar(&without, "without", nil, "a server that is gone for good: a, b or c")
	return command
}

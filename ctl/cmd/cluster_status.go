package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/cluster"
	"oneserver/ctl/internal/stack"
)

func clusterStatusCommand() *cobra.Command {
	var name string
	var asJSON bool
	command := &cobra.Command{
		Use:   "cluster-status",
		Short: "Show the three servers: services, members of the group, certificates, releases",
		Long: `Show the three servers: services, members of the group, certificates, releases.

Lag is how many transactions of the primary a database had not executed yet, and queue how many of them it had received.
The exit code is 0 only if everything is there and healthy.`,
		Example: "  oneserver cluster-status --json",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			status, err := cluster.Look(ctx, s, name)
			if err != nil {
				return err
			}
			if err := printed(asJSON, status, func(out *os.File) error { return status.Print(out) }); err != nil {
				return err
			}
			return status.Err()
		}),
	}
	clusterName(command, &name)
	command.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return command
}

package cmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

func deployCommand() *cobra.Command {
	var replicas int
	var command *cobra.Command
	command = &cobra.Command{
		Use:   "deploy",
		Short: "Build the application and replace the running release with it, without a failed request",
		Long: `Build the application and replace the running release with it, without a failed request.

Migrations run first, once; a release whose migrations would remove what the running one uses is refused. The new release
starts beside the old one. It must become healthy and answer our own requests, directly and then through Nginx, in a trial
in which the old one answers what it cannot. Only then is the old one drained and stopped; otherwise the old one stays.`,
		Example: "  oneserver deploy --replicas 2",
		Args:    cobra.NoArgs,
		RunE: onSite(func(ctx context.Context, s *stack.Stack, _ []string) error {
			if command.Flags().Changed("replicas") && replicas < 1 {
				return errors.New("at least one replica must answer; docker compose stop app stops them all")
			}
			return deploy.Deploy(ctx, s, os.Stdout, replicas)
		}),
	}
	command.Flags().IntVar(&replicas, "replicas", 0, "how many replicas to run (default as many as now)")
	return command
}

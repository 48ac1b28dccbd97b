package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

func reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "reload",
		Short:   "Check nginx.conf, corefile, zone and static files, and begin to serve them",
		Example: "  oneserver reload",
		Args:    cobra.NoArgs,
		RunE: onSite(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return deploy.Reload(ctx, s, os.Stdout)
		}),
	}
}

package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

func restartDBCommand() *cobra.Command {
	var options deploy.RestartOptions
	command := &cobra.Command{
		Use:   "restart-db",
		Short: "Restart MySQL while requests wait for it",
		Long: `Restart MySQL while requests wait for it.

Its settings in compose.yaml are tried first, without data. If MySQL refuses them, nothing is replaced. If it accepts them
but does not become healthy, the previous image and flags return. From a newer series of MySQL (9.7 to 9.8) there is no way
back, since it changes the data: that change requires a backup of the last day in backups/, or --force.`,
		Example: "  oneserver restart-db",
		Args:    cobra.NoArgs,
		RunE: onSite(func(ctx context.Context, s *stack.Stack, _ []string) error {
			options.Backed = func(ctx context.Context, uuid string) error {
				return backup.Fresh(ctx, s.Path(backup.Folder), uuid)
			}
			if err := deploy.Recover(ctx, s, os.Stdout); err != nil {
				return err
			}
			return deploy.RestartDatabase(ctx, s, os.Stdout, options)
		}),
	}
	command.Flags().BoolVar(&options.Force, "force", false, "even if there is no way back and no backup")
	return command
}

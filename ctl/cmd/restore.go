package cmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

func restoreCommand() *cobra.Command {
	var options backup.RestoreOptions
	var forget bool
	command := &cobra.Command{
		Use:   "restore [BACKUP]",
		Short: "Restore the site's data to a backup or to a moment, after asking",
		Long: `Restore the site's data to a backup or to a moment, after asking. BACKUP is a folder of backups/; without one it is
the newest suitable one. A relative path is taken from the repository's root.

The data is built in a throw-away MySQL, compared with the backup, and then replaces the site's in one statement; the site
answers meanwhile. The previous data, including what was written until then, is moved into the schema foobar_before, which
stays until the next restore.

--to restores what was committed before a moment, from the backup before it and the binary logs that follow.`,
		Example: "  oneserver restore backups/2026-11-23T03-00-00Z\n  oneserver restore --to '2026-11-23 10:00:00'",
		Args:    cobra.MaximumNArgs(1),
		RunE: onSite(func(ctx context.Context, s *stack.Stack, args []string) error {
			if forget {
				return backup.Forget(ctx, s, os.Stdout)
			}
			options.File = s.Path(optional(args))
			options.Dir, options.Key = s.Path(options.Dir), s.Path(options.Key)
			if err := deploy.Recover(ctx, s, os.Stdout); err != nil {
				return err
			}
			return backup.Restore(ctx, s, os.Stdin, os.Stdout, options)
		}),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
	}
	flags := command.Flags()
	flags.StringVar(&options.Dir, "dir", backup.Folder, "where the backups are")
	flags.StringVar(&options.To, "to", "", `a moment in UTC: "2026-11-23 10:00:00", with a fraction if needed`)
	flags.StringVar(&options.Key, "key", "", "the file with the secret key, if the backup is encrypted")
	flags.BoolVar(&options.Unsigned, "unsigned", false, "with a key, accept even a backup without a signature")
	flags.BoolVar(&options.Yes, "yes", false, "do not ask")
	flags.BoolVar(&forget, "forget", false, "restore nothing, but drop the data from before the last restore")
	cobra.CheckErr(errors.Join(command.MarkFlagFilename("key"), command.MarkFlagDirname("dir")))
	return command
}

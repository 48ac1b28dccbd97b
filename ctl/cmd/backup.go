package cmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/stack"
)

func backupCommand() *cobra.Command {
	var options backup.Options
	var newKey string
	command := &cobra.Command{
		Use:   "backup",
		Short: "Copy the site's data into a folder of backups/, while the site keeps running",
		Long: `Copy the site's data into a folder of backups/, while the site keeps running: a dump in one consistent view, compressed and
compared with its checksum, with the binary logs that lead from the previous backup to this one. A relative path is
taken from the repository's root.

A key is a file as --new-key or age-keygen makes it (https://age-encryption.org). What --new-key writes beside it,
FILE.server, is enough to make and sign backups, but cannot open any. Without the secret key, the backups are lost.

A checksum shows damage, but anyone who changes a file can change its checksum too. A signature shows that a backup was
made with the key; a restore with a key refuses a backup without one. Anyone who can write to the backups can still remove
the newest ones.`,
		Example: "  oneserver backup --new-key ../backup.key\n  oneserver backup --key ../backup.key.server --keep 30",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			if newKey != "" { // possibly on another machine, without Docker
				return backup.NewKey(os.Stdout, s.Path(newKey))
			}
			if err := s.CheckOwn(ctx); err != nil {
				return err
			}
			options.Dir, options.Key = s.Path(options.Dir), s.Path(options.Key)
			return backup.Make(ctx, s, os.Stdout, options)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Dir, "dir", backup.Folder, "where the backups are")
	flags.StringVar(&options.Key, "key", "", "encrypt to the key in this file")
	flags.IntVar(&options.Keep, "keep", 7, "how many backups to keep, including this one")
	flags.StringVar(&newKey, "new-key", "", "make no backup, but a key in this new file, and beside it a file with what a server needs of the key")
	cobra.CheckErr(errors.Join(command.MarkFlagFilename("key"), command.MarkFlagFilename("new-key"), command.MarkFlagDirname("dir")))
	return command
}

package main

import (
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

// backupCommand makes a backup.
func backupCommand(site *stack.Stack) *cobra.Command {
	var options backup.Options
	var newKey string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy the site's data into a folder of backups/, while the site goes on",
		Long: `Copy the site's data into a folder of backups/, while the site goes on: a dump in one consistent view, compressed and
compared with its checksum, with the binary logs that lead from the backup before to this one. A relative path is
taken from the repository's root.

A key is a file as --new-key or age-keygen makes it (https://age-encryption.org). What --new-key writes beside it,
FILE.server, is enough to make backups and to sign them, and opens none. Who has lost the secret key has lost the backups.

A checksum shows damage; who changes a file can change its checksum too. A signature shows that a backup was made with
the key: a restore with a key refuses one without. Who can write to the backups can still remove the newest ones.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if newKey != "" {
				return backup.NewKey(os.Stdout, site.Path(newKey))
			}
			options.Dir, options.Key = site.Path(options.Dir), site.Path(options.Key)
			return backup.Make(cmd.Context(), site, os.Stdout, options)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.Dir, "dir", "backups", "where the backups are")
	flags.StringVar(&options.Key, "key", "", "encrypt to the key in this file")
	flags.IntVar(&options.Keep, "keep", 7, "how many backups stay, this one included")
	flags.StringVar(&newKey, "new-key", "", "make no backup, but a key for it in this new file, and what a server needs of it beside it")
	return cmd
}

// restoreCommand brings a backup or a moment back.
func restoreCommand(site *stack.Stack) *cobra.Command {
	var options backup.RestoreOptions
	var forget bool
	cmd := &cobra.Command{
		Use:   "restore [BACKUP]",
		Short: "Put the site's data back to a backup or to a moment, after asking",
		Long: `Put the site's data back to a backup or to a moment, after asking. BACKUP is a folder of backups/; without one it is
the newest that fits. A relative path is taken from the repository's root.

The data is built in a throw-away MySQL, compared with the backup, and then takes the place of the site's in one
statement; the site answers meanwhile. What it writes until then is moved away with the rest of what was there, into the schema
foobar_before, which stays until the next restore.

--to brings back what was committed before a moment: the backup before it, and the binary logs from there.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if forget {
				return backup.Forget(cmd.Context(), site, os.Stdout)
			}
			if len(args) > 0 { // make hands on an empty one where its user gave none
				options.File = site.Path(args[0])
			}
			options.Dir, options.Key = site.Path(options.Dir), site.Path(options.Key)
			if err := deploy.Recover(cmd.Context(), site, os.Stdout); err != nil {
				return err
			}
			return backup.Restore(cmd.Context(), site, os.Stdin, os.Stdout, options)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.Dir, "dir", "backups", "where the backups are")
	flags.StringVar(&options.To, "to", "", `a moment in UTC: "2026-11-23 10:00:00", with a fraction where it matters`)
	flags.StringVar(&options.Key, "key", "", "the file with the secret key, where the backup is encrypted")
	flags.BoolVar(&options.Unsigned, "unsigned", false, "with a key, also take a backup that nobody has signed")
	flags.BoolVar(&options.Yes, "yes", false, "do not ask")
	flags.BoolVar(&forget, "forget", false, "restore nothing, but drop what was there before the last restore")
	return cmd
}

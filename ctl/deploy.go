package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/stack"
)

// deployCommands are those that change a running site while visitors use it.
func deployCommands(site *stack.Stack) []*cobra.Command {
	command := func(use, short, long string, do func(context.Context, *stack.Stack, io.Writer) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return do(cmd.Context(), site, os.Stdout) }}
	}
	var replicas int
	var release *cobra.Command
	release = command("deploy", "Build the application and put it in the place of what runs, without a failed request",
		`Build the application and put it in the place of what runs, without a failed request.

Migrations run first, once; a release whose migrations would take from the running one what it uses is refused. The new
release starts beside the old one. Only when it is healthy, has answered requests of ours, directly and through Nginx, in a
trial, in which the old one answers what it cannot, is the old one drained and stopped. Otherwise the old one stays.`,
		func(ctx context.Context, site *stack.Stack, _ io.Writer) error {
			if release.Flags().Changed("replicas") && replicas < 1 {
				return errors.New("at least one replica must answer; docker compose stop app stops them all")
			}
			return deploy.Deploy(ctx, site, os.Stdout, replicas)
		})
	release.Flags().IntVar(&replicas, "replicas", 0, "how many replicas there shall be (default as many as there are)")
	var options deploy.RestartOptions
	restart := command("restart-db", "Restart MySQL while requests wait for it",
		`Restart MySQL while requests wait for it.

What compose.yaml says of it is tried first, on no data; a MySQL that refuses it replaces nothing. One that accepts it and
does not become healthy makes way again for the image and the flags before it. From a newer series of MySQL (9.7 to 9.8)
there is no such way, as it changes the data: that takes a backup of the last day in backups/, or --force.`,
		func(ctx context.Context, site *stack.Stack, out io.Writer) error {
			options.Backed = func(ctx context.Context, uuid string) error {
				return backup.Fresh(ctx, site.Path("backups"), uuid)
			}
			if err := deploy.Recover(ctx, site, out); err != nil {
				return err
			}
			return deploy.RestartDatabase(ctx, site, out, options)
		})
	restart.Flags().BoolVar(&options.Force, "force", false, "also where there is no way back and no backup")
	return []*cobra.Command{
		release,
		command("rollback", "Put the release before this one in its place again", "", deploy.Rollback),
		command("reload", "Check nginx.conf, corefile, zone and static files, and have them served", "", deploy.Reload),
		restart,
	}
}

package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
)

func loadCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "load [FILE]",
		Short:   "Read such an archive",
		Long:    "Read an archive that bundle wrote. A relative FILE is taken from the repository's root; without one, bundle's own name.",
		Example: "  oneserver load /media/stick/oneserver.tar.gz",
		Args:    cobra.MaximumNArgs(1),
		RunE: withImages(func(ctx context.Context, cli docker.CLI, out *images.Reporter, args []string) error {
			return images.Load(ctx, cli, out, optional(args))
		}),
		ValidArgsFunction: cobra.FixedCompletions([]string{"tar.gz"}, cobra.ShellCompDirectiveFilterFileExt),
	}
}

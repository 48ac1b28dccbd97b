package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
)

func loadCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "load [FILE]",
		Short:   "Read an archive that bundle wrote",
		Long:    "Read an archive that bundle wrote. A relative FILE is taken from the repository's root; without one, bundle's own name.",
		Example: "  oneserver load /media/stick/oneserver.tar.gz",
		Args:    cobra.MaximumNArgs(1),
		RunE: withImages(func(ctx context.Context, s *stack.Stack, out *images.Runner, args []string) error {
			return images.Load(ctx, s, out, optional(args))
		}),
		ValidArgsFunction: cobra.FixedCompletions([]string{"tar.gz"}, cobra.ShellCompDirectiveFilterFileExt),
	}
}

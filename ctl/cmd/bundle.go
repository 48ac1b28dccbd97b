package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
)

func bundleCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "bundle [FILE]",
		Short:   "Write all images of the stack into one archive",
		Long:    "Write all images of the stack into one archive. A relative FILE is taken from the repository's root.",
		Example: "  oneserver bundle /media/stick/oneserver.tar.gz",
		Args:    cobra.MaximumNArgs(1),
		RunE: withImages(func(ctx context.Context, s *stack.Stack, out *images.Runner, args []string) error {
			return images.Bundle(ctx, s, out, optional(args))
		}),
		ValidArgsFunction: cobra.FixedCompletions([]string{"tar.gz"}, cobra.ShellCompDirectiveFilterFileExt),
	}
}

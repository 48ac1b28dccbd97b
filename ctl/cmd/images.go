package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
)

func imagesCommand() *cobra.Command {
	var keep bool
	command := &cobra.Command{
		Use:   "images",
		Short: "Pull or build every image; without a registry, build stand-ins from Debian packages",
		Long: "Pull or build every image; without a registry, build stand-ins from Debian packages. Official images take the place of\n" +
			"stand-ins if they can now be pulled, but only in this command, and not while a container runs on the stand-in.",
		Example: "  oneserver images",
		Args:    cobra.NoArgs,
		RunE: withImages(func(ctx context.Context, s *stack.Stack, out *images.Runner, _ []string) error {
			return images.Renew(ctx, s, out, !keep)
		}),
	}
	command.Flags().BoolVar(&keep, "keep", false, "keep stand-ins, built from the present sources")
	return command
}

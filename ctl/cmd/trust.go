package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/trust"
)

func trustCommand() *cobra.Command {
	var remove bool
	command := &cobra.Command{
		Use:     "trust",
		Short:   "Show how to make this machine trust the stack's own authority for https",
		Long:    "Show how to make this machine, and its browsers, trust the stack's own authority for https. It changes nothing but ca.crt.",
		Example: "  oneserver trust --remove",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return trust.Tell(ctx, s, os.Stdout, remove)
		}),
	}
	command.Flags().BoolVar(&remove, "remove", false, "show how to undo it")
	return command
}

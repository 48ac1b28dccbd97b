package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/trace"
)

func traceCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "trace [URL]",
		Short: "Send one request and follow it through every part, its SQL included",
		Long: "Send one GET request and follow it through every part, its SQL included. URL is an address of this site, over http or https,\n" +
			"or a path on it; without one, that of the newest posts. The request goes to this machine, whatever the name server\n" +
			"says. Over https the certificate must be of the stack's own authority, or of one that this machine trusts.",
		Example: "  oneserver trace\n  oneserver trace https://www.foobar.com/\n  oneserver trace --json /api/v1/posts?limit=1",
		Args:    cobra.MaximumNArgs(1),
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, args []string) error {
			t, err := trace.Run(ctx, s, optional(args))
			switch {
			case err != nil:
				return err
			case asJSON:
				return t.PrintJSON(os.Stdout)
			}
			return t.Print(os.Stdout)
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

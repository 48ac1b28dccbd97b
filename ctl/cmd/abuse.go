package cmd

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/abuse"
	"oneserver/ctl/internal/abuse/attack"
	"oneserver/ctl/internal/stack"
)

func abuseCommand() *cobra.Command {
	var options abuse.Options
	var asJSON bool
	var names []cobra.Completion
	for _, one := range attack.All {
		names = append(names, cobra.CompletionWithDesc(one.Name, one.Says))
	}
	command := &cobra.Command{
		Use:   "abuse [NAME ...]",
		Short: "Act as hostile visitors, on a copy of the stack, and report what that costs another visitor",
		Long: `Act as hostile visitors, on a copy of the stack, and report what that costs another visitor.

Each abuse runs beside a visitor who sends 20 requests a second. A control then replaces it by visitors who use as much
processor time with allowed requests. None of the visitor's requests may fail, their median time may be at most twice that
of the control, nothing may be killed for lack of memory, and the growth of the database is limited; otherwise the command
exits with 1. An abuse that breaks only the bound on the median runs once more, and counts only if it breaks it again.

` + abuse.Names(),
		Example: "  oneserver abuse --each 10m search posts",
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, args []string) error {
			options.Only = args
			outcomes, err := abuse.Run(ctx, s, os.Stderr, options)
			if len(outcomes) > 0 {
				if failed := printed(asJSON, outcomes, func(out *os.File) error { return abuse.Print(out, outcomes) }); failed != nil {
					return failed
				}
			}
			if err == nil && abuse.Broken(outcomes) {
				err = abuse.ErrBroken
			}
			return err
		}),
		ValidArgs: names,
	}
	command.Flags().DurationVar(&options.Each, "each", time.Minute, "how long each abuse, and each control: 15s, 10m")
	command.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return command
}

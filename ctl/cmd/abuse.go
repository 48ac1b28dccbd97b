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
		Short: "Play what hostile visitors do, on a copy of the stack, and say what it costs another one",
		Long: `Play what hostile visitors do, on a copy of the stack, and say what it costs another one.

Each abuse is held beside a visitor who asks 20 times a second, and then again those who burn as much processor time by what is
allowed are. None of the visitor's requests may fail, the median may be at most twice the one beside what is allowed, nothing may be killed
for memory, and the database may grow by so much and no more; else it exits with 1. What broke the bound on the median alone is played
once more, and broke it if it does so again.

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

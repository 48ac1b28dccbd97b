package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/doctor"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "Report what would keep the stack from starting, and what to do about it",
		Example: "  oneserver doctor",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			findings := doctor.Examine(ctx, s)
			doctor.Print(os.Stdout, findings, doctor.OK, terminal.Colour(os.Stdout))
			return doctor.Verdict(findings)
		}),
	}
}

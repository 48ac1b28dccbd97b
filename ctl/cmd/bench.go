package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/bench"
	"oneserver/ctl/internal/stack"
)

func benchCommand() *cobra.Command {
	var options bench.Options
	var seconds int
	var asJSON, idle bool
	command := &cobra.Command{
		Use:     "bench",
		Short:   "Measure the figures that this project promises, on a copy of the stack",
		Example: "  oneserver bench --rows 10000000",
		Args:    cobra.NoArgs,
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, _ []string) error {
			if idle {
				report, err := bench.MeasureIdle(ctx, s, os.Stderr)
				if err != nil {
					return err
				}
				return printed(asJSON, report, func(out *os.File) error { return report.Print(out) })
			}
			options.Each = time.Duration(seconds) * time.Second
			report, err := bench.Run(ctx, s, os.Stderr, options)
			if err != nil {
				return err
			}
			if err := printed(asJSON, report, report.Print); err != nil {
				return err
			}
			file := s.Path(filepath.Join("drills", time.Now().Format("2006-01-02-150405")+"-bench.md"))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, report.Markdown(), 0o644); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "the same as Markdown: %s\n", file)
			return nil
		}),
	}
	command.Flags().IntVar(&options.Rows, "rows", 2_500_000, "posts in the large table; a million take about half a gigabyte of disk")
	command.Flags().IntVar(&options.Rounds, "rounds", 6, "how often everything is measured; every other round backwards")
	command.Flags().IntVar(&seconds, "seconds", 4, "how long each time")
	command.Flags().BoolVar(&idle, "idle", false, "measure instead, for five minutes, what the running stack uses while nobody visits it")
	command.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return command
}

package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/bench"
	"oneserver/ctl/internal/stack"
)

// benchCommand makes `ctl bench`; site is filled in by the time it runs.
func benchCommand(site *stack.Stack) *cobra.Command {
	var options bench.Options
	var seconds int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the figures that this project promises, on a copy of the stack",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Each = time.Duration(seconds) * time.Second
			report, err := bench.Run(cmd.Context(), site, os.Stderr, options)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(os.Stdout)
				out.SetIndent("", "  ")
				return out.Encode(report)
			}
			return report.Print(os.Stdout)
		},
	}
	cmd.Flags().IntVar(&options.Rows, "rows", 2_500_000, "posts in the large table; a million take about half a gigabyte of disk")
	cmd.Flags().IntVar(&options.Rounds, "rounds", 8, "how often everything is measured; every other round backwards")
	cmd.Flags().IntVar(&seconds, "seconds", 4, "how long each time")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

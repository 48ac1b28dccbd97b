package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/drill"
	"oneserver/ctl/internal/stack"
)

// drillCommand is the command that measures the three issues, with one command of its own for each.
func drillCommand(site *stack.Stack) *cobra.Command {
	var options drill.Options
	root := &cobra.Command{
		Use:   "drill",
		Short: "Measure what one server cannot do: break the running stack on purpose, under load",
		Long: `Measure what one server cannot do: break the running stack on purpose, under load.

A drill holds a steady load on the site from outside, does something to the stack at a set moment, and says what
visitors met and what became of every write. It needs a stack that is up, works on that one project and no other, and
leaves it as it was, also after Ctrl-C. A relative folder is taken from the repository's root.`,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&options.Project, "project", "", "the Compose project that the drill may touch (default the one of this checkout)")
	flags.Float64Var(&options.Rate, "rate", 0, "requests a second; where scale begins (default 100)")
	flags.StringVar(&options.Out, "out", "", "the folder of the report (default a new one in drills/)")

	run := func(names []string) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			return drill.Run(cmd.Context(), site, os.Stdout, names, options)
		}
	}
	for _, name := range drill.Names() {
		one := &cobra.Command{
			Use:   name,
			Short: drill.Title(name),
			Args:  cobra.NoArgs,
			RunE:  run([]string{name}),
		}
		if events := drill.Events(name); len(events) > 0 {
			one.Flags().StringVar(&options.Event, "event", "", "hold this event only: "+strings.Join(events, ", "))
		}
		root.AddCommand(one)
	}
	root.AddCommand(
		&cobra.Command{
			Use:   "all",
			Short: "All of them, with one report",
			Args:  cobra.NoArgs,
			RunE:  run(drill.Names()),
		},
		&cobra.Command{
			Use:   "compare A B",
			Short: "Put the results of two drills side by side, by the folders of their reports",
			Args:  cobra.ExactArgs(2),
			RunE: func(_ *cobra.Command, dirs []string) error {
				return drill.Compare(site, os.Stdout, dirs[0], dirs[1])
			},
		},
	)
	return root
}

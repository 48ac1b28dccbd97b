package cmd

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/drill"
	"oneserver/ctl/internal/stack"
)

// drillCommand returns the command drill, which has a subcommand for each of the three issues that it measures.
func drillCommand() *cobra.Command {
	var options drill.Options
	root := &cobra.Command{
		Use:   "drill",
		Short: "Measure what one server cannot do: break the running stack on purpose, under load",
		Long: `Measure what one server cannot do: break the running stack on purpose, under load.

A drill puts a steady load on the site from outside, takes an action at a set moment, and reports what visitors met and
what became of every write. It needs a stack that is up, works on that one project only, and leaves it as it was, even
after Ctrl-C. A relative folder is taken from the repository's root.`,
		Example: "  oneserver drill spof --action kill-db\n  oneserver drill upkeep --rate 200",
		Args:    knownCommand,
		RunE:    printHelp,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&options.Project, "project", "", "the Compose project that the drill may touch (default the one of this checkout)")
	flags.Float64Var(&options.Rate, "rate", 0, "requests a second; where scale begins (default 100)")
	flags.StringVar(&options.Out, "out", "", "the folder of the report (default a new one in drills/)")
	cobra.CheckErr(root.MarkPersistentFlagDirname("out"))

	run := func(names []string) func(*cobra.Command, []string) error {
		return onSite(func(ctx context.Context, s *stack.Stack, _ []string) error {
			return drill.Run(ctx, s, os.Stdout, names, options)
		})
	}
	for _, name := range drill.Names() {
		one := &cobra.Command{
			Use:     name,
			Short:   drill.Title(name),
			Example: "  oneserver drill " + name,
			Args:    cobra.NoArgs,
			RunE:    run([]string{name}),
		}
		if actions := drill.Actions(name); len(actions) > 0 {
			one.Flags().StringVar(&options.Action, "action", "", "take this action only: "+strings.Join(actions, ", "))
			cobra.CheckErr(one.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(actions, cobra.ShellCompDirectiveNoFileComp)))
		}
		root.AddCommand(one)
	}
	root.AddCommand(
		&cobra.Command{
			Use:     "all",
			Short:   "All of them, with one report",
			Example: "  oneserver drill all --out drills/before",
			Args:    cobra.NoArgs,
			RunE:    run(drill.Names()),
		},
		&cobra.Command{
			Use:     "compare A B",
			Short:   "Put the results of two drills side by side, by the folders of their reports",
			Example: "  oneserver drill compare drills/before drills/after",
			Args:    cobra.ExactArgs(2),
			RunE: inRepository(func(_ context.Context, s *stack.Stack, dirs []string) error {
				return drill.Compare(s, os.Stdout, dirs[0], dirs[1])
			}),
			ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		},
	)
	return root
}

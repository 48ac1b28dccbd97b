// Package cmd has the commands of oneserver, a file for each: its flags, what it says of itself, and the call of the package
// that does the work. The Makefile is their user; each command is one of its targets.
package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// Root returns the command that has all others.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:           "oneserver",
		Short:         "Drive the stack of compose.yaml",
		SilenceUsage:  true,
		SilenceErrors: true, // main prints them
		Args:          knownCommand,
		RunE:          printHelp,
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(
		upCommand(), resetCommand(), doctorCommand(), traceCommand(), trustCommand(),
		deployCommand(), releasesCommand(), rollbackCommand(), reloadCommand(), restartDBCommand(),
		backupCommand(), restoreCommand(),
		imagesCommand(), bundleCommand(), loadCommand(),
		drillCommand(), benchCommand(), abuseCommand(),
	)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return seeHelp(c, wanted(err)) })
	checkArgs(root)
	return root
}

// printHelp is what a command does that only has others.
func printHelp(command *cobra.Command, _ []string) error { return command.Help() }

// knownCommand refuses a name that is none of the command's.
func knownCommand(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	command.SuggestionsMinimumDistance = 2 // letters
	meant := ""
	if near := command.SuggestionsFor(args[0]); len(near) > 0 {
		meant = ", perhaps " + strings.Join(near, " or ")
	}
	return fmt.Errorf("%s has no command %q%s", command.CommandPath(), args[0], meant)
}

// checkArgs makes a command that is given arguments which it does not take name its help.
func checkArgs(command *cobra.Command) {
	if check := command.Args; check != nil {
		command.Args = func(c *cobra.Command, args []string) error { return seeHelp(c, check(c, args)) }
	}
	for _, child := range command.Commands() {
		checkArgs(child)
	}
}

// wanted says of a flag's value what the flag takes, rather than how Go failed to read it.
func wanted(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	flag := invalid.GetFlag()
	kind, known := map[string]string{"int": "a whole number", "bool": "true or false", "duration": "a time such as 90s or 5m", "float64": "a number"}[flag.Value.Type()]
	if !known {
		return err
	}
	return fmt.Errorf("--%s takes %s, and not %q", flag.Name, kind, invalid.GetValue())
}

func seeHelp(command *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: see %s --help", err, command.CommandPath())
}

// unwanted are the variables that would make docker and Compose do something else than they are asked for here, without a
// word: docs/troubleshooting.md has all that this machine's environment can change.
var unwanted = []string{
	"DOCKER_DEFAULT_PLATFORM", // images of another processor than the engine's
	"COMPOSE_COMPATIBILITY",   // other names of containers, and other limits
	"COMPOSE_REMOVE_ORPHANS",  // up removes what it does not know
	"COMPOSE_STATUS_STDOUT",   // progress among what we read
}

// inRepository makes what a command does of work on the stack of the repository that its user is in.
func inRepository(work func(ctx context.Context, s *stack.Stack, args []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		for _, name := range unwanted {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
		root, err := stack.FindRoot(dir)
		if err != nil {
			return err
		}
		return work(command.Context(), stack.New(root), args)
	}
}

// onSite is inRepository for what changes the site or its data: those of this clone, and not of another.
func onSite(work func(ctx context.Context, s *stack.Stack, args []string) error) func(*cobra.Command, []string) error {
	return inRepository(func(ctx context.Context, s *stack.Stack, args []string) error {
		if err := s.CheckOwn(ctx); err != nil {
			return err
		}
		return work(ctx, s, args)
	})
}

// withImages is inRepository for work on images, which takes Compose and somebody to report to.
func withImages(work func(ctx context.Context, s *stack.Stack, out *images.Runner, args []string) error) func(*cobra.Command, []string) error {
	return inRepository(func(ctx context.Context, s *stack.Stack, args []string) error {
		out := images.NewRunner(terminal.NewTeller(os.Stdout))
		if _, err := images.EnsurePlugin(ctx, s, out, docker.Compose); err != nil {
			return err
		}
		return work(ctx, s, out, args)
	})
}

// printed prints a report, or the same for a program.
func printed(asJSON bool, report any, print func(*os.File) error) error {
	if !asJSON {
		return print(os.Stdout)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(report)
}

// optional returns the argument of a command that takes one or none; make hands on an empty one where its user gave none.
func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// Package cmd holds the commands of oneserver, one file for each: its flags, its help, and the call to the package that does
// the work. The Makefile calls them; each command is one of its targets.
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

// Root returns the command that contains all others.
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
		clusterCommand(), clusterStatusCommand(), clusterRecoverCommand(), clusterDownCommand(),
	)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return seeHelp(c, wanted(err)) })
	checkArgs(root)
	return root
}

// printHelp is the action of a command that only contains others.
func printHelp(command *cobra.Command, _ []string) error { return command.Help() }

// knownCommand refuses an argument that is not the name of a subcommand.
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

// checkArgs makes a command refer to its help when it gets arguments that it does not accept.
func checkArgs(command *cobra.Command) {
	if check := command.Args; check != nil {
		command.Args = func(c *cobra.Command, args []string) error { return seeHelp(c, check(c, args)) }
	}
	for _, child := range command.Commands() {
		checkArgs(child)
	}
}

// wanted replaces Go's parse error for a flag with a description of the values that the flag accepts.
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

// unwanted lists the variables that would silently change what docker and Compose do here. docs/troubleshooting.md lists
// everything in this machine's environment that has an effect.
var unwanted = []string{
	"DOCKER_DEFAULT_PLATFORM", // images for another processor than the engine's
	"COMPOSE_COMPATIBILITY",   // other container names, and other limits
	"COMPOSE_REMOVE_ORPHANS",  // up removes containers that it does not know
	"COMPOSE_STATUS_STDOUT",   // mixes progress into the output that we read
}

// inRepository returns a command's action, which calls work with the stack of the repository that contains the current
// folder.
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

// onSite is like inRepository, for commands that change the site or its data. It refuses the site of another clone.
func onSite(work func(ctx context.Context, s *stack.Stack, args []string) error) func(*cobra.Command, []string) error {
	return inRepository(func(ctx context.Context, s *stack.Stack, args []string) error {
		if err := s.CheckOwn(ctx); err != nil {
			return err
		}
		return work(ctx, s, args)
	})
}

// withImages is like inRepository, for commands that work on images: they need Compose, and a Runner to report progress to.
func withImages(work func(ctx context.Context, s *stack.Stack, out *images.Runner, args []string) error) func(*cobra.Command, []string) error {
	return inRepository(func(ctx context.Context, s *stack.Stack, args []string) error {
		out := images.NewRunner(terminal.NewTeller(os.Stdout))
		if _, err := images.EnsurePlugin(ctx, s, out, docker.Compose); err != nil {
			return err
		}
		return work(ctx, s, out, args)
	})
}

// printed prints a report as text or, if asJSON is set, as JSON.
func printed(asJSON bool, report any, print func(*os.File) error) error {
	if !asJSON {
		return print(os.Stdout)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(report)
}

// optional returns the argument of a command that takes at most one. If the user gives none, make passes an empty argument.
func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

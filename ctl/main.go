// Command ctl drives the stack of compose.yaml: it checks what could keep it from starting, starts it, takes it away,
// and gets and moves its images. The Makefile is its user; each command is one of its targets.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/doctor"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/lifecycle"
	"oneserver/ctl/internal/stack"
)

const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells have it: 128 and the number of the signal
)

// errUsage is a command line that cannot be understood.
var errUsage = errors.New("see --help")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends this program at once
	err := command().ExecuteContext(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "interrupted; the same command goes on from here")
		os.Exit(exitInterrupted)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailure)
	}
}

func command() *cobra.Command {
	var cli docker.CLI // where the repository's root is, from where everything runs
	root := &cobra.Command{
		Use:           "ctl",
		Short:         "Drive the stack of compose.yaml",
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true, // main prints them
		PersistentPreRunE: func(*cobra.Command, []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			cli.Dir, err = stack.FindRoot(dir)
			return err
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", err, errUsage) })

	var quiet, yes bool
	doctorCommand := &cobra.Command{
		Use:   "doctor",
		Short: "Say what would keep the stack from starting, and what to do about it",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from := doctor.OK
			if quiet {
				from = doctor.Warning
			}
			findings := doctor.Examine(cmd.Context(), cli)
			doctor.Print(os.Stdout, findings, from, colour())
			return doctor.Verdict(findings)
		},
	}
	doctorCommand.Flags().BoolVar(&quiet, "quiet", false, "print warnings and errors only")
	resetCommand := &cobra.Command{
		Use:   "reset",
		Short: "Remove the containers and the data, after asking",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lifecycle.Reset(cmd.Context(), cli, os.Stdin, os.Stdout, yes)
		},
	}
	resetCommand.Flags().BoolVar(&yes, "yes", false, "do not ask")
	root.AddCommand(
		doctorCommand,
		&cobra.Command{
			Use:   "up",
			Short: "Check, make what is missing, start everything, wait until it is healthy",
			Args:  usage(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return lifecycle.Up(cmd.Context(), cli, os.Stdout, colour())
			},
		},
		&cobra.Command{
			Use:   "images",
			Short: "Pull or build every image; without a registry, build stand-ins from Debian packages",
			Args:  usage(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				reporter := images.NewReporter(os.Stdout)
				if err := images.EnsurePlugins(cmd.Context(), cli, reporter); err != nil {
					return err
				}
				return images.Ensure(cmd.Context(), cli, reporter)
			},
		},
		&cobra.Command{
			Use:   "bundle [FILE]",
			Short: "Write all images of the stack into one archive",
			Long:  "Write all images of the stack into one archive. A relative FILE is taken from the repository's root.",
			Args:  usage(cobra.MaximumNArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				reporter := images.NewReporter(os.Stdout)
				if err := images.EnsurePlugins(cmd.Context(), cli, reporter); err != nil {
					return err
				}
				return images.Bundle(cmd.Context(), cli, reporter, first(args))
			},
		},
		&cobra.Command{
			Use:   "load [FILE]",
			Short: "Read such an archive",
			Long:  "Read an archive that bundle wrote. A relative FILE is taken from the repository's root; without one, bundle's own name.",
			Args:  usage(cobra.MaximumNArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				reporter := images.NewReporter(os.Stdout)
				if err := images.EnsurePlugins(cmd.Context(), cli, reporter); err != nil {
					return err
				}
				return images.Load(cmd.Context(), cli, reporter, first(args))
			},
		},
		resetCommand,
	)
	return root
}

// usage makes a mistake in the arguments one of usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %w", err, errUsage)
		}
		return nil
	}
}

// first is the argument, or nothing: make hands on an empty one where its user gave none.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// colour says whether what is printed may have colours: on a terminal, and not where NO_COLOR is set
// (https://no-color.org).
func colour() bool {
	return term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}

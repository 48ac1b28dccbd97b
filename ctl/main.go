// Command ctl drives the stack of compose.yaml: it checks what could keep it from starting, starts it, follows a request
// through it, backs its data up and restores it, takes it away, and gets and moves its images. The Makefile is its user;
// each command is one of its targets.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/backup"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/doctor"
	"oneserver/ctl/internal/drill"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/lifecycle"
	"oneserver/ctl/internal/server"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/trace"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP) // the terminal is gone
	}
	signal.Ignore(syscall.SIGPIPE) // nobody reads what we say any more: no reason to leave a site half changed
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends this program at once
	err := command().ExecuteContext(ctx)
	if err == nil {
		return
	}
	if ctx.Err() != nil && !errors.Is(err, lifecycle.ErrDeclined) && !errors.Is(err, drill.ErrInterrupted) && !errors.Is(err, backup.ErrUnchanged) {
		err = errors.New("interrupted; the same command goes on from here")
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func command() *cobra.Command {
	site := new(stack.Stack) // of the repository's root, which is found when a command runs
	root := &cobra.Command{
		Use:           "ctl",
		Short:         "Drive the stack of compose.yaml",
		SilenceUsage:  true,
		SilenceErrors: true, // main prints them
		PersistentPreRunE: func(*cobra.Command, []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			if dir, err = stack.FindRoot(dir); err == nil {
				site.Dir, site.Server = dir, server.Local{Dir: dir}
			}
			return err
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true

	// onImages makes what a command does of work on images, which takes Compose and somebody to report to.
	onImages := func(work func(ctx context.Context, out *images.Reporter, file string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			out := images.NewReporter(os.Stdout)
			if _, err := images.EnsurePlugin(cmd.Context(), site, out, docker.Compose); err != nil {
				return err
			}
			file := "" // make hands on an empty one where its user gave none
			if len(args) > 0 {
				file = args[0]
			}
			return work(cmd.Context(), out, file)
		}
	}
	var yes bool
	reset := &cobra.Command{
		Use:   "reset",
		Short: "Remove the containers and the data, after asking",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lifecycle.Reset(cmd.Context(), site, os.Stdin, os.Stdout, yes)
		},
	}
	var asJSON bool
	follow := &cobra.Command{
		Use:   "trace [URL]",
		Short: "Send one request and follow it through every part, its SQL included",
		Long: "Send one GET request and follow it through every part, its SQL included. URL is an address of this site or a path on it;\n" +
			"without one, that of the newest posts. The request goes to this machine, whatever the name server says.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address := ""
			if len(args) > 0 {
				address = args[0]
			}
			t, err := trace.Run(cmd.Context(), site, address)
			switch {
			case err != nil:
				return err
			case asJSON:
				return t.PrintJSON(os.Stdout)
			}
			return t.Print(os.Stdout)
		},
	}
	follow.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	var keep bool
	renew := &cobra.Command{
		Use:   "images",
		Short: "Pull or build every image; without a registry, build stand-ins from Debian packages",
		Long: "Pull or build every image; without a registry, build stand-ins from Debian packages. Official images take the place of\n" +
			"stand-ins where they can now be pulled, here and in no other command, and not while a container runs on the stand-in.",
		Args: cobra.NoArgs,
		RunE: onImages(func(ctx context.Context, out *images.Reporter, _ string) error {
			return images.Renew(ctx, site, out, !keep)
		}),
	}
	renew.Flags().BoolVar(&keep, "keep", false, "leave a stand-in a stand-in, of these sources")
	reset.Flags().BoolVar(&yes, "yes", false, "do not ask")
	root.AddCommand(
		&cobra.Command{
			Use:   "doctor",
			Short: "Say what would keep the stack from starting, and what to do about it",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				findings := doctor.Examine(cmd.Context(), site)
				doctor.Print(os.Stdout, findings, doctor.OK, terminal.Colour(os.Stdout))
				return doctor.Verdict(findings)
			},
		},
		&cobra.Command{
			Use:   "up",
			Short: "Check, make what is missing, start everything, wait until it is healthy",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return lifecycle.Up(cmd.Context(), site, os.Stdout)
			},
		},
		renew,
		&cobra.Command{
			Use:   "bundle [FILE]",
			Short: "Write all images of the stack into one archive",
			Long:  "Write all images of the stack into one archive. A relative FILE is taken from the repository's root.",
			Args:  cobra.MaximumNArgs(1),
			RunE: onImages(func(ctx context.Context, out *images.Reporter, file string) error {
				return images.Bundle(ctx, site, out, file)
			}),
		},
		&cobra.Command{
			Use:   "load [FILE]",
			Short: "Read such an archive",
			Long:  "Read an archive that bundle wrote. A relative FILE is taken from the repository's root; without one, bundle's own name.",
			Args:  cobra.MaximumNArgs(1),
			RunE: onImages(func(ctx context.Context, out *images.Reporter, file string) error {
				return images.Load(ctx, site, out, file)
			}),
		},
		follow,
		reset,
		drillCommand(site),
		benchCommand(site),
		abuseCommand(site),
		backupCommand(site),
		restoreCommand(site),
	)
	root.AddCommand(deployCommands(site)...)
	return root
}

package cmd_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"oneserver/ctl/cmd"
)

// each calls do for a command and for all commands below it.
func each(command *cobra.Command, do func(*cobra.Command)) {
	do(command)
	for _, child := range command.Commands() {
		each(child, do)
	}
}

// Readers copy the examples, so each must name an existing command and use only flags and arguments that it accepts.
func TestEachCommandHasAnExampleThatItTakes(t *testing.T) {
	t.Parallel()
	each(cmd.Root(), func(command *cobra.Command) {
		if !command.HasParent() {
			return
		}
		if command.Short == "" || command.Example == "" {
			t.Errorf("%s has the summary %q and the example %q, want both", command.CommandPath(), command.Short, command.Example)
		}
		for line := range strings.Lines(command.Example) {
			_, arguments, found := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), "'", ""), "oneserver ")
			if !found {
				t.Errorf("%q does not call oneserver", line)
				continue
			}
			arguments = strings.Replace(arguments, "2026-11-23 ", "2026-11-23T", 1) // the only argument with a space, quoted there
			its, rest, err := cmd.Root().Find(strings.Fields(arguments))
			if err == nil {
				err = its.ParseFlags(rest)
			}
			if err == nil {
				err = its.ValidateArgs(its.Flags().Args())
			}
			if err != nil || its.CommandPath() != command.CommandPath() && its.Parent().CommandPath() != command.CommandPath() {
				t.Errorf("the example %q of %s is for %s: %v", line, command.CommandPath(), its.CommandPath(), err)
			}
		}
	})
}

func TestAMistypedCommandIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	for typed, says := range map[string]string{
		"doktor":          `oneserver has no command "doktor", perhaps doctor: see oneserver --help`,
		"up now":          "see oneserver up --help",
		"up --quickly":    "unknown flag: --quickly: see oneserver up --help",
		"backup --keep=x": `--keep takes a whole number, and not "x": see oneserver backup --help`,
		"drill spofs":     `oneserver drill has no command "spofs", perhaps spof: see oneserver drill --help`,
		"restore a b":     "see oneserver restore --help",
		"drill spof now":  "see oneserver drill spof --help",
	} {
		root := cmd.Root()
		root.SetArgs(strings.Fields(typed))
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", typed, err, says)
		}
	}
}

// The key is best kept on another machine than the server, which need not have Docker.
func TestAKeyForBackupsIsMadeWithoutDocker(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	key := filepath.Join(t.TempDir(), "backup.key")
	root := cmd.Root()
	root.SetArgs([]string{"backup", "--new-key", key})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{key, key + ".server"} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatCanBeTypedNextIsOffered(t *testing.T) {
	t.Parallel()
	for typed, offers := range map[string]string{
		"":                       "deploy\tBuild",
		"dep":                    "deploy\tBuild",
		"drill spof --action ki": "kill-db\n",
		"abuse flo":              "flood\t",
		"deploy --re":            "--replicas",
		"up ":                    ":4\n", // no file
	} {
		root, out := cmd.Root(), new(strings.Builder)
		root.SetOut(out)
		root.SetErr(io.Discard)
		root.SetArgs(append([]string{cobra.ShellCompRequestCmd}, strings.Split(typed, " ")...))
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), offers) {
			t.Errorf("%q: %v, offers %q, want %q", typed, err, out, offers)
		}
	}
}

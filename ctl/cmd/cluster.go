package cmd

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"oneserver/ctl/internal/cluster"
	"oneserver/ctl/internal/stack"
)

func clusterCommand() *cobra.Command {
	options := cluster.Options{}
	command := &cobra.Command{
		Use:   "cluster [HOST HOST HOST]",
		Short: "Start the stack on three servers, with one group of databases",
		Long: `Start the stack on three servers, with one group of databases.

Without hosts, the servers are containers on this machine, each with an engine of its own. A host is what ssh takes: a name,
or user@name; anything else that ssh must know is in its configuration. HOST=ADDRESS also names the address in the servers'
private network; otherwise it is the one at which ssh reached the host. The same command goes on from where an earlier one was
interrupted, starts what does not run, and sends what has changed.`,
		Example: "  oneserver cluster\n  oneserver cluster root@one root@two root@three=10.0.0.3",
		Args:    cobra.MaximumNArgs(3),
		RunE: inRepository(func(ctx context.Context, s *stack.Stack, args []string) error {
			for _, arg := range args { // make gives all hosts as one argument
				options.Hosts = append(options.Hosts, strings.Fields(arg)...)
			}
			return cluster.Up(ctx, s, options, os.Stdout)
		}),
	}
	clusterName(command, &options.Name)
	command.Flags().StringVar(&options.Subnet, "subnet", cluster.DefaultSubnet, "the first three numbers of the addresses of servers in containers")
	return command
}

// clusterName adds the flag that says which cluster a command is about.
func clusterName(command *cobra.Command, name *string) {
	command.Flags().StringVar(name, "name", cluster.DefaultName, "the cluster's name, if this machine has several")
}

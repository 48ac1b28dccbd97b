// Command ctl drives the stack: it checks what could keep it from starting, starts it, and moves its images.
package main

import (
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{Use: "ctl", Short: "Drive the stack of compose.yaml", SilenceUsage: true}
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

//go:build unix

package server

import (
	"os/exec"
	"strconv"
	"syscall"
)

// OwnGroup shields a command from the signals that a terminal sends to all its programs, at Ctrl-C and at its own end; this
// program decides whether the command continues. An interruption also reaches the programs that the command has started,
// with sudo's help if the command is sudo. (mmdebstrap, interrupted alone, waits for its children.)
func OwnGroup(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if cmd.Args[0] == "sudo" {
			return exec.Command("sudo", "-n", "kill", "-INT", "--", "-"+strconv.Itoa(cmd.Process.Pid)).Run()
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	}
	return cmd
}

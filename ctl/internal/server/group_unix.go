//go:build unix

package server

import (
	"os/exec"
	"strconv"
	"syscall"
)

// OwnGroup shields a command from what a terminal sends to all programs on it, Ctrl-C and its own end: this program decides
// whether the command continues. An interruption also reaches what the command has started, through sudo if that started it
// (mmdebstrap, interrupted alone, waits for its children).
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

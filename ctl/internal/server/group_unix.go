//go:build unix

package server

import (
	"os/exec"
	"strconv"
	"syscall"
)

// OwnGroup keeps from a command what a terminal sends to all that runs on it, Ctrl-C and its own end: whether the command goes
// on is this program's to say. What the command has started hears of it too, through the sudo that started it where there is
// one (mmdebstrap, told alone, waits for its children).
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

//go:build unix

package deploy

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps from a command what a terminal sends to all that runs on it, Ctrl-C and its own end: whether the command
// goes on is ours to say, and what it has started hears of it too.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}

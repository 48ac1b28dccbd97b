package server

import (
	"os/exec"
	"syscall"
)

// OwnGroup keeps a console's Ctrl-C from a command: whether it goes on is this program's to say, which can only kill it.
func OwnGroup(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

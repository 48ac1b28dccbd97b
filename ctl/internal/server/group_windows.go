package server

import (
	"os/exec"
	"syscall"
)

// OwnGroup shields a command from a console's Ctrl-C: this program decides whether it continues, but can stop it only by
// killing it.
func OwnGroup(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

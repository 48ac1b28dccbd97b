package throwaway

import (
	"os/exec"
	"syscall"
)

// alone keeps the terminal's Ctrl-C away from a program.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

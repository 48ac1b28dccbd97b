//go:build unix

package images

import (
	"context"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// command prepares a program in a process group of its own. When ctx ends, the whole group is interrupted as Ctrl-C
// would (mmdebstrap, told alone, waits for its children to finish), through the same sudo that started it. 10 s later
// nobody waits for the program's output any more, and the program, but none of its children, is killed.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error {
		interrupt := []string{"kill", "-INT", "--", "-" + strconv.Itoa(cmd.Process.Pid)}
		if args[0] == "sudo" {
			interrupt = append([]string{"sudo", "-n"}, interrupt...)
		}
		return exec.Command(interrupt[0], interrupt[1:]...).Run()
	}
	return cmd
}

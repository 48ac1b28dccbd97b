package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"time"
)

// unattended is how long a program on another machine may run if its context has no end. Nothing there would end it if this
// machine died.
const unattended = 15 * time.Minute

// mark is the variable by which a program on another machine is found again, to interrupt it.
const mark = "ONESERVER_RUN"

// interrupt asks the programs with a mark to end. timeout passes the signal on, so it goes to timeout alone.
const interrupt = `for run in $(grep -slzxF -- "$0" /proc/[0-9]*/environ); do
  run=${run%/environ}
  if [ "$(cat "$run/comm")" = timeout ]; then kill -TERM "${run#/proc/}"; fi
done`

// remote prepares a program in a folder of another machine. reach prepares the local program that runs these words there. The
// environment goes there on a command line, so it is no place for a secret.
func remote(ctx context.Context, reach func(ctx context.Context, words ...string) *exec.Cmd, dir string, env []string, name string, args ...string) *exec.Cmd {
	limit := unattended
	if end, limited := ctx.Deadline(); limited {
		limit = time.Until(end)
	}
	token := mark + "=" + rand.Text()
	words := append([]string{"env", "--chdir=" + dir, token}, env...)
	words = append(words, "timeout", "--signal=TERM", "--kill-after=10", fmt.Sprint(int(math.Ceil(max(limit, time.Second).Seconds()))), name)
	cmd := reach(ctx, append(words, args...)...)
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error {
		brief, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := reach(brief, "sh", "-c", interrupt, token).Run(); err != nil {
			return cmd.Process.Kill() // the machine cannot be reached; its own time limit ends the program
		}
		return nil
	}
	return cmd
}

// quote returns one line of shell for a command: ssh joins its arguments, and the shell there takes them apart again.
func quote(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// evidence is the folder where failed tests leave their evidence; it is created for the first of them.
var evidence = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "oneserver-e2e-") })

// left records which failed tests have already left evidence of which copy of the stack.
var left sync.Map

// leaveEvidence saves, if the test fails, the logs and the state of every container of a copy, as they are when the test
// ends.
func leaveEvidence(t *testing.T, stack *copyOfStack) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		if _, is := left.LoadOrStore(t.Name()+" "+stack.project, true); is {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		dir, err := evidenceOf(t)
		if err != nil {
			t.Log(err)
			return
		}
		logs, errLogs := combined(stack.command(ctx, "docker", "compose", "logs", "--no-color", "--timestamps"))
		ids, errIDs := stack.command(ctx, "docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+stack.project).Output()
		state, errState := combined(stack.command(ctx, "docker", append([]string{"inspect"}, strings.Fields(string(ids))...)...))
		if err := errors.Join(errLogs, errIDs, errState,
			os.WriteFile(filepath.Join(dir, stack.project+".log"), []byte(logs), 0o600),
			os.WriteFile(filepath.Join(dir, stack.project+".json"), []byte(state), 0o600)); err != nil {
			t.Logf("not all of the evidence could be kept: %v", err)
		}
	})
}

// evidenceOf returns the evidence folder of one test.
func evidenceOf(t *testing.T) (string, error) {
	all, err := evidence()
	if err != nil {
		return "", err
	}
	name := regexp.MustCompile(`[^\w.-]+`).ReplaceAllString(t.Name(), "_")
	dir := filepath.Join(all, name[:min(len(name), 120)])
	return dir, os.MkdirAll(dir, 0o700)
}

// sayWhereEvidenceIs prints where the evidence is, if any test has left some.
func sayWhereEvidenceIs() {
	left.Range(func(any, any) bool {
		if dir, err := evidence(); err == nil {
			fmt.Printf("the failed tests left their logs, their screenshots and the state of every container in %s\n", dir)
		}
		return false
	})
}

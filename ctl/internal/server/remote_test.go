package server

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// here stands for another machine: what is run there is run by a shell on this one, from one line, as ssh does it.
func here(ctx context.Context, words ...string) *exec.Cmd {
	return Local{}.Command(ctx, nil, "sh", "-c", quote(words))
}

// needsLinux skips a test elsewhere: the servers run Linux, and this machine need not.
func needsLinux(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the programs of a server are not here")
	}
}

func TestWordsArriveAsTheyWere(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	for _, word := range []string{"plain", "", "two words", "it's", `"`, "$HOME", "`id`", `\`, `a\'b`, "*", "~", ";", "&&", "-n", "new\nline", "é", "!", "#"} {
		out, err := remote(t.Context(), here, "/", nil, "printf", "%s|", "before", word, "after").Output()
		if got, want := string(out), "before|"+word+"|after|"; err != nil || got != want {
			t.Errorf("%q arrives as %q, %v; want %q", word, got, err, want)
		}
	}
}

func TestAProgramThereHasItsFolderAndItsEnvironment(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := remote(t.Context(), here, dir, []string{"GREETING=it's me"}, "sh", "-c", `pwd; echo "$GREETING"; cat`).Output()
	if got, want := string(out), dir+"\nit's me\n"; err != nil || got != want {
		t.Errorf("it prints %q, %v; want %q", got, err, want)
	}
}

// Killing ssh or docker exec would leave the program running there.
func TestAnInterruptionReachesTheProgramThere(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := remote(ctx, here, "/", nil, "sh", "-c", `trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.05; done`)
	var said strings.Builder
	cmd.Stdout = writer(func(p []byte) {
		said.Write(p)
		cancel() // once it is ready
	})
	begun := time.Now()
	err := cmd.Run()
	if got := said.String(); got != "ready\ncleaned up\n" || err == nil || time.Since(begun) > 30*time.Second {
		t.Errorf("it says %q, %v after %s", got, err, time.Since(begun))
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

func TestAProgramThereEndsWithItsContext(t *testing.T) {
	needsLinux(t)
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	args := strings.Join(SSH{Host: "root@one", Dir: "/srv"}.Command(ctx, nil, "docker", "ps").Args, " ")
	if !strings.Contains(args, "-- root@one 'env' '--chdir=/srv' ") || !strings.Contains(args, "'timeout' '--signal=TERM' '--kill-after=10' '90' 'docker' 'ps'") {
		t.Errorf("it runs %s", args)
	}
	args = strings.Join(Nested{Outer: Local{}, Container: "one", Dir: "/srv"}.Command(t.Context(), nil, "docker", "ps").Args, " ")
	if !strings.HasPrefix(args, "docker exec --interactive one env --chdir=/srv ") || !strings.HasSuffix(args, " timeout --signal=TERM --kill-after=10 900 docker ps") {
		t.Errorf("it runs %s", args)
	}
}

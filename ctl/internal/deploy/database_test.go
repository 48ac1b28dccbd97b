package deploy

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/stack"
)

// standIn puts a shell script in the place of docker. Its call is in $*; it can note what it is told in the file $said.
func standIn(t *testing.T, script string) (said func() string) {
	t.Helper()
	dir := dockertest.Replace(t, "echo \"$*\" >>\"$said\"\n"+script)
	t.Setenv("said", filepath.Join(dir, "said"))
	return func() string {
		text, err := os.ReadFile(filepath.Join(dir, "said"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// theSite answers what every command asks of docker first: each service has a container that runs, named after it.
const theSite = `case "$*" in
*"config --format json"*) echo '{"name": "x", "services": {"app": {"image": "oneserver-app"}, "db": {"image": "mysql"}}, "networks": {"default": {"name": "x"}}}' ;;
ps*service=*) echo "${*##*service=}" ;;
ps*project=*) echo web app db secrets migrate ;;
inspect*)
	shift 3
	for id; do
		printf '%s{"Id": "%s", "Image": "old", "State": {"Status": "running"}, "NetworkSettings": {"Networks": {"x": {"IPAddress": "10.0.0.1"}}},
			"Config": {"Labels": {"com.docker.compose.service": "%s"}}}' "${between-[}" "$id" "$id"
		between=,
	done
	echo ']' ;;
`

func TestMySQLIsNotRestartedWhileAnotherCommandIsAtWork(t *testing.T) {
	said := standIn(t, theSite+`*deploy.lock*) echo busy ;;
esac`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, do := range map[string]func(context.Context, *stack.Stack, io.Writer, RestartOptions) error{"restart-db": RestartDatabase, "up": ChangeDatabase} {
		if err := do(ctx, stack.New(""), io.Discard, RestartOptions{}); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for line := range strings.Lines(said()) {
		if strings.Contains(line, " restart ") || strings.Contains(line, " up ") || strings.Contains(line, "db-before") {
			t.Errorf("it has done %s", line)
		}
	}
}

func TestALockThatCannotBeTakenIsNotTakenForAnothersOwn(t *testing.T) {
	standIn(t, theSite+`*deploy.lock*) exit 1 ;;
esac`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := RestartDatabase(ctx, stack.New(""), io.Discard, RestartOptions{}); err == nil || errors.Is(err, ErrBusy) || ctx.Err() != nil {
		t.Error(err)
	}
}

// A Compose command that recreates MySQL waits until the old one has stopped.
func TestACutOffRestartIsWaitedForAsLongAsMySQLMayTake(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Grace time.Duration `yaml:"stop_grace_period"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if grace := file.Services["db"].Grace; grace == 0 || replacedWithin <= grace || stopWithin <= grace {
		t.Errorf("MySQL may take %s to stop; it is given %s, and a command that was cut off %s", grace, stopWithin, replacedWithin)
	}
}

func TestOfWhatMySQLSaysTheFirstErrorCounts(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		`2026-11-29T22:31:30.102938Z 0 [Warning] [MY-011068] [Server] The syntax 'x' is deprecated.
2026-11-29T22:31:30.102940Z 0 [ERROR] [MY-000067] [Server] unknown variable 'master-info-repository=TABLE'.
2026-11-29T22:31:30.102950Z 0 [ERROR] [MY-010119] [Server] Aborting`: "unknown variable 'master-info-repository=TABLE'.",
		"mysqld: [ERROR] Unknown suffix 'l' used for variable": "Unknown suffix 'l' used for variable",
		"exit status 137": "exit status 137",
	} {
		if got := firstError(said); got != want {
			t.Errorf("of %q it takes %q, want %q", said, got, want)
		}
	}
}

package abuse

import (
	"slices"
	"testing"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/stack"
)

// The engine's clock may differ from ours by any amount.
func TestWhatTheKernelKilledIsAskedForByTheEnginesClock(t *testing.T) {
	dir := dockertest.Replace(t, `case "$*" in
compose*) echo '{"name": "oneserver-abuse"}' ;;
ps*) echo a b c d ;;
inspect*) for service in dns web app db; do echo '{"Config": {"Labels": {"com.docker.compose.service": "'$service'"}}, "State": {"Status": "running"}}'; done | paste -s -d , | sed 's/.*/[&]/' ;;
info*) echo 2020-01-01T00:05:00.25Z ;;
"events --since 2020-01-01T00:00:00Z --until 2020-01-01T00:05:00.25Z "*) echo db ;;
esac`)
	s := &site{Stack: stack.New(dir)}
	before, err := s.containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	web := docker.Container{RestartCount: 1}
	before["web"] = web
	got, err := s.killed(t.Context(), before, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	if want := []string{"db had no memory left", "web was started anew"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("killed were %q, %v; want %q", got, err, want)
	}
}

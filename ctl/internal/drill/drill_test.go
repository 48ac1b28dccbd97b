package drill

import (
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/report"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

func TestWhatWasDoneIsUndoneInTurnAfterCtrlCAndAfterAFailure(t *testing.T) {
	t.Parallel()
	var done []string
	var said strings.Builder
	u := &undo{tell: terminal.NewTeller(&said)}
	step := func(name string, err error) {
		u.later(name, func(ctx context.Context) error {
			done = append(done, name)
			return errors.Join(err, ctx.Err())
		})
	}
	step("first", nil)
	step("second", errors.New("stuck"))
	step("third", nil)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	err := u.now(ctx)
	if want := []string{"third", "second", "first"}; !slices.Equal(done, want) {
		t.Errorf("undone were %q, want %q", done, want)
	}
	if failed := (undoError{}); !errors.As(err, &failed) || err.Error() != "second: stuck" {
		t.Errorf("it returns %v, want what could not be undone", err)
	}
	if !strings.Contains(said.String(), "interrupted: third\n") {
		t.Errorf("it says %q, want what it does while somebody waits", said.String())
	}
	if err := u.now(t.Context()); err != nil || len(done) != 3 {
		t.Errorf("a second time it undoes %q: %v", done[3:], err)
	}
}

func TestARateThatNoLoadCanHaveIsRefused(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{-1, 0.5, maxRate + 1, math.NaN(), math.Inf(1)} {
		if err := Run(t.Context(), stack.New(t.TempDir()), nil, []string{"scale"}, Options{Rate: rate}); err == nil || !strings.Contains(err.Error(), "between 1 and 3000") {
			t.Errorf("a rate of %g: %v", rate, err)
		}
	}
}

func TestAFileIsPutBackToTheByteAndTheSecond(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	begun := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	if err := errors.Join(os.WriteFile(path, []byte("events {}\n"), 0o640), os.Chtimes(path, begun, begun)); err != nil {
		t.Fatal(err)
	}
	inode, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(want string, wantTime bool) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != want || !os.SameFile(inode, info) || info.Mode() != inode.Mode() {
			t.Errorf("it is %q, mode %s, the same file %t; want %q and the same file", text, info.Mode(), os.SameFile(inode, info), want)
		}
		if info.ModTime().Equal(begun) != wantTime {
			t.Errorf("it was changed at %s", info.ModTime())
		}
	}
	s := &Stack{Stack: stack.New(dir)}
	u := &undo{tell: terminal.NewTeller(io.Discard)}
	told := 0
	change, err := s.edit(u, "nginx.conf", "# "+mark, func(context.Context) error { told++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := change(t.Context()); err != nil {
		t.Fatal(err)
	}
	look("events {}\n# oneserver-drill\n", false)
	if _, err := s.edit(u, "nginx.conf", "# "+mark, nil); err == nil || !strings.Contains(err.Error(), "git diff") {
		t.Errorf("with the line of another drill in it: %v", err)
	}
	if err := u.now(t.Context()); err != nil || told != 1 {
		t.Errorf("put back, who uses it was told %d times: %v", told, err)
	}
	look("events {}\n", true)

	if _, err := s.edit(u, "nginx.conf", "# "+mark, func(context.Context) error { told++; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := u.now(t.Context()); err != nil || told != 1 {
		t.Errorf("nothing was changed, and who uses it was told %d times: %v", told-1, err)
	}
}

func TestADrillSendsToLoopbackOnly(t *testing.T) {
	t.Parallel()
	tests := []struct{ host, port, want string }{
		{"127.0.0.1", "8080", "127.0.0.1:8080"},
		{"0.0.0.0", "80", "127.0.0.1:80"},
		{"::1", "80", "[::1]:80"},
		{"192.0.2.7", "80", ""},
		{"8.8.8.8", "80", ""},
	}
	for _, test := range tests {
		var c docker.Container
		c.NetworkSettings.Ports = map[string][]struct{ HostIP, HostPort string }{"80/tcp": {{test.host, test.port}}}
		got, err := published(c, "80/tcp")
		if test.want == "" {
			if err == nil {
				t.Errorf("published at %s it sends to %s", test.host, got)
			}
		} else if err != nil || got != netip.MustParseAddrPort(test.want) {
			t.Errorf("published at %s it sends to %s, %v; want %s", test.host, got, err, test.want)
		}
	}
	if got, err := published(docker.Container{}, "80/tcp"); err == nil {
		t.Errorf("not published at all, it sends to %s", got)
	}
}

func TestCalmIsTwoSecondsWithoutAFailureAndAnAnswerToEach(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(seconds float64) time.Time { return now.Add(-time.Duration(seconds * float64(time.Second))) }
	well := map[history.Kind]time.Time{history.Read: now, history.Write: now, history.Lookup: now}
	tests := []struct {
		name   string
		since  time.Time
		failed time.Time
		good   map[history.Kind]time.Time
		want   bool
	}{
		{"all well", ago(3), time.Time{}, well, true},
		{"not long enough", ago(1), time.Time{}, well, false},
		{"a failure a moment ago", ago(3), ago(0.5), well, false},
		{"a failure, and then nothing more", ago(10), ago(2.5), well, true},
		{"no write has come through since", ago(3), ago(5), map[history.Kind]time.Time{history.Read: now, history.Write: ago(4), history.Lookup: now}, false},
		{"nobody has answered", ago(3), time.Time{}, nil, false},
	}
	for _, test := range tests {
		tr := &traffic{failed: test.failed, lastOK: test.good}
		if got := tr.isSteady(test.since); got != test.want {
			t.Errorf("%s: it is calm: %t", test.name, got)
		}
	}
}

func TestAStepThatIsNotServedInTimeEndsTheClimb(t *testing.T) {
	t.Parallel()
	// There are 10 requests a second for two steps. In the second, every fifth request is still under way at the end.
	tr := &traffic{run: history.Run{Steps: []history.Step{{Rate: 10, For: stepTime}, {Rate: 10, For: stepTime}}}}
	for i := range 100 {
		due := time.Duration(i) * 100 * time.Millisecond
		if due >= stepTime && i%5 == 0 {
			continue
		}
		tr.requests = append(tr.requests, history.Request{Due: due, Done: due + time.Millisecond})
	}
	if !tr.keptUp(0, stepTime) {
		t.Error("the first step was served, and it says no")
	}
	if tr.keptUp(stepTime, 2*stepTime) {
		t.Error("a fifth of the second step is under way, and it says that it was served")
	}
}

func TestTheBottleneckIsNamed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		detail map[string]string
		want   string
	}{
		{map[string]string{machineCPU: "97%", "CPU of db": "60%", "CPU of app": "80%"}, "The machine's processors were used up (97% of them all); app took most, 80% of one."},
		{map[string]string{machineCPU: "60%", "CPU of db": "10%", "CPU of app": "20%", poolWait: "12.5"}, "The application's connections to the database were used up: 12.5 requests waited for one at any time."},
		{map[string]string{machineCPU: "60%", "CPU of web": "99%", "CPU of app": "2%"}, "web used one processor whole and the machine had others free: it works one at a time."},
		{map[string]string{machineCPU: "30%", "CPU of db": "10%", threads: "7.5"}, "No processor was used up (30% of them all): requests waited for something else, such as the disk or a lock; MySQL had 7.5 statements under way."},
		{nil, "What was used up was not seen."},
	}
	for _, test := range tests {
		if got := bottleneck(test.detail); got != test.want {
			t.Errorf("with %v it says\n  %s\nwant\n  %s", test.detail, got, test.want)
		}
	}
}

func TestAStepShowsWhatWasSeenInItAndNothingElse(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	at := func(seconds float64) time.Time { return begun.Add(time.Duration(seconds * float64(time.Second))) }
	samples := []sample{
		{at(1), poolWait, "a1", 0},
		{at(3), threads, "db", 4}, {at(3), poolWait, "a1", 110},
		{at(5), threads, "db", 6}, {at(5), poolWait, "a1", 125},
		{at(7), threads, "db", 90},
	}
	used := func(app, db time.Duration) map[string]docker.Usage {
		return map[string]docker.Usage{"app": {CPU: app}, "db": {CPU: db}}
	}
	got := detail(reading{at(2), 10, 1, used(10*time.Second, 9*time.Second)}, reading{at(6), 10 + 4*float64(runtime.NumCPU())/2, 2, used(11800*time.Millisecond, time.Second)}, samples)
	want := map[string]string{machineCPU: "50%", generatorCPU: "25%", "CPU of app": "45%", threads: "5.0", poolWait: "7.5"} // db was restarted
	if !maps.Equal(got, want) {
		t.Errorf("it shows %v\nwant     %v", got, want)
	}
	if got := detail(reading{at: at(8)}, reading{at: at(9)}, samples); len(got) != 2 {
		t.Errorf("where nothing was seen it shows %v", got)
	}
}

func TestTheKneeIsSaidInASentence(t *testing.T) {
	t.Parallel()
	steps := []check.Step{{Rate: 100, KeptUp: true}, {Rate: 150, KeptUp: true}, {Rate: 225, Of: 1000, Failed: 120, Throughput: 170, P99: 2 * time.Second}}
	tests := []struct {
		steps []check.Step
		want  string
	}{
		{steps, "2 replicas: 150 requests a second were served; at 225 the site no longer kept up (120 of 1000 failed, 170 a second were answered, one in a hundred after 2.0 s or more). What was used up was not seen."},
		{steps[:2], "2 replicas: 150 requests a second were served, and no higher rate was tried."},
		{steps[2:], "2 replicas: not even the first step could be served."},
	}
	for _, test := range tests {
		if got := verdict(report.Scale{Name: terminal.Count(2, "replica"), Steps: test.steps}); got != test.want {
			t.Errorf("it says %q\nwant %q", got, test.want)
		}
	}
}

// If two actions had the same name, a user could not choose one of them. A drill that changes a file must know that the file
// exists.
func TestActionsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		actions := Actions(name)
		sorted := slices.Compact(slices.Sorted(slices.Values(actions)))
		if len(sorted) != len(actions) {
			t.Errorf("%s has two actions of one name: %q", name, actions)
		}
	}
}

// The engine's own builder sees the engine's own images; one in a container would ask the registry for them.
func TestADrillBuildsWithTheEnginesOwnBuilder(t *testing.T) {
	dir := dockertest.Replace(t, "case \"$1\" in\ncontext) echo mine ;;\nbuild) [ \"$BUILDX_BUILDER\" = mine ] && grep -q '^FROM oneserver-app$' ;;\n*) echo '[{\"Id\": \"sha256:new\"}]' ;;\nesac\n")
	t.Setenv("BUILDX_BUILDER", "")
	d := &drill{stack: &Stack{Stack: stack.New(dir)}}
	if _, err := d.derive(t.Context(), &undo{}, "oneserver-app", ""); err != nil {
		t.Error(err)
	}
}

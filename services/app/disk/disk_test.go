package disk

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestADiskThatRunsLowIsSaidOnceAndHasRoomAgainWithATenthMore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "free")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := New(file, 1000, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, stop := context.WithCancel(t.Context())
		go g.Watch(ctx)
		defer synctest.Wait()
		defer stop()
		for _, step := range []struct {
			says string // the content of the file; if empty, there is no file
			age  time.Duration
			free int64
			low  bool
			log  string // what the new log line contains; if empty, there is none
		}{
			{"", 0, -1, false, ""}, // the database has not started yet
			{"5000\n", 0, 5000, false, ""},
			{"1000\n", 0, 1000, false, ""},
			{"999\n", 0, 999, true, "nearly full"},
			{"1\n", 0, 1, true, ""},
			{"1099\n", 0, 1099, true, ""},
			{"5000\n", 2 * time.Minute, -1, true, "not known"}, // the health check has stopped
			{"", 0, -1, true, ""},
			{"0\n", 0, 0, true, ""},
			{"nonsense\n", 0, -1, true, "not known"},
			{"-1\n", 0, -1, true, ""},
			{"1100\n", 0, 1100, false, "has room again"},
			{"999\n", 0, 999, true, "nearly full"},
			{"1100\n", 0, 1100, false, "has room again"},
		} {
			os.Remove(file)
			if step.says != "" {
				written := time.Now().Add(-step.age)
				if err := os.WriteFile(file, []byte(step.says), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(file, written, written); err != nil {
					t.Fatal(err)
				}
			}
			log.Reset()
			time.Sleep(interval + time.Millisecond)
			synctest.Wait()
			lines := strings.Count(log.String(), "\n")
			if g.Free() != step.free || g.Low() != step.low || lines != min(1, len(step.log)) || !strings.Contains(log.String(), step.log) {
				t.Errorf("%q of %s ago: free %d, low %t, log %q; want %d, %t, %q", step.says, step.age, g.Free(), g.Low(), &log, step.free, step.low, step.log)
			}
		}
		os.Remove(file)
		log.Reset()
		time.Sleep(time.Hour)
		if lines := strings.Count(log.String(), "\n"); lines != 1 {
			t.Errorf("in an hour without the file this is logged %d times: %s", lines, &log)
		}
	})
}

func TestWithoutAReserveThereIsAlwaysRoom(t *testing.T) {
	t.Parallel()
	g := New("/nowhere", 0, slog.New(slog.DiscardHandler))
	for _, free := range []int64{1 << 40, 0} {
		if g.note(free); g.Low() || g.Free() != free {
			t.Errorf("with %d bytes: low %t, free %d", free, g.Low(), g.Free())
		}
	}
	var none Gauge
	if none.Low() {
		t.Error("the zero Gauge has no room")
	}
}

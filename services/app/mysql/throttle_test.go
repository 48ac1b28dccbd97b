package mysql

import (
	"testing"
	"time"

	"oneserver/app"
)

func TestABucketAllowsItsBurstAndThenOneEachInterval(t *testing.T) {
	t.Parallel()
	bucket := app.Bucket{Burst: 3, Interval: time.Minute}
	begin := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var arrival time.Time // no attempt so far
	for _, attempt := range []struct {
		after time.Duration
		wait  time.Duration
	}{
		{0, 0},
		{0, 0},
		{0, 0},
		{0, time.Minute}, // the burst is used up
		{10 * time.Second, 50 * time.Second},
		{time.Minute - time.Microsecond, time.Microsecond},
		{time.Minute, 0},
		{time.Minute, time.Minute},
		{3 * time.Minute, 0}, // two intervals later: two
		{3 * time.Minute, 0},
		{3 * time.Minute, time.Minute},
		{time.Hour, 0}, // all is forgotten, and no more than a burst is saved up
		{time.Hour, 0},
		{time.Hour, 0},
		{time.Hour, time.Minute},
	} {
		next, wait := conform(bucket, arrival, begin.Add(attempt.after))
		if wait != attempt.wait {
			t.Errorf("after %s: wait %s, want %s", attempt.after, wait, attempt.wait)
		}
		if wait == 0 {
			arrival = next
		}
	}
}

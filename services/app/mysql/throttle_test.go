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
		{3 * time.Minute, 0}, // two intervals later, two are allowed
		{3 * time.Minute, 0},
		{3 * time.Minute, time.Minute},
		{time.Hour, 0}, // after a long time, a whole burst is allowed again, and no more
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

func TestAnAttemptCountsAsOftenAsItWeighs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var arrival time.Time
	for _, attempt := range []struct {
		weight int
		wait   time.Duration
	}{
		{4, 0},
		{7, time.Minute}, // 4 of 10 are used up
		{6, 0},
		{0, time.Minute},         // counts once
		{1000, 10 * time.Minute}, // at most the whole burst
	} {
		next, wait := conform(app.Bucket{Burst: 10, Interval: time.Minute, Weight: attempt.weight}, arrival, now)
		if wait != attempt.wait {
			t.Errorf("a weight of %d waits %s, want %s", attempt.weight, wait, attempt.wait)
		}
		if wait == 0 {
			arrival = next
		}
	}
}

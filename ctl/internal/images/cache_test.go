package images

import (
	"slices"
	"strings"
	"testing"
)

func TestOfTheBuildCacheOnlyOurOldestBuildsAreRemoved(t *testing.T) {
	t.Parallel()
	entry := func(id, created, size, shared, description string) string {
		return "ID:\t\t" + id + "\nCreated at:\t2026-11-29 " + created + " +0000 UTC\nMutable:\tfalse\nReclaimable:\ttrue\nShared:\t\t" + shared +
			"\nSize:\t\t" + size + "\nDescription:\t" + description + "\nUsage count:\t1\nLast used:\t2 hours ago\nType:\t\tregular\n\n"
	}
	compile := "mount / from exec /bin/sh -c BUILT_FOR=oneserver CGO_ENABLED=0 go build -o /app ./cmd/app"
	listed := entry("old", "10:00:00.158213673", "23.86MB", "false", compile) +
		entry("old-copy", "10:02:00.1", "23.8MB", "false", "fileop target") +
		entry("source", "10:00:00.1", "228kB", "false", "fileop target") +
		entry("later-copy", "10:20:00.1", "23.8MB", "false", "fileop target") +
		entry("foreign", "10:02:00.5", "30MB", "false", "fileop target") +
		entry("foreign-large", "10:02:00.6", "4GB", "false", "fileop target") + // the square of the difference is more than an int64 holds
		entry("foreign-build", "09:00:00.5", "23.8MB", "false", "mount / from exec /bin/sh -c go build -o /app .") +
		entry("unsure", "11:00:00", "24MB", "false", compile) +
		entry("one", "11:01:00", "24MB", "false", "fileop target") + entry("other", "11:01:01", "24MB", "false", "fileop target") +
		entry("new", "12:00:00", "25MB", "false", compile) + entry("new-copy", "12:01:00", "25MB", "true", "fileop target") +
		"Shared:\t\t10MB\nPrivate:\t300MB\nReclaimable:\t310MB\nTotal:\t\t320MB\n"
	for _, test := range []struct {
		bound int64
		want  string
	}{
		{1e9, ""},
		{80e6, "old old-copy"},
		{60e6, "unsure old old-copy"},
		{0, "new unsure old old-copy"}, // the newest one's other record is in use by an image
	} {
		if got := beyond(parseCache(listed), test.bound); !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("beyond %d: %q, want %q", test.bound, got, test.want)
		}
	}
}

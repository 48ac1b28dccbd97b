package doctor

import (
	"strings"
	"testing"
)

func TestADiskThatRunsLowIsWarnedOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		free, reserve uint64
		level         Level
		says          string
	}{
		{5000, 1000, OK, "5000 MB free"},
		{2000, 1000, OK, "2000 MB free"},
		{1999, 1000, Warning, "below 1000 MB"},
		{1000, 1000, Warning, "below 1000 MB"},
		{999, 1000, Warning, "are refused until"},
		{0, 1000, Warning, "are refused until"},
		{0, 0, OK, "0 MB free"}, // no reserve is set
	} {
		got := judgeRoom(test.free, test.reserve)
		if got.Level != test.level || !strings.Contains(got.Says, test.says) || (got.Do == "") != (test.level == OK) {
			t.Errorf("%d MB free, a reserve of %d: %+v, want %s that says %q", test.free, test.reserve, got, test.level, test.says)
		}
	}
}

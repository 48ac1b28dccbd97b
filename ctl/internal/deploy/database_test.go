package deploy

import "testing"

func TestASeriesOfMySQLIsItsFirstTwoNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"9.7.4-2", "9.7.4", 0},
		{"9.7.4", "9.7.12", 0},
		{"9.7.4", "9.10.0", -1},
		{"9.7.4-log", "8.4.9", 1},
		{"9.7.4", "10.0.1", -1},
	} {
		if got, err := compareSeries(test.a, test.b); err != nil || got != test.want {
			t.Errorf("%s and %s: %d, %v; want %d", test.a, test.b, got, err, test.want)
		}
	}
	for _, bad := range []string{"", "9", "mysqld"} {
		if _, err := compareSeries("9.7.4", bad); err == nil {
			t.Errorf("%q is a release", bad)
		}
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

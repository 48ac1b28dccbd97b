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

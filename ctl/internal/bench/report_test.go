package bench

import (
	"strings"
	"testing"
	"time"
)

func TestAFigureIsTheMedianOfItsRounds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{9, 1, 2}, Spread{2, 1, 9}},
		{[]float64{4, 1, 2, 100}, Spread{3, 1, 100}},
	} {
		if got := spread(test.values); got != test.want {
			t.Errorf("of %v: %v, want %v", test.values, got, test.want)
		}
	}
}

func TestTheReportSaysWhatIsReached(t *testing.T) {
	t.Parallel()
	samples := map[string][]sample{}
	for key, rate := range map[string]float64{"bare": 1000, "app": 950, "dial": 400, "deep": 940, "small": 960, "anonymous": 7000, "static": 10000,
		"script": 850, "script-bare": 1000, "search": 500, "search-bare": 1000, "write": 790, "write-bare": 1000, "sign-in": 30, "sign-in-bare": 31,
		"dns": 12000, "dns-file": 12100, "http": 9000, "https": 4000, "https-bare": 4100, "handshake": 950, "handshake-bare": 1000} {
		one := sample{rate: rate, reached: 1, cpu: map[string]time.Duration{"web": 50 * time.Microsecond, "load": time.Hour}}
		if key == "anonymous" {
			one.reached = 0.5 / rate
		}
		samples[key] = []sample{one, one, one}
	}
	report := newReport(Options{Rows: MinRows, Rounds: 3, Each: time.Second}, variants(MinRows), samples)
	var out strings.Builder
	if err := report.print(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Figures {
		want := !strings.HasPrefix(f.Name, "a page of 20 posts, against") && !strings.HasPrefix(f.Name, "a new post") // 950 is not 3 × 400, 790 not 80 % of 1,000
		if f.Reached != want {
			t.Errorf("%s: %v, wanted %s, is said to be reached: %t", f.Name, f.Value, f.Wanted, f.Reached)
		}
		if f.CPU != nil && f.CPU.Median != 100 && f.CPU.Median != 1 {
			t.Errorf("%s: %v by CPU time, but all cost the same, the load left out", f.Name, *f.CPU)
		}
	}
	for _, words := range []string{"2,000,001 posts", "95.0% (95.0–95.0)", "2.38× (2.38–2.38)", "yes", "no"} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("it does not say %q:\n%s", words, out.String())
		}
	}
}

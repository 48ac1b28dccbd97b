package usl

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func points(m Model, noise float64, ns ...float64) (points []Point) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, n := range ns {
		points = append(points, Point{n, m.At(n) * (1 + noise*random.NormFloat64())})
	}
	return points
}

func TestFitFindsTheModelThatMadeThePoints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		model Model
		noise float64
		ns    []float64
		says  string
	}{
		"contention and coherency": {Model{Lambda: 995, Sigma: 0.027, Kappa: 0.00018}, 0.01, []float64{1, 2, 4, 8, 16, 32, 64, 128}, "more at once make it slower"},
		"contention only":          {Model{Lambda: 300, Sigma: 0.1}, 0, []float64{0.2, 0.5, 1, 2, 4, 8, 16, 200}, "Throughput approaches 3000 a second and does not fall beyond."},
		"linear":                   {Model{Lambda: 500}, 0, []float64{0.1, 0.2, 0.4, 0.8, 1.6}, "No limit is in sight"},
		"a peak beyond the points": {Model{Lambda: 100, Sigma: 0.01, Kappa: 0.0001}, 0, []float64{1, 2, 4, 8, 16, 32}, "That is a guess"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Fit(points(c.model, c.noise, c.ns...))
			if err != nil {
				t.Fatal(err)
			}
			n, x := got.Peak()
			t.Logf("%+v, peak at %.1f: %.1f\n%s", got, n, x, got)
			near := func(got, want, by float64) bool { return math.Abs(got-want) <= by*want+1e-5 }
			if !near(got.Lambda, c.model.Lambda, 0.05) || !near(got.Sigma, c.model.Sigma, 0.3) || !near(got.Kappa, c.model.Kappa, 0.3) {
				t.Errorf("got %+v, want %+v", got, c.model)
			}
			if !strings.Contains(got.String(), c.says) {
				t.Errorf("it does not say %q", c.says)
			}
		})
	}
}

func TestPointsThatSupportNoModelAreRefused(t *testing.T) {
	t.Parallel()
	good := Model{Lambda: 995, Sigma: 0.027, Kappa: 0.00018}
	for name, p := range map[string][]Point{
		"none":              nil,
		"too few":           points(good, 0, 1, 2, 4, 8),
		"too near":          points(good, 0, 10, 11, 12, 13, 14, 15),
		"no concurrency":    append(points(good, 0, 1, 2, 4, 8, 16), Point{0, 10}),
		"no throughput":     append(points(good, 0, 1, 2, 4, 8, 16), Point{32, 0}),
		"not a number":      append(points(good, 0, 1, 2, 4, 8, 16), Point{math.NaN(), 5}),
		"nothing but noise": {{1, 500}, {2, 20}, {4, 900}, {8, 10}, {16, 700}, {32, 30}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := Fit(p)
			if err == nil {
				t.Fatalf("it was fitted: %+v", m)
			}
			t.Log(err)
		})
	}
}

func TestPeakIsTheHighestPointOfTheCurve(t *testing.T) {
	t.Parallel()
	m := Model{Lambda: 995, Sigma: 0.027, Kappa: 0.00018}
	n, x := m.Peak()
	t.Logf("%.0f at %.1f", x, n)
	for _, other := range []float64{1, n - 1, n + 1, 10 * n} {
		if m.At(other) >= x {
			t.Errorf("%.1f gives %.1f, and the peak of %.1f only %.1f", other, m.At(other), n, x)
		}
	}
}

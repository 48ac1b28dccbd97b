// Package usl fits the Universal Scalability Law (Gunther, Guerrilla Capacity Planning, 2007) to measurements.
package usl

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/optimize"
	"gonum.org/v1/gonum/stat"
)

// Point is one measurement.
type Point struct {
	N float64 `json:"n"` // concurrency: requests under way, on average, or servers
	X float64 `json:"x"` // throughput, a second
}

// Model is X(N) = Lambda·N / (1 + Sigma·(N−1) + Kappa·N·(N−1)).
type Model struct {
	Lambda float64 `json:"lambda"` // throughput of one, a second
	Sigma  float64 `json:"sigma"`  // contention: the share of work that is done one at a time
	Kappa  float64 `json:"kappa"`  // coherency: the cost of keeping each informed about the others
	R2     float64 `json:"r2"`     // how much of the variation the model explains, at most 1
	MaxN   float64 `json:"max_n"`  // the highest concurrency that was measured; beyond it the model only guesses
}

// A fit needs at least this much.
const (
	minPoints = 5   // two more than the model has parameters
	minSpread = 3.0 // the ratio of the highest concurrency to the lowest
	minR2     = 0.9
)

// nothing is the limit below which a parameter counts as 0, since the search cannot tell it from 0.
const nothing = 1e-9

// Fit finds the model with the least squared errors. If the points do not support one, the error says why.
func Fit(points []Point) (Model, error) {
	if len(points) < minPoints {
		return Model{}, fmt.Errorf("%d points are too few to fit three parameters: it takes %d", len(points), minPoints)
	}
	low, high := math.Inf(1), 0.0
	n, x := make([]float64, len(points)), make([]float64, len(points))
	start := 0.0
	for i, p := range points {
		if !(p.N > 0 && p.X > 0) || math.IsInf(p.N, 0) || math.IsInf(p.X, 0) {
			return Model{}, fmt.Errorf("a throughput of %g at a concurrency of %g cannot be part of a fit", p.X, p.N)
		}
		low, high = min(low, p.N), max(high, p.N)
		start = max(start, p.X/p.N)
		n[i], x[i] = p.N, p.X
	}
	if high < minSpread*low {
		return Model{}, fmt.Errorf("the concurrency went from %.3g to %.3g only: it takes a range of 1 to %g to see how throughput depends on it", low, high, minSpread)
	}
	// None of the parameters can be negative, and Lambda is a thousand times the others. So the search is over the square
	// roots of Sigma and Kappa and the logarithm of Lambda.
	model := func(v []float64) Model {
		return Model{Lambda: math.Exp(v[0]), Sigma: v[1] * v[1], Kappa: v[2] * v[2], MaxN: high}
	}
	squares := func(v []float64) (sum float64) {
		m := model(v)
		for i := range n {
			e := (m.At(n[i]) - x[i]) / x[i] // relative, since otherwise the slow steps would count for nothing
			sum += e * e
		}
		return sum
	}
	var best *optimize.Result
	for _, sigma := range []float64{0.3, 0.1, 0.01} { // a simplex can end in a local minimum
		for _, kappa := range []float64{0.1, 0.01, 0.001} {
			found, err := optimize.Minimize(optimize.Problem{Func: squares}, []float64{math.Log(start), sigma, kappa}, nil, &optimize.NelderMead{})
			if err == nil && (best == nil || found.F < best.F) {
				best = found
			}
		}
	}
	if best == nil {
		return Model{}, errors.New("no model was found for these points")
	}
	m := model(best.X)
	if m.Sigma < nothing {
		m.Sigma = 0
	}
	if m.Kappa < nothing {
		m.Kappa = 0
	}
	estimates := make([]float64, len(n))
	for i := range n {
		estimates[i] = m.At(n[i])
	}
	m.R2 = stat.RSquaredFrom(estimates, x, nil)
	if !(m.R2 >= minR2) {
		return Model{}, fmt.Errorf("the model explains %.0f%% of how throughput varied, and less than %.0f%% is no fit", 100*max(0, m.R2), 100*minR2)
	}
	return m, nil
}

// At returns the throughput at concurrency n.
func (m Model) At(n float64) float64 {
	return m.Lambda * n / (1 + m.Sigma*(n-1) + m.Kappa*n*(n-1))
}

// Peak returns the highest throughput, x, and the concurrency that it takes, n. The concurrency is +Inf if throughput only
// approaches a ceiling (Kappa is 0), and so is the throughput if there is none (Sigma is 0 as well).
func (m Model) Peak() (n, x float64) {
	switch {
	case m.Kappa > 0:
		n = math.Sqrt(max(0, 1-m.Sigma) / m.Kappa)
		n = max(1, n)
		return n, m.At(n)
	case m.Sigma > 0:
		return math.Inf(1), m.Lambda / m.Sigma
	}
	return math.Inf(1), math.Inf(1)
}

// String explains in plain sentences what the model means.
func (m Model) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "One request at a time would get %.0f answers a second (λ). ", m.Lambda)
	fmt.Fprintf(&s, "Of the work %.3g%% can only be done one at a time, so that requests queue for it (contention, σ = %.2g); ", 100*m.Sigma, m.Sigma)
	fmt.Fprintf(&s, "each further request at the same time slows down all others by %.3g%% (coherency, κ = %.2g). ", 100*m.Kappa, m.Kappa)
	n, x := m.Peak()
	switch {
	case math.IsInf(x, 1):
		s.WriteString("No limit is in sight: the load did not reach it.")
	case math.IsInf(n, 1):
		fmt.Fprintf(&s, "Throughput approaches %.0f a second and does not fall beyond.", x)
	default:
		fmt.Fprintf(&s, "The most is %.0f answers a second, with %.0f requests at once; more at once make it slower.", x, n)
	}
	if !math.IsInf(x, 1) && m.MaxN < n && m.At(m.MaxN) < 0.9*x {
		fmt.Fprintf(&s, " That is a guess: no more than %.0f at once were measured.", m.MaxN)
	}
	return s.String()
}

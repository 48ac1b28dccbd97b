package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The curves differ in colour and in the shape that is drawn around their points.
var (
	curveColours = []string{blue, vermilion, green, purple, orange, black}
	curvePoints  = []string{"m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "m-3.5-3.5h7v7h-7z", "m0-4.5l4.5 8h-9z", "m0-5l5 5l-5 5l-5-5z", "m0 4.5l4.5-8h-9z", "m-5-2h10v4h-10z"}
)

// drawScales plots throughput against concurrency, with the fitted models, and beside it the wait against the offered rate.
func drawScales(title string, curves []Scale) picture {
	low, high, most, rate, fastest, slowest := math.Inf(1), 1.0, 1.0, 1.0, -2.0, 0.0
	below, meanings := "measured", []mark{}
	for i, curve := range curves {
		meanings = append(meanings, mark{Text: curve.Name, Colour: curveColours[i%len(curveColours)]})
		if curve.Model != nil {
			below = "points are measured, lines on the left are the Universal Scalability Law fitted to them"
		}
		for _, step := range curve.Steps {
			if step.Concurrency > 0 && step.Throughput > 0 {
				low, high, most = min(low, step.Concurrency), max(high, step.Concurrency), max(most, step.Throughput)
			}
			if step.P99 > 0 {
				wait := math.Log10(step.P99.Seconds())
				rate, fastest, slowest = max(rate, step.Rate), min(fastest, wait), max(slowest, wait)
			}
		}
	}
	low = min(low, high/2)
	top, bottom, middle := margin+headHeight+6, scaleHeight-margin-belowPlot, width/2
	x, y := axis{low: low * 0.8, high: high * 1.25, log: true}, axis{low: 0, high: most * 1.1}
	answers := newPlot(margin+leftOfPlot, top, middle-12, bottom, "requests at once", "answers/s", x, y, decadeTicks(x.low, x.high), countTicks(0, y.high))
	x, y = axis{low: 0, high: rate * 1.05}, axis{low: fastest - 0.15, high: slowest + 0.15}
	waits := newPlot(middle+12+leftOfPlot, top, width-margin, bottom, "requests offered/s", "wait of the slowest 1%", x, y, countTicks(0, x.high), waitTicks(y.low, y.high))
	for i, curve := range curves {
		colour, point := curveColours[i%len(curveColours)], curvePoints[i%len(curvePoints)]
		var byConcurrency, byRate, joined strings.Builder
		for _, step := range curve.Steps {
			if step.Concurrency > 0 && step.Throughput > 0 {
				fmt.Fprintf(&byConcurrency, "M%s %s%s", px(answers.x.at(step.Concurrency)), px(answers.y.at(step.Throughput)), point)
			}
			if step.P99 > 0 {
				at := fmt.Sprintf("%s %s", px(waits.x.at(step.Rate)), px(waits.y.at(math.Log10(step.P99.Seconds()))))
				fmt.Fprintf(&byRate, "M%s%s", at, point)
				fmt.Fprintf(&joined, "%s%s", map[bool]string{true: "M", false: "L"}[joined.Len() == 0], at)
			}
		}
		if curve.Model != nil {
			answers.Shapes = append(answers.Shapes, shape{Path: line(answers, curve.Model.At, low, high), Colour: colour, Opacity: 1, Width: 1.5})
		}
		answers.Shapes = append(answers.Shapes, shape{Path: byConcurrency.String(), Colour: colour, Opacity: 1})
		waits.Shapes = append(waits.Shapes, shape{Path: joined.String(), Colour: colour, Opacity: 1, Width: 1.5}, shape{Path: byRate.String(), Colour: colour, Opacity: 1})
	}
	return picture{Width: width, Height: scaleHeight, Title: title, Below: below, Description: describeScales(curves), Legend: legend(meanings), Plots: []plot{answers, waits}}
}

// line plots a function in even steps on a logarithmic axis, as far as it is within the plot.
func line(p plot, f func(float64) float64, low, high float64) string {
	const steps = 100
	var path strings.Builder
	next := "M"
	for i := range steps + 1 {
		n := low * math.Pow(high/low, float64(i)/steps)
		if f(n) > p.y.high {
			next = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%s %s", next, px(p.x.at(n)), px(p.y.at(f(n))))
		next = "L"
	}
	return path.String()
}

// decadeTicks returns round numbers for a logarithmic axis.
func decadeTicks(low, high float64) (ticks []tick) {
	for power := math.Floor(math.Log10(low)); power <= math.Ceil(math.Log10(high)); power++ {
		for _, digit := range []float64{1, 2, 5} {
			if v := digit * math.Pow(10, power); low <= v && v <= high {
				ticks = append(ticks, tick{v, strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)})
			}
		}
	}
	return ticks
}

// describeScales puts in words what the picture shows.
func describeScales(curves []Scale) string {
	var d strings.Builder
	d.WriteString("Throughput by the number of requests at once, and the wait by the offered rate.")
	for _, curve := range curves {
		kept, most := best(curve)
		fmt.Fprintf(&d, " %s: keeps up with %.0f requests a second, answers at most %.0f a second.", curve.Name, kept, most)
	}
	return d.String()
}

// best returns the highest rate that the site kept up with, and the most answers a second.
func best(s Scale) (kept, most float64) {
	for _, step := range s.Steps {
		most = max(most, step.Throughput)
		if step.KeptUp {
			kept = max(kept, step.Rate)
		}
	}
	return kept, most
}

package report

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const scaleHeight = 430 * vg.Length(1)

// The curves differ in colour and in the shape of their points.
var (
	curveColours = []color.NRGBA{blue, vermilion, green, purple, orange, black}
	curveShapes  = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}}
)

// drawScales shows throughput by concurrency, with the models, beside the wait by the offered rate.
func drawScales(title string, curves []Scale) ([]byte, error) {
	canvas := vgsvg.NewWith(vgsvg.UseWH(width, scaleHeight))
	all := newCanvas(canvas)
	all = draw.Crop(all, margin, -margin, margin, -margin)
	var legend []outcome
	for i, curve := range curves {
		legend = append(legend, outcome{name: curve.Name, colour: curveColours[i%len(curveColours)]})
	}
	top := header(all, title, "points are measured, lines are the Universal Scalability Law fitted to them", legend)
	body := draw.Crop(all, 0, 0, 0, -(top + 6))

	answers := newPlot()
	answers.X.Label.Text, answers.Y.Label.Text = "requests at once", "answers/s"
	answers.X.Scale, answers.X.Tick.Marker, answers.Y.Tick.Marker = plot.LogScale{}, decadeTicks{}, countTicks{}
	waits := newPlot()
	waits.X.Label.Text, waits.Y.Label.Text = "requests offered/s", "wait of the slowest 1%"
	waits.X.Tick.Marker = countTicks{}
	waits.Y.Tick.Marker = waitTicks{}

	low, high, most, rate, fastest, slowest := math.Inf(1), 1.0, 1.0, 1.0, -2.0, 0.0
	for i, curve := range curves {
		var byConcurrency, byRate plotter.XYs
		for _, step := range curve.Steps {
			if step.Concurrency > 0 && step.Throughput > 0 {
				byConcurrency = append(byConcurrency, plotter.XY{X: step.Concurrency, Y: step.Throughput})
				low, high, most = min(low, step.Concurrency), max(high, step.Concurrency), max(most, step.Throughput)
			}
			if step.P99 > 0 {
				wait := math.Log10(step.P99.Seconds())
				byRate = append(byRate, plotter.XY{X: step.Rate, Y: wait})
				rate = max(rate, step.Rate)
				fastest, slowest = min(fastest, wait), max(slowest, wait)
			}
		}
		if err := addCurve(answers, i, byConcurrency, false); err != nil {
			return nil, err
		}
		if err := addCurve(waits, i, byRate, true); err != nil {
			return nil, err
		}
	}
	low = min(low, high/2)
	for i, curve := range curves {
		if curve.Model == nil {
			continue
		}
		model := plotter.NewFunction(curve.Model.At)
		model.Color, model.Width, model.Samples = curveColours[i%len(curveColours)], 1.5, 0
		answers.Add(logFunction{model, low, high})
	}
	answers.X.Min, answers.X.Max, answers.Y.Min, answers.Y.Max = low*0.8, high*1.25, 0, most*1.1
	waits.X.Min, waits.X.Max = 0, rate*1.05
	waits.Y.Min, waits.Y.Max = fastest-0.15, slowest+0.15

	middle := (body.Min.X + body.Max.X) / 2
	answers.Draw(draw.Crop(body, 0, middle-12-body.Max.X, 0, 0))
	waits.Draw(draw.Crop(body, middle+12-body.Min.X, 0, 0, 0))
	return finish(canvas, title, describeScales(curves))
}

func addCurve(p *plot.Plot, i int, points plotter.XYs, joined bool) error {
	if len(points) == 0 {
		return nil
	}
	line, shapes, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width = curveColours[i%len(curveColours)], 1.5
	shapes.Color, shapes.Radius, shapes.Shape = curveColours[i%len(curveColours)], 4, curveShapes[i%len(curveShapes)]
	if joined {
		p.Add(line)
	}
	p.Add(shapes)
	return nil
}

// logFunction draws a function in steps that are even on a logarithmic axis.
type logFunction struct {
	*plotter.Function
	low, high float64
}

// Plot implements plot.Plotter.
func (f logFunction) Plot(c draw.Canvas, p *plot.Plot) {
	const steps = 100
	x, y := p.Transforms(&c)
	line := make([]vg.Point, 0, steps+1)
	for i := range steps + 1 {
		n := f.low * math.Pow(f.high/f.low, float64(i)/steps)
		line = append(line, vg.Point{X: x(n), Y: y(f.F(n))})
	}
	c.StrokeLines(f.LineStyle, c.ClipLinesXY(line)...)
}

// decadeTicks are the powers of ten.
type decadeTicks struct{}

// Ticks implements plot.Ticker.
func (decadeTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for power := math.Floor(math.Log10(low)); power <= math.Ceil(math.Log10(high)); power++ {
		for digit := 1.0; digit < 10; digit++ {
			v := digit * math.Pow(10, power)
			if v < low || v > high {
				continue
			}
			tick := plot.Tick{Value: v}
			if digit == 1 {
				tick.Label = fmt.Sprintf("%g", v)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// describeScales says in words what the picture shows.
func describeScales(curves []Scale) string {
	var d strings.Builder
	d.WriteString("Throughput by the number of requests at once, and the wait by the offered rate.")
	for _, curve := range curves {
		kept, most := 0.0, 0.0
		for _, step := range curve.Steps {
			most = max(most, step.Throughput)
			if step.KeptUp {
				kept = max(kept, step.Rate)
			}
		}
		fmt.Fprintf(&d, " %s: keeps up with %.0f requests a second, answers at most %.0f a second.", curve.Name, kept, most)
	}
	return d.String()
}

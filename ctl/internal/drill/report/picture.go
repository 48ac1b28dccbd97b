package report

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
)

// The colours are those of Okabe and Ito (Color Universal Design, 2008), which people of any colour vision tell apart.
// The ground is opaque, so that a picture reads the same on a light and on a dark page.
var (
	ground    = color.NRGBA{R: 255, G: 255, B: 255, A: 255}
	ink       = color.NRGBA{R: 36, G: 41, B: 47, A: 255}
	soft      = color.NRGBA{R: 110, G: 119, B: 129, A: 255}
	grid      = color.NRGBA{R: 225, G: 228, B: 232, A: 255}
	blue      = color.NRGBA{R: 0, G: 114, B: 178, A: 255}
	sky       = color.NRGBA{R: 86, G: 180, B: 233, A: 255}
	green     = color.NRGBA{R: 0, G: 158, B: 115, A: 255}
	orange    = color.NRGBA{R: 230, G: 159, B: 0, A: 255}
	vermilion = color.NRGBA{R: 213, G: 94, B: 0, A: 255}
	purple    = color.NRGBA{R: 204, G: 121, B: 167, A: 255}
	black     = color.NRGBA{R: 0, G: 0, B: 0, A: 255}

	bandColour = color.NRGBA{R: 213, G: 94, B: 0, A: 40}
)

// picture is an SVG file.
type picture struct {
	file string
	svg  []byte
}

// drawSection draws what a section has to show.
func drawSection(s Section) ([]picture, error) {
	var pictures []picture
	name := s.Result.Run.Name
	if len(s.History.Requests) > 0 {
		svg, err := drawRun(s)
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, picture{name + ".svg", svg})
	}
	if curves := scales(s); len(curves) > 0 {
		svg, err := drawScales(cmp.Or(s.Result.Run.Title, name), curves)
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, picture{name + "-scale.svg", svg})
	}
	return pictures, nil
}

// outcome is a way in which a request can end, as the picture shows it.
type outcome struct {
	name   string
	colour color.NRGBA
	is     func(history.Request) bool
}

// The outcomes from the bottom of the picture to its top; the first that holds is a request's.
var outcomes = []outcome{
	{"read answered", blue, func(r history.Request) bool { return r.OK() && r.Kind == history.Read }},
	{"write answered", sky, func(r history.Request) bool { return r.OK() && r.Kind == history.Write }},
	{"name looked up", green, func(r history.Request) bool { return r.OK() && r.Kind == history.Lookup }},
	{"no answer in time", purple, func(r history.Request) bool { return r.Class == history.Timeout }},
	{"error answered", orange, func(r history.Request) bool { return r.Class == history.Status || r.Class == history.DNS }},
	{"refused or reset", vermilion, func(r history.Request) bool { return r.Class == history.Refused || r.Class == history.Reset }},
	{"failed otherwise", black, func(r history.Request) bool { return !r.OK() }},
}

func outcomeOf(r history.Request) int {
	return slices.IndexFunc(outcomes, func(o outcome) bool { return o.is(r) })
}

// Sizes of a picture.
const (
	width      = 1080 * vg.Length(1)
	runHeight  = 500 * vg.Length(1)
	margin     = 14 * vg.Length(1)
	textSize   = 13 * vg.Length(1)
	smallSize  = 12 * vg.Length(1)
	titleSize  = 17 * vg.Length(1)
	timeBins   = 240 // over the whole run: what keeps the file small, however many requests there are
	levelsEach = 8   // of the latency, for each power of ten

	lowestLevel, highestLevel = -4 * levelsEach, 2 * levelsEach // 0.1 ms and 100 s
)

func drawRun(s Section) ([]byte, error) {
	h := s.History
	end := max(h.End().Seconds(), 1e-3)
	// The plots take the width but for some 100 points; the names of events are laid out before anything is drawn, as the
	// picture's height depends on them.
	rows := layEvents(s.Result.Findings, func(at time.Duration) vg.Length { return vg.Length(at.Seconds()/end) * (width - 100) })
	above := rowHeight * vg.Length(slices.Max(append([]int{-1}, rows...))+1)
	canvas := vgsvg.NewWith(vgsvg.UseWH(width, runHeight+above))
	all := newCanvas(canvas)
	all = draw.Crop(all, margin, -margin, margin, -margin)
	shaded := bands(s.Result.Findings)
	legend := usedOutcomes(h.Requests)
	if len(shaded) > 0 {
		legend = append(legend, outcome{name: "outage", colour: bandColour})
	}
	top := header(all, cmp.Or(h.Run.Title, h.Run.Name), rates(h.Run.Steps)+", each shown at the time when it was due", legend)
	body := draw.Crop(all, 0, 0, 0, -(top + above + 6))

	counts := newPlot()
	counts.Y.Label.Text = "requests/s"
	counts.X.Min, counts.X.Max, counts.Y.Min = 0, end, 0
	stack := newStack(h.Requests, end)
	counts.Y.Max = stack.highest() * 1.06
	counts.Add(shaded, stack)
	counts.X.Tick.Marker, counts.Y.Tick.Marker = secondTicks{silent: true}, countTicks{}

	waits := newPlot()
	waits.Y.Label.Text = "wait for the answer"
	waits.X.Label.Text = "seconds since the start"
	waits.X.Min, waits.X.Max = 0, end
	waits.Y.Tick.Marker = waitTicks{}
	waits.X.Tick.Marker = secondTicks{}
	cells := newHeat(h.Requests, end)
	waits.Y.Min, waits.Y.Max = cells.bounds()
	waits.Add(shaded, cells)

	upper, lower := body, body
	upper.Min.Y = body.Min.Y + 0.52*(body.Max.Y-body.Min.Y)
	lower.Max.Y = upper.Min.Y - 4
	// Both begin at the same place, whatever their labels take.
	shift := counts.DataCanvas(upper).Min.X - waits.DataCanvas(lower).Min.X
	upper.Min.X += max(0, -shift)
	lower.Min.X += max(0, shift)
	counts.Draw(upper)
	waits.Draw(lower)
	data := counts.DataCanvas(upper)
	bottom := waits.DataCanvas(lower).Min.Y
	markEvents(all, s.Result.Findings, rows, func(at time.Duration) vg.Length { return data.X(counts.X.Norm(at.Seconds())) }, data.Max.Y, bottom)
	return finish(canvas, cmp.Or(h.Run.Title, h.Run.Name), describe(s))
}

// newCanvas is the whole of a picture, on its ground.
func newCanvas(c vg.CanvasSizer) draw.Canvas {
	all := draw.New(c)
	all.SetColor(ground)
	all.Fill(all.Rectangle.Path())
	return all
}

// newPlot is a plot in the style of all pictures.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = ground
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color, axis.Label.TextStyle.Color, axis.Tick.Label.Color = soft, soft, ink, ink
		axis.Label.TextStyle.Font = sans(smallSize)
		axis.Tick.Label.Font = sans(smallSize)
		axis.Padding = 0
	}
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.Add(lines)
	return p
}

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

func style(size vg.Length, c color.Color) text.Style {
	return text.Style{Color: c, Font: sans(size), Handler: plot.DefaultTextHandler, XAlign: text.XLeft, YAlign: text.YTop}
}

// header writes the title, what is below it and the legend at the top of c, and returns its height.
func header(c draw.Canvas, title, below string, legend []outcome) vg.Length {
	c.FillText(style(titleSize, ink), vg.Point{X: c.Min.X, Y: c.Max.Y}, title)
	c.FillText(style(smallSize, soft), vg.Point{X: c.Min.X, Y: c.Max.Y - 24}, below)
	x, y := c.Min.X, c.Max.Y-48
	for _, o := range legend {
		c.SetColor(o.colour)
		c.Fill(rectangle(x, y-11, x+11, y))
		st := style(textSize, ink)
		c.FillText(st, vg.Point{X: x + 16, Y: y + 1}, o.name)
		x += 16 + st.Width(o.name) + 20
	}
	return 70
}

func rectangle(x0, y0, x1, y1 vg.Length) vg.Path {
	var p vg.Path
	addRectangle(&p, x0, y0, x1, y1)
	return p
}

func addRectangle(p *vg.Path, x0, y0, x1, y1 vg.Length) {
	p.Move(vg.Point{X: x0, Y: y0})
	p.Line(vg.Point{X: x1, Y: y0})
	p.Line(vg.Point{X: x1, Y: y1})
	p.Line(vg.Point{X: x0, Y: y1})
	p.Close()
}

func usedOutcomes(requests []history.Request) []outcome {
	used := make([]bool, len(outcomes))
	for _, r := range requests {
		if r.Class != history.Aborted {
			used[outcomeOf(r)] = true
		}
	}
	var list []outcome
	for i, o := range outcomes {
		if used[i] {
			list = append(list, o)
		}
	}
	return list
}

// stack shows how many requests were due a second and what became of them, on top of each other.
type stack struct {
	width  float64     // of a bin, in seconds
	counts [][]float64 // for each bin, for each outcome: requests a second
}

func newStack(requests []history.Request, end float64) stack {
	s := stack{width: end / timeBins, counts: make([][]float64, timeBins)}
	for i := range s.counts {
		s.counts[i] = make([]float64, len(outcomes))
	}
	for _, r := range requests {
		if r.Class != history.Aborted {
			s.counts[min(timeBins-1, int(r.Due.Seconds()/s.width))][outcomeOf(r)] += 1 / s.width
		}
	}
	return s
}

func (s stack) highest() (highest float64) {
	highest = 1
	for _, bin := range s.counts {
		sum := 0.0
		for _, n := range bin {
			sum += n
		}
		highest = max(highest, sum)
	}
	return highest
}

// Plot implements plot.Plotter.
func (s stack) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	below := make([]float64, len(s.counts))
	for i, o := range outcomes {
		var path vg.Path
		for from := 0; from < len(s.counts); {
			to := from + 1 // of bins that look the same
			for to < len(s.counts) && s.counts[to][i] == s.counts[from][i] && below[to] == below[from] {
				to++
			}
			if n := s.counts[from][i]; n > 0 {
				addRectangle(&path, x(float64(from)*s.width), y(below[from]), x(float64(to)*s.width), y(below[from]+n))
			}
			from = to
		}
		for bin := range below {
			below[bin] += s.counts[bin][i]
		}
		if len(path) > 0 {
			c.SetColor(o.colour)
			c.Fill(path)
		}
	}
}

// heat shows how long requests took, on a logarithmic axis: a cell is the darker the more there are.
type heat struct {
	width float64
	cells map[[3]int]int // by bin of time, level of latency and outcome
}

func newHeat(requests []history.Request, end float64) heat {
	h := heat{width: end / timeBins, cells: make(map[[3]int]int)}
	for _, r := range requests {
		if r.Class == history.Aborted {
			continue
		}
		what := 0 // answered: all kinds look the same here
		if !r.OK() {
			what = outcomeOf(r)
		}
		lvl := int(math.Floor(math.Log10(max(r.Latency().Seconds(), 1e-4)) * levelsEach))
		h.cells[[3]int{min(timeBins-1, int(r.Due.Seconds()/h.width)), min(max(lvl, lowestLevel), highestLevel), what}]++
	}
	return h
}

// level is where a level begins, as the logarithm of its seconds.
func level(i int) float64 { return float64(i) / levelsEach }

func (h heat) bounds() (low, high float64) {
	low, high = -3, -1
	for cell := range h.cells {
		low, high = min(low, level(cell[1])), max(high, level(cell[1]+1))
	}
	return low, high + 0.1
}

// Plot implements plot.Plotter.
func (h heat) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for what, o := range outcomes {
		colour := o.colour
		for shade, alpha := range []uint8{90, 160, 255} {
			var path vg.Path
			for bin := range timeBins {
				for from := lowestLevel; from <= highestLevel; {
					if h.shade(bin, from, what) != shade {
						from++
						continue
					}
					to := from + 1 // of cells that look the same
					for to <= highestLevel && h.shade(bin, to, what) == shade {
						to++
					}
					addRectangle(&path, x(float64(bin)*h.width), y(level(from)), x(float64(bin+1)*h.width), y(level(to)))
					from = to
				}
			}
			if len(path) > 0 {
				colour.A = alpha
				c.SetColor(colour)
				c.Fill(path)
			}
		}
	}
}

// shade of a cell: 0 to 2 by how many requests are in it, and -1 for none.
func (h heat) shade(bin, level, what int) int {
	n := h.cells[[3]int{bin, level, what}]
	if n == 0 {
		return -1
	}
	return min(2, int(math.Log10(float64(n))*2))
}

// outageBands shade the times in which visitors of some route got no answer.
type outageBands []check.Span

func bands(findings []check.Finding) outageBands {
	var b outageBands
	for _, f := range findings {
		for _, o := range f.Routes {
			b = append(b, o.Gaps...)
		}
	}
	slices.SortFunc(b, func(a, b check.Span) int { return cmp.Compare(a.From, b.From) })
	var merged outageBands
	for _, span := range b {
		if last := len(merged) - 1; last >= 0 && span.From <= merged[last].To {
			merged[last].To = max(merged[last].To, span.To)
		} else {
			merged = append(merged, span)
		}
	}
	return merged
}

// Plot implements plot.Plotter.
func (b outageBands) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	var path vg.Path
	for _, span := range b {
		addRectangle(&path, x(span.From.Seconds()), c.Min.Y, min(c.Max.X, x(span.To.Seconds())), c.Max.Y)
	}
	if len(path) > 0 {
		c.SetColor(bandColour)
		c.Fill(path)
	}
}

// rowHeight is that of one row of events' names.
const rowHeight = 17 * vg.Length(1)

// eventText is what the picture says of an event.
func eventText(f check.Finding) string {
	outage, _ := f.Outage()
	if outage == 0 {
		return f.Event.Name
	}
	return f.Event.Name + ": " + duration(outage)
}

// layEvents gives each event the lowest row where its name has room.
func layEvents(findings []check.Finding, x func(time.Duration) vg.Length) []int {
	var ends []vg.Length
	rows := make([]int, len(findings))
	st := style(smallSize, ink)
	for i, f := range findings {
		left := x(f.Event.Start)
		row := slices.IndexFunc(ends, func(end vg.Length) bool { return end < left })
		if row < 0 {
			row = len(ends)
			ends = append(ends, 0)
		}
		ends[row] = left + st.Width(eventText(f)) + 14
		rows[i] = row
	}
	return rows
}

// markEvents draws a line through both plots for each event, with its name above.
func markEvents(c draw.Canvas, findings []check.Finding, rows []int, x func(time.Duration) vg.Length, top, bottom vg.Length) {
	line := draw.LineStyle{Color: ink, Width: 1, Dashes: []vg.Length{4, 3}}
	height := func(row int) vg.Length { return top + 6 + rowHeight*vg.Length(row) }
	for i, row := range rows {
		at := x(findings[i].Event.Start)
		c.StrokeLine2(line, at, bottom, at, height(row)+12)
	}
	st := style(smallSize, ink)
	st.YAlign = text.YBottom
	for i, row := range rows { // over the lines of others
		name := eventText(findings[i])
		left, y := min(x(findings[i].Event.Start)+4, c.Max.X-st.Width(name)), height(row)
		c.SetColor(ground)
		c.Fill(rectangle(left-2, y-1, left+st.Width(name)+3, y+13))
		c.FillText(st, vg.Point{X: left, Y: y}, name)
	}
}

// countTicks are a few round numbers.
type countTicks struct{}

// Ticks implements plot.Ticker.
func (countTicks) Ticks(low, high float64) []plot.Tick {
	step := 1.0
	for power := 1.0; (high-low)/step > 6; power *= 10 {
		for _, digit := range []float64{1, 2, 5} {
			if (high-low)/step > 6 {
				step = digit * power
			}
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: fmt.Sprintf("%.0f", i*step)})
	}
	return ticks
}

// waitTicks are the powers of ten, in units that people say, for an axis of logarithms of seconds. (With plot.LogScale, a
// vertical axis keeps room for its label in the wrong place.)
type waitTicks struct{}

// Ticks implements plot.Ticker.
func (waitTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for power := math.Ceil(low - 1e-9); power <= high; power++ {
		label := fmt.Sprintf("%g s", math.Pow(10, power))
		if power < 0 {
			label = fmt.Sprintf("%g ms", math.Pow(10, power+3))
		}
		ticks = append(ticks, plot.Tick{Value: power, Label: label})
	}
	return ticks
}

// secondTicks are whole steps of seconds.
type secondTicks struct{ silent bool }

// Ticks implements plot.Ticker.
func (s secondTicks) Ticks(low, high float64) []plot.Tick {
	step := 0.1
	for _, next := range []float64{0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600} {
		if (high-low)/step > 12 {
			step = next
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(low / step); i*step <= high; i++ {
		label := fmt.Sprintf("%.4g", i*step)
		if s.silent {
			label = ""
		}
		ticks = append(ticks, plot.Tick{Value: i * step, Label: label})
		if label == "" {
			ticks[len(ticks)-1].Label = " " // an empty one would be a minor tick
		}
	}
	return ticks
}

// rates says how much load a run held.
func rates(steps []history.Step) string {
	switch len(steps) {
	case 0:
		return "no requests"
	case 1:
		return fmt.Sprintf("%.0f requests a second for %s", steps[0].Rate, duration(steps[0].For))
	}
	return fmt.Sprintf("%.0f to %.0f requests a second in %d steps", steps[0].Rate, steps[len(steps)-1].Rate, len(steps))
}

// describe says in words what the picture of a run shows, for those who cannot see it.
func describe(s Section) string {
	var d strings.Builder
	fmt.Fprintf(&d, "Requests over time by what became of them, and how long they took, at %s. %d of %d visits failed.",
		rates(s.Result.Run.Steps), s.Result.All.Failed, s.Result.All.Of)
	for _, f := range s.Result.Findings {
		outage, route := f.Outage()
		failed, of := f.Failed()
		if outage > 0 {
			fmt.Fprintf(&d, " After %s at %.0f s: an outage of %s (%s), %d of %d requests failed.", f.Event.Name, f.Event.Start.Seconds(), duration(outage), route, failed, of)
		} else {
			fmt.Fprintf(&d, " After %s at %.0f s: no outage, %d of %d requests failed.", f.Event.Name, f.Event.Start.Seconds(), failed, of)
		}
	}
	return d.String()
}

var (
	openingTag = regexp.MustCompile(`<svg [^>]*>`)
	fontFamily = regexp.MustCompile(`font-family:Liberation Sans;font-variant:normal;font-weight:normal;font-style:normal`)
	rectangles = regexp.MustCompile(`M([-.\d]+),([-.\d]+)L([-.\d]+),([-.\d]+)L([-.\d]+),([-.\d]+)L([-.\d]+),([-.\d]+)Z`)
)

// shorten writes an upright rectangle in half as many bytes.
func shorten(path []byte) []byte {
	p := rectangles.FindSubmatch(path)
	same := func(i, j int) bool { return bytes.Equal(p[i], p[j]) }
	if !(same(4, 2) && same(5, 3) && same(7, 1) && same(8, 6)) {
		return path
	}
	return fmt.Appendf(nil, "M%s,%sH%sV%sH%sZ", p[1], p[2], p[3], p[6], p[1])
}

// finish writes the SVG, with its words for those who cannot see it.
func finish(canvas *vgsvg.Canvas, title, description string) ([]byte, error) {
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return nil, err
	}
	words := fmt.Sprintf("$0\n<title>%s</title>\n<desc>%s</desc>", escape(title), escape(description))
	// An XML declaration has no place inside a page.
	content := svg.Bytes()
	if i := bytes.Index(content, []byte("<svg ")); i > 0 {
		content = content[i:]
	}
	content = openingTag.ReplaceAll(content, []byte(words))
	content = bytes.Replace(content, []byte("<svg "), []byte(`<svg role="img" `), 1)
	content = rectangles.ReplaceAllFunc(content, shorten)
	return fontFamily.ReplaceAll(content, []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif")), nil
}

// escape for XML, and for the replacement of a regular expression.
func escape(s string) string { return strings.ReplaceAll(html.EscapeString(s), "$", "$$") }

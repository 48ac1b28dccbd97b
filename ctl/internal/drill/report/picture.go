package report

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
)

// The colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any kind of colour vision can
// tell apart.
const (
	blue      = "#0072b2"
	sky       = "#56b4e9"
	green     = "#009e73"
	orange    = "#e69f00"
	vermilion = "#d55e00"
	purple    = "#cc79a7"
	black     = "#000000"
)

// Sizes of a picture, in its own units.
const (
	width       = 1080.0
	runHeight   = 500.0
	scaleHeight = 430.0
	margin      = 14.0
	headHeight  = 70.0 // the height of the title, the line below it, and the legend
	leftOfPlot  = 72.0 // the width of a vertical axis' labels
	belowPlot   = 40.0 // the height of a horizontal axis' labels
	rowHeight   = 17.0 // the height of a row of actions' names
	timeBins    = 240  // bins for the whole run, so that the file stays small, however many requests there are
	levelsEach  = 8    // levels of latency for each power of ten

	lowestLevel, highestLevel = -4 * levelsEach, 2 * levelsEach // 0.1 ms and 100 s
)

// px is a length in a picture.
type px float64

func (p px) String() string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(p), 'f', 1, 64), ".0")
}

// textWidth returns roughly the width of a text in the picture's font size.
func textWidth(text string) float64 { return 6.4 * float64(len([]rune(text))) }

// A picture holds the data that the template for pictures draws.
type picture struct {
	Width, Height             px
	Title, Below, Description string
	Legend                    []mark
	Plots                     []plot
	Marks                     []mark // with a line down through all plots
	Bottom                    px     // where those lines end

	file string
	svg  []byte
}

// A mark is a text at a place.
type mark struct {
	X, Y, Width px
	Text        string
	Colour      string
	Opacity     float64
}

// A plot is drawn over two axes.
type plot struct {
	X, Y, Width, Height px // the position and the size of the frame
	Across, Up          string
	XTicks, YTicks      []mark
	Shapes              []shape
	Cells               bool // whether the shapes lie edge to edge

	x, y axis
}

// A shape is a path of one colour, filled or, if it has a width, drawn as a line.
type shape struct {
	Path    string
	Colour  string
	Opacity float64
	Width   float64
}

// An axis maps values to positions.
type axis struct {
	low, high, from, to float64
	log                 bool
}

func (a axis) at(value float64) float64 {
	low, high := a.low, a.high
	if a.log {
		low, high, value = math.Log(low), math.Log(high), math.Log(value)
	}
	return a.from + (value-low)/(high-low)*(a.to-a.from)
}

// A tick is a value that an axis labels.
type tick struct {
	value float64
	label string
}

// Bottom returns the position of the plot's horizontal axis.
func (p plot) Bottom() px { return p.Y + p.Height }

// Centre returns the middle of the plot's width.
func (p plot) Centre() px { return p.X + p.Width/2 }

// Middle returns the middle of the plot's height.
func (p plot) Middle() px { return p.Y + p.Height/2 }

// Left returns where the text of a mark begins, chosen so that it ends within the picture.
func (m mark) Left() px { return min(m.X+4, width-margin-m.Width) }

// newPlot returns a plot with its frame: both axes with their ticks.
func newPlot(left, top, right, bottom float64, across, up string, x, y axis, xTicks, yTicks []tick) plot {
	p := plot{X: px(left), Y: px(top), Width: px(right - left), Height: px(bottom - top), Across: across, Up: up, x: x, y: y}
	p.x.from, p.x.to, p.y.from, p.y.to = left, right, bottom, top
	for _, t := range xTicks {
		p.XTicks = append(p.XTicks, mark{X: px(p.x.at(t.value)), Text: t.label})
	}
	for _, t := range yTicks {
		p.YTicks = append(p.YTicks, mark{Y: px(p.y.at(t.value)), Text: t.label})
	}
	return p
}

// rectangles collects areas between two values on each axis.
type rectangles struct {
	strings.Builder
	of *plot
}

func (r *rectangles) add(x0, x1, y0, y1 float64) {
	left, right, low, high := r.of.x.at(x0), r.of.x.at(x1), r.of.y.at(y0), r.of.y.at(y1)
	fmt.Fprintf(r, "M%s %sh%sv%sh%sz", px(left), px(high), px(right-left), px(low-high), px(left-right))
}

// fill draws the rectangles, if there are any.
func (p *plot) fill(r *rectangles, colour string, opacity float64) {
	if r.Len() > 0 {
		p.Shapes = append(p.Shapes, shape{Path: r.String(), Colour: colour, Opacity: opacity})
	}
}

// draw renders the picture as SVG.
func (p *picture) draw() error {
	var svg bytes.Buffer
	err := pageTemplate.ExecuteTemplate(&svg, "picture", p)
	p.svg = svg.Bytes()
	return err
}

// drawSection draws the pictures for which a section has data.
func drawSection(s Section) ([]picture, error) {
	var pictures []picture
	name := s.Result.Run.Name
	if len(s.History.Requests) > 0 {
		p := drawRun(s)
		p.file = name + ".svg"
		pictures = append(pictures, p)
	}
	if curves := scales(s); len(curves) > 0 {
		p := drawScales(cmp.Or(s.Result.Run.Title, name), curves)
		p.file = name + "-scale.svg"
		pictures = append(pictures, p)
	}
	for i := range pictures {
		if err := pictures[i].draw(); err != nil {
			return nil, err
		}
	}
	return pictures, nil
}

// legend positions the explanations of the colours side by side.
func legend(marks []mark) []mark {
	at := margin
	for i := range marks {
		marks[i].X, marks[i].Opacity = px(at), cmp.Or(marks[i].Opacity, 1)
		at += 16 + textWidth(marks[i].Text)*13/12 + 20
	}
	return marks
}

// outcome is one way in which a request can end, as the picture shows it.
type outcome struct {
	name   string
	colour string
	is     func(history.Request) bool
}

// outcomes lists the outcomes from the bottom of the picture to its top. A request has the first one that applies.
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

// drawRun shows how many requests were due at each time and how they ended, and below, how long they took.
func drawRun(s Section) picture {
	h := s.History
	end := max(h.End().Seconds(), 1e-3)
	bin := end / timeBins
	counts := make([][]float64, timeBins) // for each outcome: requests a second
	for i := range counts {
		counts[i] = make([]float64, len(outcomes))
	}
	cells := map[[3]int]int{} // requests by bin of time, level of latency and outcome
	used := make([]bool, len(outcomes))
	slowest, fastest, most := -1*levelsEach, -3*levelsEach, 1.0
	for _, r := range h.Requests {
		if r.Class == history.Aborted {
			continue
		}
		what, at := outcomeOf(r), min(timeBins-1, int(r.Due.Seconds()/bin))
		used[what] = true
		counts[at][what] += 1 / bin
		if r.OK() {
			what = 0 // in the lower plot, all kinds look the same
		}
		level := int(math.Floor(math.Log10(max(r.Latency().Seconds(), 1e-4)) * levelsEach))
		level = min(max(level, lowestLevel), highestLevel)
		cells[[3]int{at, level, what}]++
		fastest, slowest = min(fastest, level), max(slowest, level+1)
	}
	for _, bin := range counts {
		sum := 0.0
		for _, n := range bin {
			sum += n
		}
		most = max(most, sum)
	}
	shaded := bands(s.Result.Findings)
	var meanings []mark
	for i, o := range outcomes {
		if used[i] {
			meanings = append(meanings, mark{Text: o.name, Colour: o.colour})
		}
	}
	if len(shaded) > 0 {
		meanings = append(meanings, mark{Text: "outage", Colour: vermilion, Opacity: 0.16})
	}

	left, right := margin+leftOfPlot, width-margin
	time := axis{low: 0, high: end, from: left, to: right}
	actions, rows := layActions(s.Result.Findings, time)
	top := margin + headHeight + rowHeight*float64(rows) + 6
	bottom := runHeight + rowHeight*float64(rows) - margin - belowPlot
	middle := top + 0.48*(bottom-top)
	seconds := secondTicks(end)
	unnamed := slices.Clone(seconds)
	for i := range unnamed {
		unnamed[i].label = ""
	}
	due := newPlot(left, top, right, middle, "", "requests/s", time, axis{low: 0, high: most * 1.06}, unnamed, countTicks(0, most*1.06))
	low, high := float64(fastest)/levelsEach, float64(slowest)/levelsEach+0.1
	waits := newPlot(left, middle+12, right, bottom, "seconds since the start", "wait for the answer", time, axis{low: low, high: high}, seconds, waitTicks(low, high))
	for _, p := range []*plot{&due, &waits} {
		p.Cells = true
		shade := &rectangles{of: p}
		for _, span := range shaded {
			shade.add(span.From.Seconds(), min(end, span.To.Seconds()), p.y.low, p.y.high)
		}
		p.fill(shade, vermilion, 0.16)
	}
	pile(&due, counts, bin)
	heat(&waits, cells, bin)
	p := picture{Width: width, Height: px(runHeight + rowHeight*float64(rows)), Title: cmp.Or(h.Run.Title, h.Run.Name),
		Below: rates(h.Run.Steps) + ", each shown at the time when it was due", Description: describe(s), Legend: legend(meanings), Plots: []plot{due, waits}, Marks: actions, Bottom: px(bottom)}
	for i := range p.Marks { // counted from the lowest row
		p.Marks[i].Y = px(top-8) - p.Marks[i].Y
	}
	return p
}

// pile draws how the requests of each bin ended, stacked on top of each other.
func pile(p *plot, counts [][]float64, bin float64) {
	below := make([]float64, len(counts))
	for i, o := range outcomes {
		path := &rectangles{of: p}
		for from := 0; from < len(counts); {
			to := from + 1 // the end of a run of bins that look the same
			for to < len(counts) && counts[to][i] == counts[from][i] && below[to] == below[from] {
				to++
			}
			if n := counts[from][i]; n > 0 {
				path.add(float64(from)*bin, float64(to)*bin, below[from], below[from]+n)
			}
			from = to
		}
		for at := range below {
			below[at] += counts[at][i]
		}
		p.fill(path, o.colour, 1)
	}
}

// heat draws how long requests took: the more there are, the darker the cell.
func heat(p *plot, cells map[[3]int]int, bin float64) {
	shade := func(at, level, what int) int {
		n := cells[[3]int{at, level, what}]
		if n == 0 {
			return -1
		}
		return min(2, int(math.Log10(float64(n))*2))
	}
	for what, o := range outcomes {
		for of, opacity := range []float64{0.35, 0.63, 1} {
			path := &rectangles{of: p}
			for at := range timeBins {
				for from := lowestLevel; from <= highestLevel; {
					to := from // the end of a run of cells that look the same
					for to <= highestLevel && shade(at, to, what) == of {
						to++
					}
					if to > from {
						path.add(float64(at)*bin, float64(at+1)*bin, float64(from)/levelsEach, float64(to)/levelsEach)
					}
					from = max(to, from+1)
				}
			}
			p.fill(path, o.colour, opacity)
		}
	}
}

// bands returns the times in which the visitors of at least one route got no answer.
func bands(findings []check.Finding) []check.Span {
	var all, merged []check.Span
	for _, f := range findings {
		for _, o := range f.Routes {
			all = append(all, o.Gaps...)
		}
	}
	slices.SortFunc(all, func(a, b check.Span) int { return cmp.Compare(a.From, b.From) })
	for _, span := range all {
		if last := len(merged) - 1; last >= 0 && span.From <= merged[last].To {
			merged[last].To = max(merged[last].To, span.To)
		} else {
			merged = append(merged, span)
		}
	}
	return merged
}

// layActions puts the name of each action in the lowest row that has room. Heights are counted from the lowest row.
func layActions(findings []check.Finding, time axis) (marks []mark, rows int) {
	type row []mark
	var laid []row
	for _, f := range findings {
		name := f.Action.Name
		if outage, _ := f.Outage(); outage > 0 {
			name += ": " + duration(outage)
		}
		m := mark{X: px(time.at(f.Action.Start.Seconds())), Width: px(textWidth(name) + 5), Text: name}
		// A name near the right edge begins to the left of its line.
		free := slices.IndexFunc(laid, func(r row) bool { return r[len(r)-1].Left()+r[len(r)-1].Width+5 < min(m.X, m.Left()) })
		if free < 0 {
			free = len(laid)
			laid = append(laid, nil)
		}
		m.Y = px(rowHeight * float64(free))
		laid[free] = append(laid[free], m)
		marks = append(marks, m)
	}
	return marks, len(laid)
}

// countTicks returns a few round numbers.
func countTicks(low, high float64) (ticks []tick) {
	step := 1.0
	for power := 1.0; (high-low)/step > 6; power *= 10 {
		for _, digit := range []float64{1, 2, 5} {
			if (high-low)/step > 6 {
				step = digit * power
			}
		}
	}
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, tick{i * step, fmt.Sprintf("%.0f", i*step)})
	}
	return ticks
}

// waitTicks returns the powers of ten, in familiar units, for a logarithmic axis of seconds.
func waitTicks(low, high float64) (ticks []tick) {
	for power := math.Ceil(low - 1e-9); power <= high; power++ {
		label := fmt.Sprintf("%g s", math.Pow(10, power))
		if power < 0 {
			label = fmt.Sprintf("%g ms", math.Pow(10, power+3))
		}
		ticks = append(ticks, tick{power, label})
	}
	return ticks
}

// secondTicks returns ticks at regular steps, for an axis of seconds.
func secondTicks(end float64) (ticks []tick) {
	step := 0.1
	for _, next := range []float64{0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600} {
		if end/step > 12 {
			step = next
		}
	}
	for i := 0.0; i*step <= end; i++ {
		ticks = append(ticks, tick{i * step, fmt.Sprintf("%.4g", i*step)})
	}
	return ticks
}

// rates describes the load of a run.
func rates(steps []history.Step) string {
	switch len(steps) {
	case 0:
		return "no requests"
	case 1:
		return fmt.Sprintf("%.0f requests a second for %s", steps[0].Rate, duration(steps[0].For))
	}
	return fmt.Sprintf("%.0f to %.0f requests a second in %d steps", steps[0].Rate, steps[len(steps)-1].Rate, len(steps))
}

// describe puts in words what the picture of a run shows, for readers who cannot see it.
func describe(s Section) string {
	var d strings.Builder
	fmt.Fprintf(&d, "Requests over time by what became of them, and how long they took, at %s. %d of %d visits failed.",
		rates(s.Result.Run.Steps), s.Result.All.Failed, s.Result.All.Of)
	for _, f := range s.Result.Findings {
		outage, route := f.Outage()
		failed, of := f.Failed()
		if outage > 0 {
			fmt.Fprintf(&d, " After %s at %.0f s: an outage of %s (%s), %d of %d requests failed.", f.Action.Name, f.Action.Start.Seconds(), duration(outage), route, failed, of)
		} else {
			fmt.Fprintf(&d, " After %s at %.0f s: no outage, %d of %d requests failed.", f.Action.Name, f.Action.Start.Seconds(), failed, of)
		}
	}
	return d.String()
}

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"oneserver/ctl/internal/terminal"
)

// A Report holds what was measured, and whether the figures meet their targets.
type Report struct {
	Rows        int       `json:"rows"`
	Rounds      int       `json:"rounds"`
	Seconds     float64   `json:"seconds"`
	Connections int       `json:"connections"`
	Processors  int       `json:"processors"`
	Variants    []Variant `json:"variants"`
	Figures     []Figure  `json:"figures"`
}

// A Variant holds the measurements of one variant.
type Variant struct {
	Name string            `json:"name"`
	Rate Spread            `json:"requests_per_second"`
	Half float64           `json:"median_ms"`                    // at half of that rate
	P99  float64           `json:"p99_ms"`                       // at half of that rate too
	CPU  map[string]Spread `json:"cpu_microseconds_per_request"` // by service
}

// A Figure compares two variants, or describes one.
type Figure struct {
	Name    string  `json:"name"`
	Wanted  string  `json:"wanted"`
	Value   Spread  `json:"measured"`
	CPU     *Spread `json:"measured_by_cpu_time,omitempty"` // the same ratio of processor times, without the load's
	Reached bool    `json:"reached"`

	unit string
}

// A Spread is the median of the rounds, with the lowest and the highest.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func spread(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return Spread{median, sorted[0], sorted[len(sorted)-1]}
}

// each returns the spread of f over all samples.
func each(samples []sample, f func(sample) float64) Spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = f(s)
	}
	return spread(values)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// services lists the columns of CPU time. A service shares its column with its replacements; each variant uses only one of
// them.
var services = []string{"web", "app", "db", "dns", "load"}

// cpuOf returns a service's CPU time for one request, including that of the services that replace it.
func cpuOf(s sample, service string) time.Duration {
	switch service {
	case "app":
		return s.cpu["app"] + s.cpu["bare"] + s.cpu["dial"]
	case "web":
		return s.cpu["web"] + s.cpu["web-bare"] + s.cpu["web-dial"] + s.cpu["web-nginx"]
	case "dns":
		return s.cpu["dns"] + s.cpu["dns-file"]
	}
	return s.cpu[service]
}

func newReport(options Options, all []variant, samples map[string][]sample) *Report {
	report := &Report{Rows: options.Rows, Rounds: options.Rounds, Seconds: options.Each.Seconds(),
		Connections: connections, Processors: runtime.NumCPU()}
	for _, v := range all {
		one := Variant{Name: v.title, CPU: map[string]Spread{}}
		one.Rate = each(samples[v.key], func(s sample) float64 { return s.rate })
		for _, service := range services {
			one.CPU[service] = each(samples[v.key], func(s sample) float64 { return float64(cpuOf(s, service)) / float64(time.Microsecond) })
		}
		report.Variants = append(report.Variants, one)
	}

	// ratio compares round by round, so that changes between rounds do not favour either side. If wanted is 0, there is no
	// target.
	ratio := func(name, a, b string, wanted float64, unit string) *Figure {
		scale := 1.0
		if unit == "%" {
			scale = 100
		}
		var rates, costs []float64
		for i := range samples[a] {
			one, other := samples[a][i], samples[b][i]
			rates = append(rates, one.rate/other.rate*scale)
			costs = append(costs, float64(other.stackTime())/float64(one.stackTime())*scale)
		}
		cpu := spread(costs)
		figure := Figure{Name: name, Value: spread(rates), CPU: &cpu, unit: unit, Reached: true}
		if wanted > 0 {
			figure.Wanted = fmt.Sprintf("≥ %g%s", wanted, unit)
			figure.Reached = figure.Value.Median >= wanted
		}
		report.Figures = append(report.Figures, figure)
		return &report.Figures[len(report.Figures)-1]
	}
	page := ratio("a page of 20 posts, of bare database/sql and net/http, by CPU time", "app", "bare", 95, "%")
	page.Reached = page.CPU.Median >= 95
	ratio("a page of 20 posts, against an imitation that connects for each request", "app", "dial", 3, "×")
	ratio("the kept page, against the same", "anonymous", "dial", 3, "×")
	ratio("the kept page, of the rate of a static file", "anonymous", "static", 60, "%")
	ratio("site.js, compressed, of the rate of a bare Nginx with gzip_static and a log", "script", "script-bare", 80, "%")
	ratio("a search, of the rate of the same statements", "search", "search-bare", 0, "%")
	ratio("a new post, of the rate of the same statements", "write", "write-bare", 80, "%")
	ratio("a sign-in, of the rate of the hash and two statements", "sign-in", "sign-in-bare", 0, "%")
	ratio("an address from dns, of the rate of CoreDNS with its plugin file", "dns", "dns-file", 95, "%")

	kept := Figure{Name: "requests for the kept page that reach app in a second", Wanted: "≤ 1", Value: each(samples["anonymous"], func(s sample) float64 {
		return s.reached * s.rate
	})}
	kept.Reached = kept.Value.Median <= 1
	signedIn := Figure{Name: "of requests with a session cookie", Wanted: "100%", unit: "%", Value: each(samples["app"], func(s sample) float64 { return 100 * s.reached })}
	signedIn.Reached = signedIn.Value.Low == 100
	report.Figures = append(report.Figures, kept, signedIn)

	ratio("page 100,000, of the rate of page 1", "deep", "app", 90, "%")
	ratio(fmt.Sprintf("a table of %s posts, of the rate of one of %s", thousands(options.Rows), thousands(smallRows)), "app", "small", 80, "%")

	ratio("handshakes of TLS, of the rate of a bare Nginx with the same certificate", "handshake", "handshake-bare", 90, "%")
	ratio("the home page over HTTP/2, of the rate of a bare Nginx", "https", "https-bare", 90, "%")
	more := make([]float64, len(samples["https"]))
	for i, one := range samples["https"] {
		more[i] = 100 * (float64(cpuOf(one, "web"))/float64(cpuOf(samples["http"][i], "web")) - 1) // only web is involved
	}
	secured := Figure{Name: "CPU time that it takes of web more over https, on kept connections, than over http", Wanted: "≤ 10%", unit: "%", Value: spread(more)}
	secured.Reached = secured.Value.Median <= 10
	report.Figures = append(report.Figures, secured)
	return report
}

// together adds a figure for many visitors at the same moment. slow holds, for each round, the 99th percentile of their waits
// for an answer that is not cached yet, in milliseconds.
func (r *Report) together(slow []float64) {
	figure := Figure{Name: "200 visitors at the same moment for an answer that is not kept yet: 99th percentile", Wanted: "≤ 20 ms", unit: " ms", Value: spread(slow)}
	figure.Reached = figure.Value.Median <= 20
	r.Figures = append(r.Figures, figure)
}

// Print writes the report for a person.
func (r *Report) Print(out *os.File) error {
	return r.print(out, terminal.Colour(out))
}

func (r *Report) print(out io.Writer, colour bool) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s\n\n", r.title())
	for _, rows := range [][][]string{r.measured(), r.compared(colour)} {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// Markdown returns the report in the form of a page in docs/.
func (r *Report) Markdown() []byte {
	var page bytes.Buffer
	fmt.Fprintf(&page, "%s\n", r.title())
	for _, rows := range [][][]string{r.measured(), r.compared(false)} {
		fmt.Fprintf(&page, "\n| %s |\n|%s\n", strings.Join(rows[0], " | "), strings.Repeat("---|", len(rows[0])))
		for _, row := range rows[1:] {
			fmt.Fprintf(&page, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return page.Bytes()
}

func (r *Report) title() string {
	return fmt.Sprintf("%s posts, %d rounds of %g s each, %d connections, %d processors; medians (lowest–highest)",
		thousands(r.Rows), r.Rounds, r.Seconds, r.Connections, r.Processors)
}

// measured returns the table of measurements, one row for each variant.
func (r *Report) measured() [][]string {
	rows := [][]string{{"", "requests/s", "median, ms", "99th percentile", "CPU time for one, µs: web", "app", "db", "dns", "load"}}
	for _, v := range r.Variants {
		row := []string{v.Name, v.Rate.format(""), number(v.Half), number(v.P99)}
		for _, service := range services {
			row = append(row, number(v.CPU[service].Median))
		}
		rows = append(rows, row)
	}
	return rows
}

// compared returns the table of figures.
func (r *Report) compared(colour bool) [][]string {
	rows := [][]string{{"", "wanted", "measured", "by CPU time", "reached"}}
	for _, f := range r.Figures {
		cpu, reached := "", ""
		if f.CPU != nil {
			cpu = number(f.CPU.Median) + f.unit
		}
		if f.Wanted != "" {
			reached = verdict(f.Reached, colour)
		}
		rows = append(rows, []string{f.Name, f.Wanted, f.Value.format(f.unit), cpu, reached})
	}
	return rows
}

func verdict(reached, colour bool) string {
	word, code := "no", "31"
	if reached {
		word, code = "yes", "32"
	}
	if colour {
		return "\x1b[" + code + "m" + word + "\x1b[0m"
	}
	return word
}

func (s Spread) format(unit string) string {
	return fmt.Sprintf("%s%s (%s–%s)", number(s.Median), unit, number(s.Low), number(s.High))
}

// number formats a value with three digits, or as a whole number if it has more.
func number(value float64) string {
	switch {
	case value >= 99.95:
		return thousands(int(value + 0.5))
	case value >= 9.995:
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	return strconv.FormatFloat(value, 'f', 2, 64)
}

// thousands formats a number with its digits in groups: 10,000,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

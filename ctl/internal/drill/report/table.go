package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"oneserver/ctl/internal/drill/check"
)

// Table prints a section's findings.
func Table(w io.Writer, s Section) error {
	var out strings.Builder
	r := s.Result
	fmt.Fprintf(&out, "%s\n", cmp.Or(r.Run.Title, r.Run.Name))
	if len(r.Findings) > 0 {
		printTable(&out, findingTable(r.Findings))
	}
	for _, scale := range scales(s) {
		fmt.Fprintf(&out, "\n%s\n", scale.Name)
		printTable(&out, stepTable(scale.Steps))
		if says := meaning(scale); says != "" {
			fmt.Fprintln(&out, says)
		}
	}
	fmt.Fprintln(&out)
	for _, sentence := range sentences(r) {
		fmt.Fprintln(&out, sentence)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// scales returns a section's curves. A run of steps without curves counts as one curve.
func scales(s Section) []Scale {
	if len(s.Scales) == 0 && len(s.Result.Steps) > 0 {
		return []Scale{{Name: "steps", Steps: s.Result.Steps}}
	}
	return s.Scales
}

// meaning explains a curve's model; empty if the steps support none.
func meaning(s Scale) string {
	if s.Model == nil {
		return ""
	}
	return "Universal Scalability Law: " + s.Model.String()
}

// table holds rows of cells; the first row holds the headings.
type table [][]string

func findingTable(findings []check.Finding) table {
	t := table{{"action", "outage", "of what", "failed", "slowest answer", "lost", "duplicated", "time to healthy"}}
	for _, f := range findings {
		outage, route := f.Outage()
		failed, of := f.Failed()
		t = append(t, []string{
			f.Action.Name, duration(outage), cmp.Or(route, "–"), fmt.Sprintf("%d of %d", failed, of), duration(f.Slowest()),
			fmt.Sprint(len(f.Writes.Lost)), fmt.Sprint(len(f.Writes.Duplicated)), recovery(f),
		})
	}
	return t
}

func recovery(f check.Finding) string {
	after, ok := f.Recovery()
	if !ok {
		return "not within " + duration(f.Window.Length())
	}
	return duration(after)
}

func stepTable(steps []check.Step) table {
	head := []string{"offered/s", "answered/s", "at once", "failed", "median", "99th percentile", "kept up", "generator late"}
	var details []string
	for _, s := range steps {
		details = append(details, slices.Collect(maps.Keys(s.Detail))...)
	}
	slices.Sort(details)
	details = slices.Compact(details)
	t := table{append(head, details...)}
	for _, s := range steps {
		row := []string{
			fmt.Sprintf("%.0f", s.Rate), fmt.Sprintf("%.0f", s.Throughput), fmt.Sprintf("%.1f", s.Concurrency),
			fmt.Sprintf("%d of %d", s.Failed, s.Of), duration(s.P50), duration(s.P99), map[bool]string{true: "yes", false: "no"}[s.KeptUp], duration(s.LateP99),
		}
		for _, d := range details {
			row = append(row, cmp.Or(s.Detail[d], "–"))
		}
		t = append(t, row)
	}
	return t
}

func printTable(w io.Writer, t table) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range t {
		fmt.Fprintf(columns, "  %s\n", strings.Join(row, "\t"))
	}
	columns.Flush() // to a strings.Builder, which returns no errors
}

// sentences returns the report's statements about the whole run.
func sentences(r check.Result) []string {
	var s []string
	w := r.Writes
	switch {
	case w.OK() && w.Acknowledged+w.UnknownThere+w.UnknownGone == 0: // a run without writes
	case w.OK():
		s = append(s, fmt.Sprintf("Writes: %d acknowledged, none of them lost, duplicated or read stale. Without an answer: %d, of which %d are in the database.",
			w.Acknowledged, w.UnknownThere+w.UnknownGone, w.UnknownThere))
	default:
		s = append(s, fmt.Sprintf("WRITES ARE WRONG: of %d acknowledged, %d lost, %d duplicated, %d read stale; %d that were refused or never sent are there.%s",
			w.Acknowledged, len(w.Lost), len(w.Duplicated), len(w.StaleReads), len(w.Phantom), examples(w)))
	}
	if r.LateMax > 0 {
		s = append(s, fmt.Sprintf("The generator itself was late by %s at the median, %s at the 99th percentile, %s at most.",
			duration(r.LateP50), duration(r.LateP99), duration(r.LateMax)))
	}
	if r.LateP99 > 5*time.Millisecond {
		s = append(s, "That is more than 5 ms: this machine was too busy for figures of less than ten times that to mean much.")
	}
	if r.All.Repeated > 0 {
		s = append(s, fmt.Sprintf("%d requests were answered only when the client sent them again over a new connection, as browsers do.", r.All.Repeated))
	}
	for _, f := range r.Findings {
		if f.Action.Note != "" {
			s = append(s, f.Action.Name+": "+f.Action.Note)
		}
	}
	return append(s, r.Notes...)
}

// examples returns a few tokens to look for in the logs.
func examples(w check.Writes) string {
	var some []string
	for _, tokens := range [][]string{w.Lost, w.Duplicated, w.StaleReads, w.Phantom} {
		some = append(some, tokens[:min(len(tokens), 2)]...)
	}
	return " See " + strings.Join(some, ", ") + "."
}

// duration formats a time in the unit and precision that people read; – for none.
func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 99500*time.Millisecond: // from there on two digits would be 1e+02
		return fmt.Sprintf("%.2g s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// Compare prints two summaries side by side: each action and each step that both have, and those that only one has.
func Compare(w io.Writer, nameA string, a []Section, nameB string, b []Section) error {
	var out strings.Builder
	fmt.Fprintf(&out, "A is %s, B is %s.\n", nameA, nameB)
	find := func(sections []Section, name string) (Section, bool) {
		i := slices.IndexFunc(sections, func(s Section) bool { return s.Result.Run.Name == name })
		if i < 0 {
			return Section{}, false
		}
		return sections[i], true
	}
	for _, sa := range a {
		run := sa.Result.Run
		sb, ok := find(b, run.Name)
		if !ok {
			fmt.Fprintf(&out, "\n%s: only in A.\n", run.Title)
			continue
		}
		fmt.Fprintf(&out, "\n%s\n", run.Title)
		if run.Machine != sb.Result.Run.Machine {
			fmt.Fprintf(&out, "  Two machines, so differences can be theirs.\n  A: %s\n  B: %s\n", run.Machine, sb.Result.Run.Machine)
		}
		if t := compareFindings(sa.Result.Findings, sb.Result.Findings); len(t) > 1 {
			printTable(&out, t)
		}
		scalesB := scales(sb)
		for _, scale := range scales(sa) {
			i := slices.IndexFunc(scalesB, func(s Scale) bool { return s.Name == scale.Name })
			if i < 0 {
				fmt.Fprintf(&out, "\n  %s: only in A.\n", scale.Name)
				continue
			}
			fmt.Fprintf(&out, "\n  %s\n", scale.Name)
			printTable(&out, compareSteps(scale, scalesB[i]))
		}
	}
	for _, sb := range b {
		if _, ok := find(a, sb.Result.Run.Name); !ok {
			fmt.Fprintf(&out, "\n%s: only in B.\n", sb.Result.Run.Title)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func compareFindings(a, b []check.Finding) table {
	t := table{{"action", "outage A", "B", "failed A", "B", "slowest A", "B", "healthy A", "B", "lost or twice A", "B"}}
	cells := func(f check.Finding) []string {
		outage, _ := f.Outage()
		failed, of := f.Failed()
		return []string{duration(outage), fmt.Sprintf("%.3g%%", 100*float64(failed)/max(1, float64(of))), duration(f.Slowest()), recovery(f),
			fmt.Sprint(len(f.Writes.Lost) + len(f.Writes.Duplicated))}
	}
	row := func(name string, a, b []string) {
		cells := []string{name}
		for i := range 5 {
			for _, side := range [][]string{a, b} {
				if side == nil {
					cells = append(cells, "")
				} else {
					cells = append(cells, side[i])
				}
			}
		}
		t = append(t, cells)
	}
	rest := slices.Clone(b)
	for _, fa := range a {
		i := slices.IndexFunc(rest, func(f check.Finding) bool { return f.Action.Name == fa.Action.Name })
		if i < 0 {
			row(fa.Action.Name, cells(fa), nil)
			continue
		}
		row(fa.Action.Name, cells(fa), cells(rest[i]))
		rest = slices.Delete(rest, i, i+1)
	}
	for _, fb := range rest {
		row(fb.Action.Name, nil, cells(fb))
	}
	return t
}

func compareSteps(a, b Scale) table {
	t := table{{"", "A", "B"}}
	keptA, mostA := best(a)
	keptB, mostB := best(b)
	t = append(t, []string{"highest rate kept up with", fmt.Sprintf("%.0f/s", keptA), fmt.Sprintf("%.0f/s", keptB)})
	t = append(t, []string{"most answers", fmt.Sprintf("%.0f/s", mostA), fmt.Sprintf("%.0f/s", mostB)})
	for _, step := range a.Steps {
		i := slices.IndexFunc(b.Steps, func(s check.Step) bool { return s.Rate == step.Rate })
		if i >= 0 {
			t = append(t, []string{fmt.Sprintf("99th percentile at %.0f/s", step.Rate), duration(step.P99), duration(b.Steps[i].P99)})
		}
	}
	return t
}

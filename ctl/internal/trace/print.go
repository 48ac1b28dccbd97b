package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"oneserver/ctl/internal/terminal"
)

// Columns of the page. Labels are on the left, durations on the right.
const (
	labelWidth  = 6
	timeWidth   = 12
	usualWidth  = 100
	narrowWidth = 60
)

// Print writes the trace for a person.
func (t *Trace) Print(out *os.File) error {
	width := usualWidth
	if columns, _, err := term.GetSize(int(out.Fd())); err == nil {
		width = max(narrowWidth, min(columns, usualWidth))
	}
	_, err := io.WriteString(out, t.text(width, terminal.Colour(out)))
	return err
}

// PrintJSON writes the trace for a program.
func (t *Trace) PrintJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(t)
}

func (t *Trace) text(width int, colour bool) string {
	p := &page{width: width, colour: colour}
	fmt.Fprintf(&p.Builder, "%s\n%s\n", p.paint(bold, "GET "+t.URL), p.paint(dim, "request "+t.RequestID))
	t.printDNS(p)
	t.printHTTP(p)
	t.printWeb(p)
	t.printApp(p)
	if len(t.Remarks) > 0 {
		p.section("")
		for _, remark := range t.Remarks {
			p.row(yellow, remark, "")
		}
	}
	return p.String()
}

func (t *Trace) printDNS(p *page) {
	p.section("dns")
	lookup := t.DNS
	if lookup == nil {
		p.row("", "not asked: localhost is this machine, without any name server", "")
		return
	}
	p.row("", fmt.Sprintf("%s, asked of CoreDNS at %s", lookup.Question, lookup.Server), ms(lookup.DurationMS))
	if lookup.Error != "" {
		p.row(red, "no answer: "+lookup.Error, "")
		return
	}
	status := lookup.Status + ", flags " + strings.Join(lookup.Flags, " ")
	for _, flag := range lookup.Flags {
		if flag == "aa" {
			status += " (aa: it has the authority)"
		}
	}
	p.row("", status, "")
	var rows [][]string
	for _, record := range lookup.Records {
		rows = append(rows, []string{record.Name, fmt.Sprint(record.TTL), record.Type, record.Data})
	}
	for _, row := range align(rows) {
		p.row(cyan, row, "")
	}
}

func (t *Trace) printHTTP(p *page) {
	label := "http"
	if t.HTTP.TLS != nil {
		label = "https"
	}
	p.section(label)
	p.row("", "connect to "+t.HTTP.Address+", where this machine publishes the site", ms(t.HTTP.ConnectMS))
	if agreed := t.HTTP.TLS; agreed != nil {
		p.row("", "handshake of TLS, as this program and Nginx agreed:", ms(agreed.HandshakeMS))
		p.row(cyan, fmt.Sprintf("%s, key exchange %s, cipher %s", agreed.Version, agreed.KeyExchange, agreed.Cipher), "")
		p.row("", "certificate, as Nginx showed it and as this program verified it:", "")
		p.row(cyan, "of "+strings.Join(agreed.Names, ", "), "")
		p.row(cyan, fmt.Sprintf("by %s, until %s: %s left", agreed.Issuer, agreed.NotAfter.UTC().Format(time.DateOnly), terminal.Count(agreed.DaysLeft, "day")), "")
	}
	p.message("> ", "", t.HTTP.Request)
	colour := green
	if t.HTTP.Status >= 400 {
		colour = red
	} else if t.HTTP.Status >= 300 {
		colour = yellow
	}
	p.message("< ", colour, t.HTTP.Response)
	p.row("", "until the first byte", ms(t.HTTP.FirstByteMS))
	p.row("", fmt.Sprintf("in all, with %d bytes of body", t.HTTP.Bytes), ms(t.HTTP.TotalMS))
}

// static reports whether Nginx answered by itself, from a file or with its own redirect or error.
func (w *WebLog) static() bool { return w.Upstream == "" && w.Cache == "" }

// cached reports whether the answer came from Nginx's cache.
func (w *WebLog) cached() bool {
	return w.Cache == "HIT" || w.Cache == "STALE" || w.Cache == "UPDATING" || w.Cache == "REVALIDATED"
}

func (t *Trace) printWeb(p *page) {
	web := t.Web
	if web == nil {
		return // a remark explains why
	}
	p.section("web")
	took := ms(web.RequestTime * 1000)
	switch {
	case web.static() && web.Status < 300:
		p.row("", "Nginx served a static file; no application was asked", took)
	case web.static():
		p.row("", fmt.Sprintf("Nginx answered %d by itself; no application was asked", web.Status), took)
	case web.cached():
		p.row("", fmt.Sprintf("Nginx answered %d from its cache (%s)", web.Status, web.Cache), took)
	default:
		p.row("", fmt.Sprintf("Nginx passed it on and answered %d", web.Status), took)
		if web.Cache != "" {
			p.row("", "its cache: "+web.Cache, "")
		}
	}
	addresses, statuses, times := strings.Split(web.Upstream, ", "), strings.Split(web.UpstreamSaid, ", "), strings.Split(web.UpstreamTime, ", ")
	for i, address := range addresses {
		if address == "" || i >= len(statuses) || i >= len(times) {
			continue
		}
		took := times[i]
		if seconds := 0.0; took != "-" {
			if _, err := fmt.Sscan(took, &seconds); err == nil {
				took = ms(seconds * 1000)
			}
		}
		p.row("", fmt.Sprintf("%s answered %s", address, statuses[i]), took)
	}
}

func (t *Trace) printApp(p *page) {
	if len(t.App) == 0 {
		if t.Web != nil && !t.Web.static() && !t.Web.cached() {
			p.section("app")
			p.row(yellow, "no replica knows the request", "")
		}
		return
	}
	for _, entry := range t.App {
		p.section("app")
		p.row("", fmt.Sprintf("%s (%s): %s %s, %d", entry.Container, entry.Replica, entry.Method, entry.Route, entry.Status), ms(entry.DurationMS))
		p.section("db")
		p.row("", terminal.Count(entry.StatementCount, "statement")+", waits for a connection included", ms(entry.DatabaseMS))
		for _, s := range entry.Statements {
			p.hanging(cyan, fmt.Sprintf("+%.1f ms  ", s.AtMS), strings.Join(strings.Fields(s.SQL), " "), ms(s.DurationMS))
		}
		if more := entry.StatementCount - len(entry.Statements); more > 0 {
			p.row("", fmt.Sprintf("and %d more", more), "")
		}
	}
}

// page holds the output written so far.
type page struct {
	strings.Builder
	width  int
	colour bool
	label  string // the section's label, until the first row is written
}

// Colours of a terminal (ECMA-48, SGR).
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	plain  = "\x1b[0m"
)

func (p *page) paint(colour, text string) string {
	if !p.colour || colour == "" || text == "" {
		return text
	}
	return colour + text + plain
}

// section begins a new part of the page.
func (p *page) section(label string) {
	p.WriteByte('\n')
	p.label = label
}

// row writes text, on several lines if it is long, with its duration at the right of the first.
func (p *page) row(colour, text, took string) { p.hanging(colour, "", text, took) }

// hanging is like row, with a mark before the text. Further lines are indented by the width of the mark.
func (p *page) hanging(colour, mark, text, took string) {
	indent := utf8.RuneCountInString(mark)
	for i, line := range wrap(text, p.width-labelWidth-timeWidth-indent) {
		if i > 0 {
			mark, took = strings.Repeat(" ", indent), ""
		}
		label := fmt.Sprintf("%-*s", labelWidth, p.label)
		if p.label = ""; strings.TrimSpace(label) != "" {
			label = p.paint(bold, label)
		}
		fill := ""
		if took != "" {
			fill = strings.Repeat(" ", max(1, p.width-labelWidth-indent-utf8.RuneCountInString(line)-utf8.RuneCountInString(took)))
		}
		fmt.Fprintf(p, "%s%s%s%s%s\n", label, p.paint(dim, mark), p.paint(colour, line), fill, took)
	}
}

// message writes a request or a response.
func (p *page) message(mark, colour string, m Message) {
	p.hanging(colour, mark, m.Line, "")
	var rows [][]string
	for _, field := range m.Fields {
		rows = append(rows, []string{field.Name + ":", field.Value})
	}
	for _, row := range align(rows) {
		p.hanging("", mark, row, "")
	}
}

// align pads the cells of rows to columns.
func align(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var lines []string
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if i == len(row)-1 {
				line.WriteString(cell)
				break
			}
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		lines = append(lines, line.String())
	}
	return lines
}

// wrap breaks text into lines of at most width characters, after a space or a comma if there is one.
func wrap(text string, width int) []string {
	var lines []string
	for {
		runes := []rune(text)
		if len(runes) <= width {
			return append(lines, text)
		}
		cut := width
		for i := width; i > width/2; i-- {
			if runes[i-1] == ' ' || runes[i-1] == ',' {
				cut = i
				break
			}
		}
		lines = append(lines, strings.TrimRight(string(runes[:cut]), " "))
		text = strings.TrimLeft(string(runes[cut:]), " ")
	}
}

func ms(milliseconds float64) string { return fmt.Sprintf("%.1f ms", milliseconds) }

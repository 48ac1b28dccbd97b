package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/usl"
)

const ms = time.Millisecond

// madeUp returns a run of 500 requests a second for 80 s, in which each part is killed and db is frozen. It is made once;
// each caller gets a separate copy of the findings.
func madeUp() Section {
	s := makeUp()
	s.Result.Findings = slices.Clone(s.Result.Findings)
	return s
}

var makeUp = sync.OnceValue(func() Section {
	random := rand.New(rand.NewPCG(1, 2))
	h := history.History{Run: history.Run{Name: "spof", Title: "Each part killed & frozen", Start: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC),
		Machine: "2 processors, 8 GiB of memory", Steps: []history.Step{{Rate: 500, For: 80 * time.Second}}}}
	h.Actions = []history.Action{
		{Name: "kill -9 dns", Start: 8 * time.Second, End: 8100 * ms, Healthy: 9500 * ms},
		{Name: "kill -9 web", Start: 18 * time.Second, End: 18100 * ms, Healthy: 19300 * ms},
		{Name: "kill -9 app", Start: 21 * time.Second, End: 21100 * ms, Healthy: 22 * time.Second},
		{Name: "kill -9 db", Start: 35 * time.Second, End: 35100 * ms, Healthy: 38 * time.Second},
		{Name: "pause db for 15 s", Start: 55 * time.Second, End: 70 * time.Second, Note: "thawed after 15 s"},
	}
	stored := make(check.Stored)
	for i := range 80 * 500 {
		due := time.Duration(i) * 2 * ms
		r := history.Request{Seq: uint64(i), Kind: history.Read, Name: "GET /api/v1/posts", Due: due, Sent: due + time.Duration(random.ExpFloat64()*float64(300*time.Microsecond)), Status: 200, Tries: 1}
		wait := time.Duration(math.Exp(random.NormFloat64()*0.5)*3000) * time.Microsecond
		switch x := random.Float64(); {
		case x < 0.2:
			r.Kind, r.Name, r.Status, r.Token = history.Write, "POST /api/v1/posts", 201, fmt.Sprint("t-", i)
			wait *= 3
			stored[r.Token] = 1
		case x < 0.3:
			r.Kind, r.Name, r.Status = history.Lookup, "A www.foobar.com", 0
			wait /= 6
		}
		fail := func(class history.Class, status int) {
			r.Class, r.Status = class, status
			delete(stored, r.Token)
		}
		at := due.Seconds()
		switch {
		case r.Kind == history.Lookup:
			if at >= 8 && at < 9.1 {
				fail(history.Timeout, 0)
				wait = 5 * time.Second
			}
		case at >= 18 && at < 18.9:
			fail(history.Refused, 0)
			wait = 300 * time.Microsecond
		case at >= 21 && at < 21.6 && random.Float64() < 0.9:
			fail(history.Status, 502)
		case at >= 35 && at < 36.8:
			wait = time.Duration((36.8-at)*1e9) + wait
		case at >= 55 && at < 60:
			fail(history.Status, 503)
			wait = 10 * time.Second
		case at >= 60 && at < 70:
			wait = time.Duration((70-at)*1e9) + wait
		}
		r.Done = r.Sent + wait
		h.Requests = append(h.Requests, r)
	}
	h.Sort()
	return Section{Result: check.Check(h, stored), History: h}
})

// climbed returns the result of a drill of steps on a made-up site, with 1 and 2 replicas.
func climbed() Section {
	s := Section{Result: check.Result{Run: history.Run{Name: "scale", Title: "The rate goes up in steps"}}}
	for i, model := range []usl.Model{{Lambda: 300, Sigma: 0.12, Kappa: 0.0006}, {Lambda: 320, Sigma: 0.07, Kappa: 0.0004}} {
		scale := Scale{Name: fmt.Sprintf("%d replicas", i+1)}
		var points []usl.Point
		for j, n := range []float64{0.4, 0.9, 2, 4, 9, 20, 60, 400} {
			x := model.At(n) * (1 + 0.03*math.Sin(float64(7*j)))
			points = append(points, usl.Point{N: n, X: x})
			scale.Steps = append(scale.Steps, check.Step{Rate: 200 * float64(j+1), Throughput: x, Concurrency: n, Of: 1000, P50: 3 * ms, P99: time.Duration(n*8) * ms,
				KeptUp: n < 50, Detail: map[string]string{"cpu app": fmt.Sprintf("%d%%", 12*(j+1))}})
		}
		if fitted, err := usl.Fit(points); err != nil {
			panic(err) // its points come from a model
		} else {
			scale.Model = &fitted
		}
		s.Scales = append(s.Scales, scale)
	}
	return s
}

func TestReportNeedsNothingElse(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "drills", "now")
	if err := Write(dir, madeUp(), climbed()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h2>Each part killed &amp; frozen</h2>", "kill -9 db", "<svg role=\"img\"", "Universal Scalability Law", "cpu app"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, foreign := range []string{"http://", "https://", "src=", "@import", "url(", "<script", "<?xml", "href=\"/"} {
		for _, line := range bytes.Split(page, []byte("\n")) {
			if bytes.Contains(line, []byte(foreign)) && !bytes.Contains(line, []byte("http://www.w3.org/")) {
				t.Errorf("the page has %q: %.200s", foreign, line)
			}
		}
	}
	t.Logf("%s: %d bytes", pageFile, len(page))
}

func TestPicturesAreSmallAndSaidInWords(t *testing.T) {
	t.Parallel()
	for _, s := range []Section{madeUp(), climbed()} {
		pictures, err := drawSection(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(pictures) != 1 {
			t.Fatalf("%d pictures of %s, want one", len(pictures), s.Result.Run.Name)
		}
		p := pictures[0]
		t.Logf("%s: %d bytes", p.file, len(p.svg))
		if len(p.svg) > 150_000 {
			t.Errorf("%s has %d bytes, want at most 150,000", p.file, len(p.svg))
		}
		if _, words, ok := bytes.Cut(p.svg, []byte("<desc>")); !ok {
			t.Errorf("%s has no description", p.file)
		} else {
			words, _, _ = bytes.Cut(words, []byte("</desc>"))
			t.Logf("it says: %s", words)
		}
		for decoder := xml.NewDecoder(bytes.NewReader(p.svg)); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.file, err)
			}
		}
	}
}

func TestRunOfNothingIsDrawnToo(t *testing.T) {
	t.Parallel()
	for name, requests := range map[string][]history.Request{
		"none":        nil,
		"one":         {{Kind: history.Read, Name: "GET /", Done: ms}},
		"all failed":  {{Kind: history.Read, Class: history.Refused}, {Kind: history.Write, Due: ms, Done: ms, Class: history.Overload}},
		"all aborted": {{Kind: history.Read, Class: history.Aborted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := history.History{Run: history.Run{Name: "nothing", Steps: []history.Step{{Rate: 1, For: time.Second}}}, Requests: requests,
				Actions: []history.Action{{Name: "nothing"}}}
			s := Section{Result: check.Check(h, nil), History: h}
			if err := Write(t.TempDir(), s); err != nil {
				t.Error(err)
			}
			if err := Table(io.Discard, s); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSummaryIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := []Section{madeUp(), climbed()}
	if err := Write(dir, want...); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSummary(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].History = history.History{}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if _, err := ReadSummary(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of an empty folder: %v", err)
	}
}

func TestNumbersAreWrittenOut(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "–", 1500 * time.Microsecond: "1.5 ms", 99 * time.Second: "99 s", 99700 * time.Millisecond: "1m40s", 101 * time.Second: "1m41s"} {
		if got := duration(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
	all := []check.Finding{{Kinds: map[history.Kind]check.Outage{history.Read: {Failed: 7, Of: 7}}}}
	if got := compareFindings(all, all)[1]; got[3] != "100%" {
		t.Errorf("7 of 7 are written %q", got[3])
	}
}

func TestTableSaysWhatEachActionBrought(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, s := range []Section{madeUp(), climbed()} {
		if err := Table(&out, s); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("\n%s", out.String())
	for _, want := range []string{"action", "kill -9 web", "none of them lost, duplicated or read stale", "pause db for 15 s: thawed after 15 s", "Universal Scalability Law: One request at a time"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

func TestTableShoutsWhatWasLost(t *testing.T) {
	t.Parallel()
	s := madeUp()
	s.Result.Writes.Lost = []string{"t-1", "t-2", "t-3"}
	s.Result.Findings[3].Writes.Lost = []string{"t-1", "t-2", "t-3"}
	var out strings.Builder
	if err := Table(&out, s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "WRITES ARE WRONG") || !strings.Contains(out.String(), "3 lost") || !strings.Contains(out.String(), "See t-1, t-2.") {
		t.Errorf("it does not say what was lost:\n%s", out.String())
	}
}

func TestCompareShowsBothSides(t *testing.T) {
	t.Parallel()
	a, b := madeUp(), madeUp()
	b.Result.Run.Machine = "another machine"
	b.Result.Findings = b.Result.Findings[1:]
	b.Result.Findings[0].Routes = nil
	other := climbed()
	other.Scales = other.Scales[:1]
	var out strings.Builder
	if err := Compare(&out, "before", []Section{a, climbed()}, "after", []Section{b, other}); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", out.String())
	for _, want := range []string{"A is before, B is after.", "Two machines", "kill -9 dns", "2 replicas: only in A", "highest rate kept up with"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

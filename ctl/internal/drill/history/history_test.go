package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"
)

var madeUp = History{
	Run: Run{Name: "spof", Title: "Each part killed", Start: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC), Machine: "a laptop",
		Steps: []Step{{Rate: 2, For: 2 * time.Second}}, Seed: 7},
	Requests: []Request{
		{Seq: 0, Kind: Read, Name: "GET /", Due: 0, Sent: 1, Done: 2, Status: 200, Bytes: 9, Reused: true, Tries: 2},
		{Seq: 1, Kind: Write, Name: "POST /api/v1/posts", Due: 500 * time.Millisecond, Sent: 501 * time.Millisecond, Done: 1200 * time.Millisecond, Class: Reset, Error: "EOF", Token: "t-1"},
		{Seq: 2, Kind: Read, Name: "GET /", Due: time.Second, Sent: time.Second, Done: 1100 * time.Millisecond, Status: 502, Class: Status},
		{Seq: 3, Kind: Lookup, Name: "A www.foobar.com.", Due: 1500 * time.Millisecond, Sent: 1500 * time.Millisecond, Done: 1501 * time.Millisecond},
	},
	Actions: []Action{
		{Name: "kill -9 db", Start: 600 * time.Millisecond, End: 700 * time.Millisecond, Healthy: 1300 * time.Millisecond},
		{Name: "pause db", Start: 1400 * time.Millisecond, End: 1600 * time.Millisecond, Note: "unpaused after 0.2 s"},
	},
}

func TestHistoryIsWrittenALineForEachThing(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	if err := madeUp.Write(&file); err != nil {
		t.Fatal(err)
	}
	t.Logf("written:\n%s", file.String())
	lines := json.NewDecoder(&file)
	var got History
	for i := 0; ; i++ {
		var l line
		if err := lines.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Run != nil && i == 0:
			got.Run = *l.Run
		case l.Request != nil:
			got.Requests = append(got.Requests, *l.Request)
		case l.Action != nil:
			got.Actions = append(got.Actions, *l.Action)
		default:
			t.Errorf("line %d says %+v", i, l)
		}
	}
	if !reflect.DeepEqual(got, madeUp) {
		t.Errorf("got %+v, want %+v", got, madeUp)
	}
}

func TestThatWritingFailedIsSaid(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	if err := madeUp.Write(writerFunc(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("Write: %v, want %v", err, full)
	}
}

func TestWindowHoldsWhatIsTheActions(t *testing.T) {
	t.Parallel()
	seqs := func(requests []Request) (s []uint64) {
		for _, r := range requests {
			s = append(s, r.Seq)
		}
		return s
	}
	from, to, requests := madeUp.Window(0)
	t.Log("first action:", from, to, seqs(requests))
	// Request 1 was due before the action and under way when it came.
	if got := seqs(requests); from != 600*time.Millisecond || to != 1400*time.Millisecond || !reflect.DeepEqual(got, []uint64{1, 2}) {
		t.Errorf("first action: from %s to %s: %v", from, to, got)
	}
	from, to, requests = madeUp.Window(1)
	t.Log("second action:", from, to, seqs(requests))
	if got := seqs(requests); from != 1400*time.Millisecond || to != 1500*time.Millisecond+1 || !reflect.DeepEqual(got, []uint64{3}) {
		t.Errorf("second action: from %s to %s: %v", from, to, got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

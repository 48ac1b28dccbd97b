package abuse

import (
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/abuse/attack"
)

func TestABrokenBoundIsSaid(t *testing.T) {
	t.Parallel()
	beside := func(failed int, median time.Duration) attack.Result {
		return attack.Result{Failed: failed, First: "GET /: 500", Median: median}
	}
	tests := []struct {
		name    string
		outcome Outcome
		says    string // empty: all bounds hold
	}{
		{"twice the control's median", Outcome{Visitor: beside(0, 20), Control: Control{Visitor: beside(0, 10)}}, ""},
		{"a request that failed", Outcome{Visitor: beside(1, 10), Control: Control{Visitor: beside(0, 10)}}, "1 of the visitor's requests failed, first: GET /: 500"},
		{"more than twice", Outcome{Visitor: beside(0, 21), Control: Control{Visitor: beside(0, 10)}}, "twice the control's median"},
		{"killed", Outcome{Killed: []string{"web had no memory left"}}, "web had no memory left"},
		{"disk as bounded", Outcome{Disk: mostDisk}, ""},
		{"more disk", Outcome{Disk: mostDisk + 1}, "the database grew by"},
	}
	for _, test := range tests {
		got := test.outcome.Wrong()
		if (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%s: %q, want %q", test.name, got, test.says)
		}
		if Broken([]Outcome{{}, test.outcome}) != (test.says != "") {
			t.Errorf("%s: broken %t", test.name, test.says == "")
		}
	}
}

func TestAnUnknownAbuseIsRefusedWithThoseThereAre(t *testing.T) {
	t.Parallel()
	if all, err := choose(nil); err != nil || len(all) < 10 {
		t.Errorf("%d abuses, %v", len(all), err)
	}
	if _, err := choose([]string{"search", "serch"}); err == nil || !strings.Contains(err.Error(), "slow-header") {
		t.Errorf("%v", err)
	}
}

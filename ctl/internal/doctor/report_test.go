package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTheReportIsAlignedAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	findings := []Finding{
		{OK, "Docker", "engine 28.0", ""},
		{Note, "images", "not here: web", "nothing: make up pulls them"},
		{Warning, ".env", "nothing reads DOMIAN", "did you mean DOMAIN?"},
		{Error, "HTTP_PORT", "taken by nginx (pid 7)", "stop it"},
	}
	tests := []struct {
		name   string
		from   Level
		colour bool
		want   string
	}{
		{"everything", OK, false, `
ok       Docker     engine 28.0
note     images     not here: web
                    -> nothing: make up pulls them
warning  .env       nothing reads DOMIAN
                    -> did you mean DOMAIN?
error    HTTP_PORT  taken by nginx (pid 7)
                    -> stop it
`},
		{"what is not well", Warning, false, `
warning  .env       nothing reads DOMIAN
                    -> did you mean DOMAIN?
error    HTTP_PORT  taken by nginx (pid 7)
                    -> stop it
`},
		{"in colour", Error, true, "\n\x1b[31merror  \x1b[0m  HTTP_PORT  taken by nginx (pid 7)\n                    -> stop it\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			Print(&out, findings, test.from, test.colour)
			if got := "\n" + out.String(); got != test.want {
				t.Errorf("printed %s\nwant %s", got, test.want)
			}
		})
	}
	if err := Verdict(findings); err == nil {
		t.Error("an error is among the findings, and the verdict is good")
	}
	if err := Verdict(findings[:3]); err != nil {
		t.Errorf("nothing is worse than a warning, and the verdict is %v", err)
	}
}

func TestACheckThatCannotBeMadeIsNotTakenForAGoodOne(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		limit time.Duration
		run   func(context.Context) ([]Finding, error)
		level Level
		says  string
	}{
		{"its facts are unknown", time.Minute, func(context.Context) ([]Finding, error) {
			return nil, fmt.Errorf("%w: needs Compose", errUnknown)
		}, Note, "not checked: needs Compose"},
		{"it fails", time.Minute, func(context.Context) ([]Finding, error) { return nil, errors.New("no\nluck") }, Warning, "not checked: no luck"},
		{"it hangs", 10 * time.Millisecond, func(ctx context.Context) ([]Finding, error) {
			select {} // deaf to its context, as a read from a dead disk is
		}, Warning, "not checked: it took more than 10ms"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := limited(t.Context(), test.limit, "disk", test.run)
			if len(got) != 1 || got[0].Level != test.level || got[0].About != "disk" || got[0].Says != test.says {
				t.Errorf("found %+v, want a %s that says %q", got, test.level, test.says)
			}
		})
	}
}

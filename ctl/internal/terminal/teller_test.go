package terminal

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestWithoutATerminalWhatIsDoneIsToldInPlainLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		tell func(*Teller)
		want string // a regular expression
	}{
		{"what is begun and quickly over", func(t *Teller) { t.Begin("looking"); t.End() }, ``},
		{"what there is now", func(t *Teller) { t.Begin("building"); t.Done("built %s", "it") }, `✓ built it \(\d.*s\)\n`},
		{"what is done now", func(t *Teller) { t.Now("dumping"); t.Show("1 MB"); t.Now("reading"); t.End() }, `dumping\nreading\n`},
		{"what stays", func(t *Teller) { t.Now("dumping"); t.Say("warning: %d", 1); t.End() }, `dumping\nwarning: 1\n`},
		{"with the time", func(t *Teller) { t.Since(time.Now().Add(-12 * time.Second)).Say("it serves") }, `  12\.\d s  it serves\n`},
	} {
		var out strings.Builder
		test.tell(NewTeller(&out))
		if !regexp.MustCompile(`^` + test.want + `$`).MatchString(out.String()) {
			t.Errorf("%s: it prints %q, want %s", test.name, out.String(), test.want)
		}
	}
}

func TestOnATerminalOneLineIsWrittenOverAndWhatStaysStandsAbove(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	tell := NewTeller(&out)
	tell.width = func() int { return 30 }
	tell.Now("counting a great many sheep")
	tell.Show("1 of 1000")
	tell.Say("one is black")
	if err := tell.Fail(errors.New("asleep")); err == nil || err.Error() != "counting a great many sheep: asleep" {
		t.Errorf("it fails with %v", err)
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(out.String(), "\r\x1b[K", "\n"), "\n") {
		if len([]rune(line)) >= 30 {
			t.Errorf("%q does not fit into its line", line)
		}
	}
	if !strings.Contains(out.String(), "\r\x1b[Kone is black\n") || !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("it prints %q", out.String())
	}
}

package doctor

import (
	"os"
	"strings"
	"testing"
)

// Every check has a heading on the page where users look up its findings.
func TestTroubleshootingHasEveryCheck(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var headings string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "### ") {
			headings += line
		}
	}
	for _, check := range checks {
		if !strings.Contains(headings, check.about) {
			t.Errorf("docs/troubleshooting.md has no heading for %q; it has\n%s", check.about, headings)
		}
	}
}

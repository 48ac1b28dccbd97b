package doctor

import (
	"os"
	"strings"
	"testing"
)

// The name server has the same rule and is tested against the same table.
func TestDomainsAreJudgedAsTheSharedTableSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../services/dns/testdata/domains.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		domain, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		got := ""
		if err := checkDomain(domain); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("of %q it says %q, want %q", domain, got, want)
		}
	}
}

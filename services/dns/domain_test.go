package main

import (
	"os"
	"strings"
	"testing"
)

// ctl's doctor has the same rule, and is tested against the same table.
func TestDomainsAreJudgedAsTheSharedTableSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/domains.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		domain, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		got := ""
		if err := checkDomain(strings.ToLower(domain)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("of %q it says %q, want %q", domain, got, want)
		}
	}
}

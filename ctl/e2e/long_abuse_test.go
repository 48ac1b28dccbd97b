package e2e

import "testing"

// Whatever a hostile visitor does, others are served within the limits that `make abuse` checks. Each abuse lasts 15
// seconds.
func TestLongAbuseIsNotNoticed(t *testing.T) {
	out, err := combined(site.command(running, tool(), "abuse", "--each", "15s")) // ten minutes
	t.Logf("\n%s", out)
	if err != nil {
		t.Error("a limit was broken, as the table shows")
	}
}

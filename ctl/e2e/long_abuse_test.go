package e2e

import "testing"

// Whatever a hostile visitor does, another one is served: the bounds of `make abuse`, each abuse for a quarter of a minute.
func TestLongAbuseIsNotNoticed(t *testing.T) {
	out, err := combined(site.command(running, tool(), "abuse", "--each", "15s")) // ten minutes
	t.Logf("\n%s", out)
	if err != nil {
		t.Error("a bound was broken, as the table says")
	}
}

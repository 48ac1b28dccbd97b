package e2e

import "testing"

// Whatever a hostile visitor does, another one is served: the bounds of `make abuse`, each abuse for a quarter of a minute.
func TestLongAbuseIsNotNoticed(t *testing.T) {
	out, err := site.output(t.Context(), tool(), "abuse", "--each", "15s")
	if err != nil {
		t.Errorf("%v", err)
	}
	t.Logf("\n%s", out)
}

package deploy

import "testing"

func TestOfWhatMySQLSaysTheFirstErrorCounts(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		`2026-11-29T22:31:30.102938Z 0 [Warning] [MY-011068] [Server] The syntax 'x' is deprecated.
2026-11-29T22:31:30.102940Z 0 [ERROR] [MY-000067] [Server] unknown variable 'master-info-repository=TABLE'.
2026-11-29T22:31:30.102950Z 0 [ERROR] [MY-010119] [Server] Aborting`: "unknown variable 'master-info-repository=TABLE'.",
		"mysqld: [ERROR] Unknown suffix 'l' used for variable": "Unknown suffix 'l' used for variable",
		"exit status 137": "exit status 137",
	} {
		if got := firstError(said); got != want {
			t.Errorf("of %q it takes %q, want %q", said, got, want)
		}
	}
}

package migration

import "testing"

func TestAContractionIsVouchedForInALineOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sql, why string }{
		{"-- +goose Up\n-- contract: nothing has read it since the release of 2026-11-20\nALTER TABLE posts DROP COLUMN title", "nothing has read it since the release of 2026-11-20"},
		{"  --Contract:  why \nDROP TABLE posts", "why"},
		{"-- contract:\nDROP TABLE posts", ""},
		{"SELECT 1 -- contract: not in a line of its own", ""},
		{"-- contract\nDROP TABLE posts", ""},
		{"-- +goose Up\nSELECT 1;\n-- +goose Down\n-- contract: this way is never gone\nDROP TABLE posts", ""},
		{"", ""},
	} {
		if got := (Migration{SQL: test.sql}).Contract(); got != test.why {
			t.Errorf("%q: %q, want %q", test.sql, got, test.why)
		}
	}
}

package deploy

import (
	"strings"
	"testing"

	"oneserver/ctl/internal/migration"
)

const listed = "sha256:aaaaaaaaaaaaaaaa\tlatest\n" +
	"sha256:aaaaaaaaaaaaaaaa\toneserver.20261129T100000-000.1111111\n" +
	"sha256:bbbbbbbbbbbbbbbb\toneserver.20261129T120000-001.2222222\n" +
	"sha256:aaaaaaaaaaaaaaaa\toneserver.20261129T120000-002.1111111\n" + // serves again; its older name was left over
	"sha256:cccccccccccccccc\toneserver-test.20261129T130000-000.3333333\n" + // an image of another copy of the stack
	"sha256:dddddddddddddddd\toneserver.20261128T120000-000.unknown\n" +
	"sha256:eeeeeeeeeeeeeeee\t<none>\n" +
	"sha256:eeeeeeeeeeeeeeee\toneserver.yesterday.1111111\n"

func TestKeptReleasesAreReadFromTheirNames(t *testing.T) {
	t.Parallel()
	var got []string
	for _, k := range parseKept(listed, "oneserver") {
		got = append(got, k.short()[:2]+" "+k.Commit+" "+k.Since.Format("02 15:04:05.000")+" "+strings.Join(k.names, "+"))
	}
	want := "aa 1111111 29 12:00:00.002 oneserver.20261129T100000-000.1111111+oneserver.20261129T120000-002.1111111\n" +
		"bb 2222222 29 12:00:00.001 oneserver.20261129T120000-001.2222222\n" +
		"dd unknown 28 12:00:00.000 oneserver.20261128T120000-000.unknown"
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

func TestARollbackGoesToTheReleaseBeforeOrTheOneThatIsNamed(t *testing.T) {
	t.Parallel()
	all := parseKept(listed, "oneserver")
	for _, test := range []struct{ running, to, goal, says string }{
		{"sha256:aaaaaaaaaaaaaaaa", "", "bb", ""},
		{"sha256:bbbbbbbbbbbbbbbb", "", "aa", ""},
		{"sha256:aaaaaaaaaaaaaaaa", "dd", "dd", ""},
		{"sha256:aaaaaaaaaaaaaaaa", "222", "bb", ""},
		{"sha256:aaaaaaaaaaaaaaaa", "111", "", "aaaaaaaaaaaa is the release that serves"},
		{"sha256:aaaaaaaaaaaaaaaa", "cc", "", "make releases lists them"},
		{"sha256:bbbbbbbbbbbbbbbb", "unknown", "dd", ""},
	} {
		got, err := goal(all, test.running, test.to)
		if said := ""; err != nil {
			said = err.Error()
			if test.says == "" || !strings.Contains(said, test.says) {
				t.Errorf("%+v: %s", test, said)
			}
		} else if test.says != "" || !strings.HasPrefix(got.short(), test.goal) {
			t.Errorf("%+v: %s", test, got.short())
		}
	}
	if _, err := goal(all[:1], "sha256:aaaaaaaaaaaaaaaa", ""); err == nil {
		t.Error("the only release has one before it")
	}
	both := append(parseKept(listed, "oneserver"), kept{ID: "sha256:ffffffffffffffff", Commit: "2222222"})
	if _, err := goal(both, "", "2222222"); err == nil || !strings.Contains(err.Error(), "2 releases") {
		t.Errorf("two releases of one commit: %v", err)
	}
}

func TestThereIsNoWayBackBehindAContraction(t *testing.T) {
	t.Parallel()
	all := parseKept(listed, "oneserver")
	one, two := migration.Migration{Version: 1, File: "1.sql"}, migration.Migration{Version: 2, File: "2.sql"}
	three := migration.Migration{Version: 3, File: "3.sql", SQL: "-- contract: nobody reads it\nDROP TABLE it"}
	of := map[string][]migration.Migration{all[0].ID: {one, two, three}, all[1].ID: {one, two}, all[2].ID: nil} // the last one is too old to list them
	for i, want := range []string{"", "3.sql", "3.sql"} {
		if got := obstacle(all[i], all, of); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", all[i].short(), got, want)
		}
	}
	of[all[0].ID] = []migration.Migration{one, two}
	of[all[1].ID] = []migration.Migration{one}
	for i := range all {
		if got := obstacle(all[i], all, of); got != "" {
			t.Errorf("%s: %q", all[i].short(), got)
		}
	}
	var out strings.Builder
	if err := printReleases(&out, all, of, func(k kept) bool { return k.ID == all[0].ID }); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 5 || strings.Join(strings.Fields(lines[1]), " ") != "aaaaaaaaaaaa 1111111 2026-11-29 12:00:00 2.sql serves" {
		t.Errorf("listed are\n%s", &out)
	}
}

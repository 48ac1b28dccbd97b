package binlog

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

const (
	one = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	two = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func TestASetHoldsWhatWasPutIntoIt(t *testing.T) {
	t.Parallel()
	var set Set
	for _, n := range []int64{5, 1, 2, 9, 3, 2, 4} {
		set.Add(GTID{one, n})
	}
	set.Add(GTID{two + ":tag", 7})
	if got, want := set.String(), one+":1-5:9,"+two+":tag:7"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !set.Has(GTID{one, 4}) || set.Has(GTID{one, 6}) || set.Has(GTID{two, 7}) || set.Count() != 7 {
		t.Errorf("%s has %d", set, set.Count())
	}
	again, err := ParseSet(strings.ReplaceAll(set.String(), ",", ",\n"))
	if err != nil || !again.Equal(set) {
		t.Errorf("%s, %v", again, err)
	}
	copied := set.Clone()
	copied.Add(GTID{one, 6})
	if copied.Subset(set) || !set.Subset(copied) || set.Has(GTID{one, 6}) {
		t.Errorf("%s and %s", set, copied)
	}
}

func TestWhatIsNoSetOfGTIDsIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		one, one + ":", one + ":0", one + ":5-4", one + ":1-x", one + ":-1", one + ":1-9223372036854775807", one + ":9223372036854775808",
		one[1:] + ":1", "z" + one[1:] + ":1", strings.Repeat("'", 36) + ":1", one + ":a'b:1", one + ":a b:1", one + ":" + strings.Repeat("a", 33) + ":1",
	} {
		if set, err := ParseSet(text); err == nil {
			t.Errorf("%q is %s", text, set)
		}
	}
}

// The body is from a GTID event of MySQL 8.4.11, for the transaction 77d1902c-...:test_tag:1.
func TestAGTIDWithATagIsRead(t *testing.T) {
	t.Parallel()
	body, err := hex.DecodeString("027c00000202ee450341025802690322c503690282410235" + "02dcbedc350204040610746573745f7461670800" + "0a040c7f003e8900fa5b06" + "1045051" + "2dbd009")
	if err != nil {
		t.Fatal(err)
	}
	gtid, committed, err := parseTagged(body)
	if err != nil || gtid.String() != "77d1902c-01da-11f1-9a41-908d6e5f6e8d:test_tag:1" || committed != time.UnixMicro(0x065bfa00893e00).UTC() {
		t.Errorf("%s, %s, %v", gtid, committed, err)
	}
	for i := range len(body) - 8 {
		if _, _, err := parseTagged(body[:i]); err == nil {
			t.Errorf("its first %d bytes are enough", i)
		}
	}
}

func TestWhatAStatementMeansToTheSite(t *testing.T) {
	t.Parallel()
	const site = "foobar"
	for _, test := range []struct {
		text    string
		schemas []string
		want    Effect
	}{
		{"ALTER TABLE posts ADD COLUMN x int", []string{site}, Changes},
		{"BEGIN", nil, None},
		{"GRANT SELECT ON foobar.* TO somebody", []string{site}, None},
		{"/* a comment */ -- and another\n # and one more\n alter user app account lock", []string{site}, None},
		{"/*!80000 CREATE USER somebody */", nil, None},
		{"create or replace role r", nil, None},
		{"DROP DATABASE other", []string{"other"}, None},
		{"DROP TABLE foobar.posts, other.notes", []string{site, "other"}, Unclear},
		{"RENAME TABLE foobar.posts TO foobar_before.posts", []string{site, "foobar_before"}, Moves},
		{"TRUNCATE posts", nil, Changes},
		{"truncate table other . notes", nil, None},
		{"TRUNCATE `other`.`notes`", nil, None},
		{"CREATE TABLE `posts` (\n  `id` int\n) START TRANSACTION", nil, Changes},
		{"CREATE TABLE `other`.`notes` (\n  `id` int\n) START TRANSACTION", nil, None},
		{"CREATE TABLE IF NOT EXISTS other.a LIKE other.b", nil, None},
		{"CREATE TABLE a LIKE b", nil, Changes},
		{"CREATE TABLE a LIKE other.b", nil, Unclear},
		{"ALTER TABLE posts TRUNCATE PARTITION p0", nil, Changes},
		{"ALTER TABLE posts EXCHANGE PARTITION p0 WITH TABLE other.a", nil, Unclear},
		{"GRANTED", nil, Unclear},
		{"", nil, Unclear},
	} {
		var found effects
		found.statement(query{schema: site, schemas: test.schemas, text: test.text}, site)
		if got, why := found.sum(); got != test.want || (why != "") != (got == Unclear) {
			t.Errorf("%s: %d (%s), want %d", test.text, got, why, test.want)
		}
	}
	var found effects
	found.statement(query{many: true, text: "DROP TABLE a.a, b.b"}, site)
	if got, _ := found.sum(); got != Unclear {
		t.Errorf("of many schemas: %d", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\xfebin"))
	f.Fuzz(func(t *testing.T, log []byte) {
		Read(strings.NewReader(string(log)), "foobar", func(Transaction) error { return nil }) // neither panics nor runs for ever
	})
}

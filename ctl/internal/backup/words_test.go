package backup

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

const aDefinition = "CREATE TABLE `posts` (\n  `id` bigint NOT NULL,\n  `title` varchar(9) DEFAULT 'a, b,' COMMENT 'c,',\n  PRIMARY KEY (`id`),\n" +
	"  FULLTEXT KEY `other` (`title`) /*!50100 WITH PARSER `other` */ ,\n  FULLTEXT KEY `words` (`title`,`body`),\n  FULLTEXT KEY `grams` (`title`) /*!50100 WITH PARSER `ngram` */ ,\n" +
	"  CONSTRAINT `posts_user` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`)\n) ENGINE=InnoDB;\n"

func TestFullTextIndexesAreTakenOutAndPutBack(t *testing.T) {
	t.Parallel()
	last := "CREATE TABLE `last``one` (\n  `id` bigint,\n  FULLTEXT KEY `words` (`title`)\n) ENGINE=InnoDB;\n"
	plain := "CREATE TABLE `plain` (\n  `id` bigint\n) ENGINE=InnoDB;\n"
	rows := "INSERT INTO `posts` VALUES (1,'" + strings.Repeat("x", 600<<10) + "\\nCREATE TABLE `no` (\\n  FULLTEXT KEY `words` (`title`),');\n"
	dump := "-- begins\n\n" + aDefinition + rows + last + plain + "-- ends\n"

	var stripped bytes.Buffer
	taken, err := without(strings.NewReader(dump), &stripped)
	if err != nil || len(taken) != 2 || len(taken["posts"]) != 2 || len(taken["last`one"]) != 1 {
		t.Fatalf("%q, %v", taken, err)
	}
	want := strings.ReplaceAll(strings.Replace(dump, "  FULLTEXT KEY `words` (`title`,`body`),\n  FULLTEXT KEY `grams` (`title`) /*!50100 WITH PARSER `ngram` */ ,\n", "", 1), ",\n  FULLTEXT KEY `words` (`title`)\n", "\n")
	if stripped.String() != want {
		t.Errorf("it is now %q", strings.ReplaceAll(stripped.String(), rows, "..."))
	}
	var back bytes.Buffer
	if err := taken.with(&stripped, &back); err != nil {
		t.Fatal(err)
	}
	// an index that was left in place may now be in another order, but nothing else may differ
	if got, want := strings.Split(back.String(), "\n"), strings.Split(dump, "\n"); len(got) != len(want) || len(back.String()) != len(dump) {
		t.Errorf("put back it is %q", strings.ReplaceAll(back.String(), rows, "..."))
	}
	for _, cut := range []string{"CREATE TABLE `x` (\n", "CREATE TABLE `x` (\n  `id` bigint,\n"} {
		if _, err := without(strings.NewReader(cut), &back); err == nil {
			t.Errorf("%q is taken for a whole dump", cut)
		}
	}
}

func TestADefinitionWithoutAnEndTakesNoMoreMemoryThanOneCan(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"one line": "x", "many lines": "  `x` int,\n"} {
		dump := io.MultiReader(strings.NewReader("CREATE TABLE `t` (\n"), strings.NewReader(strings.Repeat(line, 2*maxDefinition/len(line))))
		if _, err := without(dump, io.Discard); err == nil || !strings.Contains(err.Error(), "longer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package mysql

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"oneserver/app"
)

func TestSearchIsMadeOfTheWordsThatWereTyped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text        string
		words, runs string
		other       []string
	}{
		{"server", "+server*", "", nil},
		{"  one\tserver \n", "+server* +one*", "", nil},
		{"Zoë", "+Zoë*", "", nil},
		{"server SERVER server", "+server* +SERVER*", "", nil},
		{"the server", "+server*", "", []string{"the"}},
		{"Thé server", "+server*", "", []string{"Thé"}},
		{"C++ server", "+server*", "", []string{"C++"}},
		{"node.js", "+node*", "", []string{"node.js"}},
		{"don't panic", "+panic* +don*", "", []string{"don't"}},
		{"well-known", "+known* +well*", "", nil},
		{`"one server"`, "+server* +one*", "", nil},
		{"+server -name", "+server* +name*", "", nil},
		{"serv* (name) ~foo <bar >baz @2", "+serv* +name* +foo* +bar* +baz*", "", []string{"2"}},
		{"@distance 100%", "+distance* +100*", "", nil},
		{"数据库", "", `+"数据库"`, nil},
		{"测试 中文搜索", "", `+"中文搜索" +"测试"`, nil},
		{"使用MySQL数据库", "+MySQL*", `+"数据库" +"使用"`, nil},
		{"水 server", "+server*", "", []string{"水"}},
		{"第3章です server", "+server*", `+"章です"`, []string{"第3章です"}},
		{"サーバー", "", `+"サーバー"`, nil},
		{"か\u3099く", "", "+\"か\u3099く\"", nil},
		{"서버를", "", `+"서버를"`, nil},
		{"𠮷野家", "", `+"野家"`, []string{"𠮷野家"}},
		{"𠮷𠮷", "", "", []string{"𠮷𠮷"}},
		{"🎉 party", "+party*", "", nil},
		{"a\x00bcd", "+bcd*", "", []string{"a\x00bcd"}},
		{"abc\xffdef", "+abc* +def*", "", nil},
		{strings.Repeat("x", 85), "", "", []string{strings.Repeat("x", 85)}},
		{"to be", "", "", []string{"to", "be"}},
		{"++ -- * ( \"", "", "", nil},
		{"", "", "", nil},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got := searchFor(test.text)
			words, runs := strings.Join(got.words, " "), strings.Join(got.runs, " ")
			if words != test.words || runs != test.runs || !slices.Equal(got.other, test.other) {
				t.Errorf("got %q, %q and %q, want %q, %q and %q", words, runs, got.other, test.words, test.runs, test.other)
			}
		})
	}
}

func TestThePostIsIndexedByEachWordAndEachRunOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ title, body, words, grams string }{
		{"One server", "The server, one SERVER; Zoë's Zoe", "One server Zoë Zoe ", ""},
		{"今天我们在这里测试中文搜索", "使用MySQL数据库。数据库!", "MySQL ", "今天我们在这里测试中文搜索 使用 数据库 "},
		{"水", "第3章 v2 𠮷𠮷 𠮷野家", "", "野家 "},
		{"हिन्दी हिन्दू", "a\x00b\xffc", "हिन्दी हिन्दू ", ""}, // they differ in their marks
	} {
		got := searchable(7, app.Draft{Title: test.title, Body: test.body}, nil)
		if want := (postSearch{PostID: 7, Words: test.words, Grams: test.grams}); got != want {
			t.Errorf("%q, %q: got %+v, want %+v", test.title, test.body, got, want)
		}
	}
}

func TestPagesOfTwoIndexesAreJoinedNewestFirst(t *testing.T) {
	t.Parallel()
	posts := func(ids ...uint64) (posts []app.Post) {
		for _, id := range ids {
			posts = append(posts, app.Post{ID: id})
		}
		return posts
	}
	if got, want := newestOf(posts(9, 5, 2), posts(7, 5)), posts(9, 7, 5, 2); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzSearchHoldsNoOperatorOfTheUsers(f *testing.F) {
	for _, text := range []string{"", "the server", "C++", `"a b" -c +d* ~e <f >g (h) @2`, "Zoë\x00\xff🎉", "don't_ 100% \\", `测"试中 文*搜索`} {
		f.Add(text)
	}
	words := regexp.MustCompile(`^\+[\pL\pN\pM_]{3,84}\*( \+[\pL\pN\pM_]{3,84}\*)*$`)
	runs := regexp.MustCompile(`^\+"[\pL\pN\pM\pS\pP]{2,}"( \+"[\pL\pN\pM\pS\pP]{2,}")*$`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range []search{searchFor(text), searchBefore(text)} {
			if !got.possible() {
				continue
			}
			statement, args := got.statement(len(got.words) + len(got.runs) - 1)
			if strings.Count(statement, "?") != len(args)+2 {
				t.Errorf("%q: %d values for %q", text, len(args), statement)
			}
			if len(got.words) > 0 && !words.MatchString(args[0].(string)) {
				t.Errorf("%q becomes %q", text, args[0])
			}
			for _, run := range got.runs {
				if !runs.MatchString(run) || strings.ContainsAny(strings.Trim(run[1:], `"`), "\"\\+-<>()~*@") {
					t.Errorf("%q becomes %q", text, run)
				}
			}
			for _, arg := range args {
				if !utf8.ValidString(arg.(string)) {
					t.Errorf("%q: the value %q is not UTF-8", text, arg)
				}
			}
		}
	})
}

package mysql

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSearchIsMadeOfTheWordsThatWereTyped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		words string
		other []string
	}{
		{"server", "+server*", nil},
		{"  one\tserver \n", "+server* +one*", nil},
		{"Zoë", "+Zoë*", nil},
		{"server SERVER server", "+server* +SERVER*", nil},
		{"the server", "+server*", []string{"the"}},
		{"Thé server", "+server*", []string{"Thé"}},
		{"C++ server", "+server*", []string{"C++"}},
		{"node.js", "+node*", []string{"node.js"}},
		{"don't panic", "+panic* +don*", []string{"don't"}},
		{"well-known", "+known* +well*", nil},
		{`"one server"`, "+server* +one*", nil},
		{"+server -name", "+server* +name*", nil},
		{"serv* (name) ~foo <bar >baz @2", "+serv* +name* +foo* +bar* +baz*", []string{"2"}},
		{"@distance 100%", "+distance* +100*", nil},
		{"数据库", "+数据库*", nil},
		{"🎉 party", "+party*", nil},
		{"a\x00bcd", "+bcd*", []string{"a\x00bcd"}},
		{"abc\xffdef", "+abc* +def*", nil},
		{strings.Repeat("x", 85), "", []string{strings.Repeat("x", 85)}},
		{"to be", "", []string{"to", "be"}},
		{"++ -- * ( \"", "", nil},
		{"", "", nil},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got := searchWords(test.text)
			if words := strings.Join(got.words, " "); words != test.words || !slices.Equal(got.other, test.other) {
				t.Errorf("got %q and %q, want %q and %q", words, got.other, test.words, test.other)
			}
		})
	}
}

func FuzzSearchHoldsNoOperatorOfTheUsers(f *testing.F) {
	for _, text := range []string{"", "the server", "C++", `"a b" -c +d* ~e <f >g (h) @2`, "Zoë\x00\xff🎉", "don't_ 100% \\"} {
		f.Add(text)
	}
	safe := regexp.MustCompile(`^(\+[\pL\pN\pM_]{3,84}\*( \+[\pL\pN\pM_]{3,84}\*)*)$`)
	f.Fuzz(func(t *testing.T, text string) {
		got := searchWords(text)
		if len(got.words) == 0 {
			return
		}
		statement, args := got.statement(len(got.words) - 1)
		if !safe.MatchString(args[0].(string)) {
			t.Errorf("%q becomes %q", text, args[0])
		}
		if strings.Count(statement, "?") != len(args)+2 {
			t.Errorf("%q: %d values for %q", text, len(args), statement)
		}
		for _, arg := range args {
			if !utf8.ValidString(arg.(string)) {
				t.Errorf("%q: the value %q is not UTF-8", text, arg)
			}
		}
	})
}

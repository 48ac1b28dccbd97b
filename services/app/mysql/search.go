package mysql

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Words that InnoDB's full-text index holds are of this many characters (innodb_ft_min_token_size and _max_).
const (
	minWord = 3
	maxWord = 84
)

// notIndexed are the words that the index leaves out (INFORMATION_SCHEMA.INNODB_FT_DEFAULT_STOPWORD), those that are too
// short anyway excepted.
var notIndexed = map[string]bool{
	"about": true, "are": true, "com": true, "for": true, "from": true, "how": true, "that": true, "the": true,
	"this": true, "und": true, "was": true, "what": true, "when": true, "where": true, "who": true, "will": true,
	"with": true, "www": true,
}

// search is what to look for.
type search struct {
	words []string // terms of MySQL's boolean mode: the beginnings of words that must all occur
	other []string // texts that must occur too, with something in them that the index cannot find
}

// searchWords makes a search of what a person has typed. Nothing typed can be an operator of the boolean mode: words are
// made of letters, digits and underscores, and of what is put around them here.
func searchWords(text string) search {
	var s search
	for _, chunk := range strings.Fields(strings.ToValidUTF8(text, " ")) {
		chunk = strings.TrimLeft(strings.Trim(chunk, `"'()*<>~.,;:!?`), "+-@")
		complete := true
		for _, word := range strings.FieldsFunc(chunk, func(r rune) bool { return !inWord(r) }) {
			if n := utf8.RuneCountInString(word); n < minWord || n > maxWord || notIndexed[plain(word)] {
				complete = false
			} else if term := "+" + word + "*"; !slices.Contains(s.words, term) {
				s.words = append(s.words, term)
			}
		}
		if !complete && !slices.Contains(s.other, chunk) { // "the", "C++", "node.js"
			s.other = append(s.other, chunk)
		}
	}
	slices.SortStableFunc(s.words, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the long are rarer
	return s
}

// inWord reports whether MySQL's full-text parser takes r for a part of a word.
func inWord(r rune) bool {
	return r <= 0xFFFF && (unicode.In(r, unicode.L, unicode.N, unicode.M) || r == '_')
}

// plain is word as the collation of posts compares it, without case and accents.
func plain(word string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFD.String(word))
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// statement is the search in SQL, and the values that it takes between where the page begins and how many posts.
// InnoDB collects all posts that hold the first word, and then drops those that lack another: which of the words is the
// first decides whether they are too many.
func (s search) statement(first int) (string, []any) {
	words := slices.Concat(s.words[first:], s.words[:first])
	statement, args := postsInList+" AND MATCH (title, body) AGAINST (? IN BOOLEAN MODE)", []any{strings.Join(words, " ")}
	for _, text := range s.other {
		pattern := "%" + likeEscaper.Replace(text) + "%"
		statement += " AND (title LIKE ? OR body LIKE ?)"
		args = append(args, pattern, pattern)
	}
	return statement + newestFirst, args
}

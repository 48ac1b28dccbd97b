package mysql

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"gorm.io/gorm"

	"oneserver/app"
)

// What InnoDB's full-text indexes contain: words of minWord to maxWord characters (innodb_ft_min_token_size and
// innodb_ft_max_token_size), and each pair of adjacent characters in a run (ngram_token_size).
const (
	minWord = 3
	maxWord = 84
	minRun  = 2
)

// notIndexed are the words that the index leaves out (INFORMATION_SCHEMA.INNODB_FT_DEFAULT_STOPWORD), except those that
// are too short anyway.
var notIndexed = map[string]bool{
	"about": true, "are": true, "com": true, "for": true, "from": true, "how": true, "that": true, "the": true,
	"this": true, "und": true, "was": true, "what": true, "when": true, "where": true, "who": true, "will": true,
	"with": true, "www": true,
}

// Search implements app.PostStore. MySQL sorts all the results, and innodb_ft_result_cache_limit bounds how many there
// may be. Too many results cause an *app.Error of code Invalid, as does a text without a word to search for.
//
// Search combines the results of the new index, for posts whose entry is up to date, with those of the previous
// release's index. MySQL maintains that older index whichever release writes, so Search misses no post that the
// previous release would find. A later release will drop the older index while this one is still running; hence
// errNoIndex.
func (db *DB) Search(ctx context.Context, text string, page app.Page) (posts []app.Post, more bool, err error) {
	now, before := searchFor(text), searchBefore(text)
	if !now.possible() && !before.possible() {
		return nil, false, &app.Error{Code: app.Invalid, Message: "Search for a word of three letters or more, other than the most common ones, " +
			"or for two characters or more of Chinese, Japanese or Korean."}
	}
	select {
	case db.searching <- struct{}{}:
		defer func() { <-db.searching }()
	case <-ctx.Done():
		return nil, false, translate("wait to search posts", ctx.Err())
	case <-time.After(waitLimit):
		return nil, false, translate("wait to search posts", context.DeadlineExceeded)
	}
	if now.possible() {
		if posts, more, err = db.searchIn(ctx, now, page); err != nil {
			return nil, false, err
		}
	}
	if before.possible() {
		others, moreOthers, err := db.searchIn(ctx, before, page)
		if hasNumber(err, errNoIndex) {
			return posts, more, nil
		}
		if err != nil {
			return nil, false, err
		}
		posts = newestOf(posts, others)
		more = more || moreOthers || len(posts) > page.Size
		posts = posts[:min(len(posts), page.Size)]
	}
	return posts, more, nil
}

// newestOf merges two pages, each with the newest posts first.
func newestOf(a, b []app.Post) []app.Post {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b app.Post) int { return cmp.Compare(b.ID, a.ID) })
	return slices.CompactFunc(all, func(a, b app.Post) bool { return a.ID == b.ID })
}

// searchIn runs a search. It tries each word or run in turn as the first, until one occurs in few enough posts.
func (db *DB) searchIn(ctx context.Context, s search, page app.Page) (posts []app.Post, more bool, err error) {
	began := time.Now()
	for first := range max(len(s.words), len(s.runs)) {
		statement, args := s.statement(first)
		posts, more, err = db.page(ctx, "search posts", page, statement, args...)
		if !hasNumber(err, errTooManyHits) || time.Since(began) > searchTries {
			break
		}
	}
	return posts, more, err
}

// search says what to look for, and where.
type search struct {
	from  string   // the table with the index, joined to posts unless it is posts
	match string   // the columns of the index of words
	words []string // terms of MySQL's boolean mode: the beginnings of words that must all occur
	runs  []string // more such terms: characters that must follow one another
	other []string // texts that must also occur, but contain something that no index finds
}

func (s search) possible() bool { return len(s.words)+len(s.runs) > 0 }

// searchFor returns the search for a text that a person has typed. Nothing in the text can act as an operator of
// boolean mode: the terms keep only its letters, digits and underscores, and the operators around them are added here.
func searchFor(text string) search {
	return search{
		from:  "post_search JOIN posts ON posts.id = post_id AND posts.updated_at <=> as_of ",
		match: "words",
	}.of(text, func(chunk string) (words, runs []string) { return split(chunk) })
}

// searchBefore returns the search that finds, in the previous release's index, the posts that the previous release
// would find.
func searchBefore(text string) search {
	return search{from: "posts ", match: "title, body"}.of(text, func(chunk string) (words, runs []string) {
		return strings.FieldsFunc(chunk, func(r rune) bool { return !inWord(r) }), nil
	})
}

func (s search) of(text string, split func(chunk string) (words, runs []string)) search {
	for _, chunk := range strings.Fields(strings.ToValidUTF8(text, " ")) {
		chunk = strings.TrimLeft(strings.Trim(chunk, `"'()*<>~.,;:!?`), "+-@")
		complete := true
		words, runs := split(chunk)
		for _, word := range words {
			if !indexed(word) {
				complete = false
			} else if term := "+" + word + "*"; !slices.Contains(s.words, term) {
				s.words = append(s.words, term)
			}
		}
		for _, run := range runs {
			if utf8.RuneCountInString(run) < minRun {
				complete = false
			} else if term := `+"` + run + `"`; !slices.Contains(s.runs, term) {
				s.runs = append(s.runs, term)
			}
		}
		if !complete && !slices.Contains(s.other, chunk) { // "the", "C++", "node.js"
			s.other = append(s.other, chunk)
		}
	}
	byLength := func(a, b string) int { return cmp.Compare(len(b), len(a)) } // long ones are rarer
	slices.SortStableFunc(s.words, byLength)
	slices.SortStableFunc(s.runs, byLength)
	return s
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// statement returns the search in SQL, and the values of all placeholders but the first (where the page begins) and the
// last (the number of posts). The parameter first is the index of the word that comes first. InnoDB collects all posts
// that contain that word, and then drops those that lack another one, so the choice decides whether there are too many.
func (s search) statement(first int) (string, []any) {
	statement, args := postsInList+s.from+before, []any(nil)
	for _, of := range []struct {
		columns string
		terms   []string
	}{{s.match, s.words}, {"grams", s.runs}} {
		if n := len(of.terms); n > 0 {
			statement += " AND MATCH (" + of.columns + ") AGAINST (? IN BOOLEAN MODE)"
			args = append(args, strings.Join(slices.Concat(of.terms[first%n:], of.terms[:first%n]), " "))
		}
	}
	for _, text := range s.other {
		pattern := "%" + likeEscaper.Replace(text) + "%"
		statement += " AND (title LIKE ? OR body LIKE ?)"
		args = append(args, pattern, pattern)
	}
	return statement + newestFirst, args
}

// postSearch is a row of the table post_search: the words and runs of one post.
type postSearch struct {
	PostID       uint64 `gorm:"primaryKey"`
	Words, Grams string
	AsOf         *time.Time
}

// TableName implements GORM's schema.Tabler.
func (postSearch) TableName() string { return "post_search" }

// searchable returns the row for a post whose updated_at is asOf, with each word and each run once.
func searchable(id uint64, draft app.Draft, asOf *time.Time) postSearch {
	words, runs := split(draft.Title + "\n" + draft.Body)
	once := func(all []string, holds func(string) bool) string {
		var text strings.Builder
		seen := make(map[string]bool, len(all))
		for _, one := range all {
			if key := strings.ToLower(one); !seen[key] && holds(one) {
				seen[key] = true
				text.WriteString(one)
				text.WriteByte(' ')
			}
		}
		return text.String()
	}
	return postSearch{PostID: id, AsOf: asOf, Words: once(words, indexed),
		Grams: once(runs, func(run string) bool { return utf8.RuneCountInString(run) >= minRun })}
}

// reindex rewrites the index rows of posts, inside the transaction that has locked them. It does not use ON DUPLICATE
// KEY UPDATE: if one of a statement's rows already exists, InnoDB leaves the preceding rows out of its full-text
// indexes.
func reindex(tx *gorm.DB, posts ...postSearch) error {
	ids := make([]uint64, len(posts))
	for i, post := range posts {
		ids[i] = post.PostID
	}
	if err := tx.Exec("DELETE FROM post_search WHERE post_id IN ?", ids).Error; err != nil {
		return err
	}
	return tx.Create(&posts).Error
}

// split returns the words of a text and its runs, which are sequences of characters from scripts without spaces between
// words. ngram indexes nothing that contains a four-byte character, so each such character becomes a separate run, too
// short to search for.
func split(text string) (words, runs []string) {
	const none, word, run, alone = 0, 1, 2, 3
	kind, from := none, 0
	end := func(at int) {
		switch kind {
		case word:
			words = append(words, text[from:at])
		case run, alone:
			runs = append(runs, text[from:at])
		}
		from = at
	}
	for at, r := range text {
		is := none
		switch {
		case unicode.Is(unicode.M, r) && kind != none:
			continue // stays with the character that it marks
		case inRun(r) && r > 0xFFFF:
			is = alone
		case inRun(r):
			is = run
		case inWord(r):
			is = word
		}
		if is != kind || is == alone {
			end(at)
			kind = is
		}
	}
	end(len(text))
	return words, runs
}

// inRun reports whether r is Han, kana or Hangul, or the long vowel mark, which Unicode assigns to no script.
func inRun(r rune) bool {
	return r >= 0x1100 && (unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r == 'ー' || r == 'ｰ')
}

// inWord reports whether MySQL's full-text parser treats r as part of a word.
func inWord(r rune) bool {
	return r <= 0xFFFF && (unicode.In(r, unicode.L, unicode.N, unicode.M) || r == '_')
}

// indexed reports whether the index of words contains word.
func indexed(word string) bool {
	n := utf8.RuneCountInString(word)
	return n >= minWord && n <= maxWord && !notIndexed[plain(word)]
}

// plain returns word as the collation of posts compares it: without case and accents.
func plain(word string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFD.String(word))
}

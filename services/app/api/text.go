package api

import (
	"cmp"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"

	"oneserver/app"
)

// Messages that say what is wrong with a text.
const (
	empty     = "must not be empty"
	notOne    = "must be one line without control characters"
	control   = "must have no control characters but newlines and tabs"
	reserved  = "must have no characters that Unicode reserves"
	reorders  = "must have no marks that change the direction of what follows"
	hides     = "must have no characters that show nothing"
	stacked   = "must not have more than 8 marks or hidden characters in a row"
	mixed     = "must not mix letters of several alphabets in one word"
	tooLong   = "may have at most %d characters"
	mostMarks = 8 // as many as Tibetan needs; Hebrew with its accents has five
)

// Invisible characters other than spaces and controls. Unicode has a property for characters that a program should not
// display if it does not support them (Default_Ignorable_Code_Point). ignorable lists the properties and categories
// from which it is derived (DerivedCoreProperties.txt); they include the Hangul fillers, joiners, variation selectors,
// tags and direction marks. The characters in blank are invisible although their category says otherwise: the braille
// cell without dots, the placeholder for a missing object, the note without a head, and the blanks between hieroglyphs.
var (
	ignorable = []*unicode.RangeTable{unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Cf}
	prefixes  = unicode.Prepended_Concatenation_Mark // of category Cf, but visible
	blank     = rangetable.New('\u2800', '\ufffc', '\U0001d159', '\U00013441', '\U00013442', '\U00016fe4')
	unseen    = []*unicode.RangeTable{unicode.White_Space, unicode.Cc, unicode.Cs, unicode.Co, unicode.M, unicode.Noncharacter_Code_Point, blank}
)

func isIgnorable(r rune) bool { return unicode.In(r, ignorable...) && !unicode.Is(prefixes, r) }

// visible reports whether text shows anything at all. A combining mark alone does not: it needs a character to combine
// with.
func visible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !unicode.In(r, unseen...) && !isIgnorable(r) })
}

// tidy returns text in its normal form, without surrounding spaces.
func tidy(text string) string { return strings.TrimSpace(norm.NFC.String(text)) }

// tidyName is tidy for a name; it also replaces any run of spaces, of whatever kind, with one plain space.
func tidyName(text string) string {
	words := strings.FieldsFunc(tidy(text), func(r rune) bool { return unicode.Is(unicode.Zs, r) })
	return strings.Join(words, " ")
}

// checkLine returns what is wrong with a text of one line, or "".
func checkLine(text string) string {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return notOne
	case strings.ContainsFunc(text, isBidi):
		return reorders
	}
	return checkCharacters([]rune(text))
}

// checkTitle returns what is wrong with the title of a post, or "".
func checkTitle(text string) string { return cmp.Or(checkLine(text), checkLength(text, app.MaxTitle)) }

// checkBody returns what is wrong with the body of a post, or "". A browser treats each line as a paragraph, so every
// change of direction must end within its line. Characters that override the direction of letters are refused, since no
// language needs them. The length is checked first, since looking at every character of a text that is too long would
// cost milliseconds.
func checkBody(text string) string {
	if wrong := checkLength(text, app.MaxBody); wrong != "" {
		return wrong
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return control
	}
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\u2029' }) {
		if !balanced(line) {
			return reorders
		}
	}
	return checkCharacters([]rune(text))
}

// checkName returns what is wrong with a name, or "". A name must not look like another one, so it may contain no
// invisible characters, and no word may mix letters of alphabets that look alike.
func checkName(text string) string {
	if wrong := checkLine(text); wrong != "" {
		return wrong
	}
	runes := []rune(text)
	for i, r := range runes {
		if unicode.In(r, unicode.Co, blank) || isIgnorable(r) && !hasUse(runes, i) {
			return hides
		}
	}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }) {
		alphabets := 0
		for _, alphabet := range []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Cherokee} {
			if strings.ContainsFunc(word, func(r rune) bool { return unicode.Is(alphabet, r) }) {
				alphabets++
			}
		}
		if alphabets > 1 {
			return mixed
		}
	}
	return checkLength(text, app.MaxName)
}

// checkLength checks normalised text, which can be longer than the text that was sent.
func checkLength(text string, most int) string {
	if utf8.RuneCountInString(text) > most {
		return fmt.Sprintf(tooLong, most)
	}
	return ""
}

// checkCharacters applies the rules that hold for every text. It refuses selectors and tags that serve no purpose,
// because they could hide a text that programs read but people do not see.
func checkCharacters(text []rune) string {
	marks := 0
	for i, r := range text {
		switch {
		case unicode.Is(unicode.Noncharacter_Code_Point, r):
			return reserved
		case (isTag(r) || unicode.Is(unicode.Variation_Selector, r)) && !hasUse(text, i):
			return hides
		case unicode.In(r, unicode.Mn, unicode.Me) || isIgnorable(r):
			if marks++; marks > mostMarks {
				return stacked
			}
		default:
			marks = 0
		}
	}
	if !visible(string(text)) {
		return empty
	}
	return ""
}

// isBidi reports whether r is one of the controls of Unicode Standard Annex #9 that stay in effect until another
// character ends them. Direction marks are not among them, because each acts only as a single letter.
func isBidi(r rune) bool { return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069' }

// balanced reports whether a line ends all embeddings and isolates that it begins, and has no overrides.
func balanced(line string) bool {
	var open []rune
	for _, r := range line {
		switch r {
		case '\u202d', '\u202e':
			return false
		case '\u202a', '\u202b':
			open = append(open, '\u202c')
		case '\u2066', '\u2067', '\u2068':
			open = append(open, '\u2069')
		case '\u202c', '\u2069':
			if len(open) == 0 || open[len(open)-1] != r {
				return false
			}
			open = open[:len(open)-1]
		}
	}
	return len(open) == 0
}

const (
	nonJoiner = '\u200c'
	joiner    = '\u200d'
	blackFlag = '\U0001f3f4'
	endTag    = '\U000e007f'
)

func isTag(r rune) bool { return '\U000e0000' <= r && r <= endTag }

// isSymbol reports whether r is the kind of character that emoji are made of. The range covers emoji that are newer
// than Go's tables.
func isSymbol(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Sm) || '\U0001f000' <= r && r <= '\U0001faff'
}

// hasUse reports whether the ignorable character at text[i] serves a purpose there. (PRECIS, RFC 8264, has such rules
// for joiners only, and refuses joined emoji: golang.org/x/text/secure/precis would refuse the technologist, the red
// heart and Scotland's flag.)
func hasUse(text []rune, i int) bool {
	before := func(n int) rune {
		if i < n {
			return 0
		}
		return text[i-n]
	}
	var after rune
	if i+1 < len(text) {
		after = text[i+1]
	}
	previous := before(1)
	switch r := text[i]; {
	case r == joiner || r == nonJoiner:
		inWord := joins(previous) && (r == joiner || joins(after)) || isVirama(previous)
		emoji := isSymbol(previous) || unicode.Is(unicode.Variation_Selector, previous) && isSymbol(before(2)) || isTag(previous)
		return inWord || r == joiner && emoji && isSymbol(after)
	case unicode.Is(unicode.Variation_Selector, r):
		if previous == 'ℹ' { // an emoji, although its category is letter
			return true
		}
		if unicode.IsLetter(previous) {
			return unicode.In(previous, unicode.Han, unicode.Mongolian, unicode.Myanmar, unicode.Phags_Pa, unicode.Manichaean)
		}
		return unicode.In(previous, unicode.S, unicode.P, unicode.N) || isSymbol(previous)
	case isTag(r):
		return inFlag(text, i)
	}
	return false
}

// inFlag reports whether the tag at text[i] belongs to a flag: a black flag, a subdivision spelt in tags, and the end
// tag.
func inFlag(text []rune, i int) bool {
	first, last := i, i
	for first > 0 && isTag(text[first-1]) {
		first--
	}
	for last+1 < len(text) && isTag(text[last+1]) {
		last++
	}
	return first > 0 && text[first-1] == blackFlag && text[last] == endTag && last-first >= 3 && last-first <= 6
}

// isVirama reports whether r is a virama of any script: a joiner after it chooses how a consonant without its vowel is
// written (RFC 5892, appendix A).
func isVirama(r rune) bool { return norm.NFC.PropertiesString(string(r)).CCC() == 9 }

func joins(r rune) bool { return unicode.In(r, joining...) }

// joining lists the scripts in which joiners choose the form of letters in other places too: the cursive scripts, and
// those of India and its neighbours.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko, unicode.Adlam, unicode.Mandaic, unicode.Hanifi_Rohingya,
	unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
	unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar, unicode.Tibetan, unicode.Balinese,
	unicode.Javanese, unicode.Grantha, unicode.Meetei_Mayek, unicode.Ol_Chiki, unicode.Chakma, unicode.Newa, unicode.Brahmi,
}

// isSites reports whether readers would mistake name for the site's own.
func isSites(name, domain string) bool {
	bare := func(text string) string { return letters(strings.ToLower(norm.NFKC.String(text))) }
	return slices.Contains([]string{"thesite", bare(domain), bare("www." + domain)}, bare(name))
}

// letters returns only the letters and digits of text.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.L, unicode.N) {
			return r
		}
		return -1
	}, text)
}

// checkSecret checks a password, which may contain anything that can be typed.
func checkSecret(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "must have no control characters"
	}
	return ""
}

// domain matches a name in the public DNS. The name must contain a dot, since an e-mail address without one works only
// inside a private network.
var domain = regexp.MustCompile(`^([0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?\.)+[A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])$`)

// checkEmail returns what is wrong with an e-mail address, or "". It is strict, because people sign in with the
// address: it accepts only the bare address, in ASCII and unquoted, which has only one spelling apart from case.
func checkEmail(text string) string {
	const wrong = "must be an e-mail address, such as ada@example.com"
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return wrong
		}
	}
	address, err := mail.ParseAddress(text)
	if err != nil || address.Name != "" || address.Address != text {
		return wrong
	}
	if at := strings.LastIndexByte(text, '@'); !domain.MatchString(text[at+1:]) {
		return wrong
	}
	return ""
}

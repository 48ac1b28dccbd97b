package auth

import (
	"slices"
	"strings"
	"unicode"

	"github.com/trustelem/zxcvbn/frequency"
	"golang.org/x/text/unicode/norm"
)

// Reasons to refuse a password that attackers try early (NIST SP 800-63B, section 5.1.1.2).
const (
	isCommon   = "is one of those that are tried first: a common password, a name or a single word"
	isPattern  = "is a pattern that is tried first"
	isPersonal = "is your own address or name, or the site's"
)

// patternLimit is the length, in characters, from which a password may be a short piece repeated, since no attacker
// tries every piece at every length. (Walks are refused at any length: there are few of them, and the digits twice in a
// row are among the passwords found most often in leaks.)
const patternLimit = 16

// Weakness returns what is wrong with a new password, or "" if it is good enough. personal lists what others know about
// its owner: the owner's address and name, and the site's. The lists are zxcvbn's: the 30,000 passwords found most
// often in leaks, and the most used words and names. Searching them costs far less than hashing.
func Weakness(password string, personal ...string) string {
	folded := strings.ToLower(norm.NFC.String(password))
	plain := []rune(strings.ToLower(norm.NFKC.String(strings.Join(strings.Fields(password), "")))) // spaces add nothing
	if walks(plain) || len(plain) < patternLimit && repeats(plain) {
		return isPattern
	}
	for _, list := range frequency.FrequencyLists {
		if slices.Contains(list, folded) || slices.Contains(list, string(plain)) {
			return isCommon
		}
	}
	bare := letters(folded)
	for _, text := range personal {
		local, domain, _ := strings.Cut(text, "@")
		for _, known := range []string{text, local, domain, strings.TrimPrefix(domain, "www.")} {
			known = strings.ToLower(norm.NFC.String(known))
			if own := letters(known); folded == known || own != "" && bare == own {
				return isPersonal
			}
		}
	}
	return ""
}

// repeats reports whether text is a piece of at most four characters, repeated.
func repeats(text []rune) bool {
	for size := 1; size <= min(4, len(text)/2); size++ {
		if slices.Equal(text[size:], text[:len(text)-size]) {
			return true
		}
	}
	return false
}

// walks reports whether text runs through the alphabet or the digits, up or down.
func walks(text []rune) bool {
	if len(text) < 2 {
		return true
	}
	step := text[1] - text[0]
	if step != 1 && step != -1 {
		return false
	}
	for i := 2; i < len(text); i++ {
		wraps := text[i-1] == '9' && text[i] == '0' && step == 1 || text[i-1] == '0' && text[i] == '9' && step == -1
		if text[i]-text[i-1] != step && !wraps {
			return false
		}
	}
	return true
}

// letters returns text without the characters that people insert or append: "Ada Lovelace1815!" becomes the same as
// "ada.lovelace".
func letters(text string) string {
	text = strings.TrimRightFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, text)
}

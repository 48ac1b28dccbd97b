package api

import (
	"net/mail"
	"regexp"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
)

// wrong makes errors of pairs of a body's member and what is wrong with it, where something is.
func wrong(pairs ...string) []error {
	var errs []error
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			errs = append(errs, &huma.ErrorDetail{Location: "body." + pairs[i], Message: pairs[i+1]})
		}
	}
	return errs
}

// checkLine returns what is wrong with a text of one line, nothing if it is right.
func checkLine(text string) string {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return "must be one line without control characters"
	case !visible(text):
		return "must not be empty"
	}
	return ""
}

// checkText is checkLine for a text of several lines.
func checkText(text string) string {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return "must have no control characters but newlines and tabs"
	case !visible(text):
		return "must not be empty"
	}
	return ""
}

// checkSecret is for a password: whatever can be typed.
func checkSecret(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "must have no control characters"
	}
	return ""
}

// visible reports whether text shows anything at all.
func visible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) })
}

// domain is a name of the public DNS: with a dot, since an address without one works in somebody's own network only.
var domain = regexp.MustCompile(`^([0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?\.)+[A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])$`)

// checkEmail returns what is wrong with an e-mail address, nothing if it is right. It is strict, as the address is what
// one signs in with: nothing but the address, in ASCII, with nothing quoted, so that it has one spelling but for its case.
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

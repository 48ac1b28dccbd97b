package api

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextsOfTheWorldAreTaken(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"Latin":                             "Žluťoučký kůň, Ærøskøbing, Ħal Għargħur",
		"Latin, in parts":                   "Z\u030cl\u0323 e\u0302\u0301",
		"Vietnamese":                        "Nguyễn Thị Thường",
		"Turkish":                           "İstanbul ıssız",
		"Greek":                             "Ἀλέξανδρος",
		"Cyrillic":                          "Ёжик Щукин",
		"Georgian":                          "ქართული",
		"Armenian":                          "Հայերեն",
		"Hebrew with points and accents":    "בְּרֵאשִׁ֖ית בָּרָ֣א",
		"Arabic with marks":                 "مُحَمَّدٌ",
		"Persian with a non-joiner":         "می\u200cخواهم",
		"Persian, the short form of hijri":  "سال ۱۴۰۵ ه\u200d ش",
		"Urdu":                              "اُردُو",
		"Devanagari with a joiner":          "क्\u200dष",
		"Devanagari with a non-joiner":      "क्\u200cष",
		"Bengali with a joiner":             "র\u200d্য",
		"Malayalam with a joiner":           "അവന്\u200d",
		"Sinhala with a joiner":             "ශ්\u200dරී ලංකා",
		"Kaithi with a joiner":              "𑂍𑂹\u200d𑂍",
		"Sharada with a non-joiner":         "𑆑𑇀\u200c𑆑",
		"Kannada":                           "ರ\u200d್ಕ",
		"Tamil":                             "தமிழ்",
		"Thai":                              "ภาษาไทย ที่นี่",
		"Khmer":                             "ភាសាខ្មែរ",
		"Burmese":                           "မြန်မာဘာသာ",
		"Tibetan, as high as it goes":       "ཧྐྵྨླྺྼྻྂ",
		"Ethiopic":                          "አማርኛ",
		"Cherokee":                          "ᏣᎳᎩ",
		"Mongolian with a selector":         "ᠮᠣᠩᠭᠣᠯ ᠠ\u180b",
		"Chinese":                           "漢字 简体字",
		"Chinese, a rare form":              "葛\U000e0100",
		"Japanese":                          "日本語 カタカナ ｶﾀｶﾅ",
		"Korean":                            "한국어",
		"Korean, in parts":                  "\u1112\u1161\u11ab",
		"fullwidth":                         "Ｆｕｌｌ",
		"braille":                           "⠓⠑⠇⠇⠕",
		"hieroglyphs":                       "𓂀𓃠",
		"an emoji":                          "🎉",
		"an emoji with its selector":        "❤\ufe0f",
		"joined emoji":                      "👩\u200d💻",
		"joined emoji with selectors":       "🏳\ufe0f\u200d🌈 👁\ufe0f\u200d🗨\ufe0f",
		"a family":                          "👨\u200d👩\u200d👧\u200d👦",
		"skin":                              "👍🏽 👩🏾\u200d🚀",
		"a couple":                          "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏻",
		"joined with a mathematical symbol": "🙂\u200d↔\ufe0f",
		"a keycap":                          "1\ufe0f\u20e3 #\ufe0f\u20e3",
		"a flag":                            "🇨🇭",
		"a flag of tags":                    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
		"an emoji that Go does not know":    "\U0001faef\u200d\U0001fac8",
		"signs with selectors":              "‼\ufe0f ©\ufe0f ™\ufe0f ℹ\ufe0f 〰\ufe0f",
		"mathematics":                       "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋",
		"a dash":                            "—",
	} {
		for what, check := range map[string]func(string) string{"name": checkName, "title": checkTitle, "body": checkBody, "query": checkLine} {
			given := tidy(text)
			if what == "name" {
				given = tidyName(text)
			}
			if wrong := check(given); wrong != "" {
				t.Errorf("%s: the %s %+q %s", name, what, given, wrong)
			}
		}
	}
	for name, text := range map[string]string{
		"a soft hyphen":              "Donau\u00addampf",
		"a break between Thai words": "ภาษา\u200bไทย",
		"a mark of direction":        "\u200fC++\u200f הוא",
		"a byte order mark":          "\ufeffText",
		"a word joiner":              "a\u2060b",
		"letters of two alphabets":   "αlpha",
		"a private character":        "\uf8ff Inc.",
	} {
		for what, check := range map[string]func(string) string{"title": checkTitle, "body": checkBody} {
			if wrong := check(tidy(text)); wrong != "" {
				t.Errorf("%s: the %s %+q %s", name, what, text, wrong)
			}
		}
	}
	for name, text := range map[string]string{
		"an embedding that ends":    "a \u202bעברית (1)\u202c b",
		"isolates that end, nested": "a \u2067עברית \u2066C++\u2069\u2069 b\nc",
		"lines":                     "a\n\n\tb",
	} {
		if wrong := checkBody(text); wrong != "" {
			t.Errorf("%s: the body %+q %s", name, text, wrong)
		}
	}
}

func TestTextsThatShowNothingAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":                       "",
		"spaces":                        " \u00a0\u1680\u2000\u2007\u202f\u205f\u3000",
		"a Hangul filler":               "\u3164",
		"a halfwidth Hangul filler":     "\uffa0",
		"Hangul's choseong filler":      "\u115f",
		"Hangul's jungseong filler":     "\u1160",
		"both":                          "\u115f\u1160",
		"a braille cell without dots":   "\u2800\u2800",
		"marks of direction":            "\u200e\u200f\u061c",
		"zero widths":                   "\u200b\u200c\u200d\u2060\ufeff",
		"invisible operators":           "\u2061\u2062\u2063\u2064",
		"the grapheme joiner":           "\u034f",
		"a soft hyphen":                 "\u00ad",
		"the Mongolian vowel separator": "\u180e",
		"Mongolian selectors":           "\u180b\u180c\u180d\u180f",
		"variation selectors":           "\ufe00\ufe0f\U000e0100\U000e01ef",
		"Khmer's inherent vowels":       "\u17b4\u17b5",
		"tags":                          "\U000e0001\U000e0041\U000e007f",
		"what is reserved for such":     "\u2065\U000e0fff\ufff0",
		"deprecated format characters":  "\u206a\u206f",
		"shorthand controls":            "\U0001bca0\U0001bca3",
		"musical controls":              "\U0001d173\U0001d17a",
		"a note without a head":         "\U0001d159",
		"an object that is not there":   "\ufffc",
		"blanks between hieroglyphs":    "\U00013441\U00013442",
		"a mark alone":                  "\u0301",
		"marks alone":                   "\u0301\u0489\u20dd",
		"a spacing mark alone":          "\u0903",
		"a mark on a space":             " \u0301",
		"a mark on a filler":            "\u3164\u0301",
		"a private character":           "\ue000",
		"annotations":                   "\ufff9\ufffa\ufffb",
		"joints of hieroglyphs":         "\U00013430\U0001343f",
		"some of all":                   "\u2800\u3164\u200b\u0301\ufe0f",
	} {
		for what, wrong := range map[string]string{
			"name": checkName(tidyName(text)), "title": checkTitle(tidy(text)), "body": checkBody(text), "query": checkLine(text),
		} {
			if wrong == "" {
				t.Errorf("%s: the %s %+q is accepted", name, what, text)
			}
		}
		if visible(text) {
			t.Errorf("%s: %+q counts as visible", name, text)
		}
	}
}

func TestTextsThatDoHarmAreRefused(t *testing.T) {
	t.Parallel()
	const everywhere = "name title body query"
	for _, test := range []struct {
		name, text, where string
	}{
		{"an override", "a\u202eb\u202c", everywhere},
		{"a left-to-right override", "a\u202db\u202c", everywhere},
		{"an embedding that does not end", "a\u202bb", everywhere},
		{"an isolate that does not end", "a\u2067b", everywhere},
		{"an end without a beginning", "a\u202c\u2069b", everywhere},
		{"ends that cross", "a\u202b\u2067b\u202c\u2069", everywhere},
		{"an isolate that ends on the next line", "a\u2067b\nc\u2069", everywhere},
		{"an isolate", "a\u2067b\u2069", "name title query"},
		{"a NUL", "a\x00", everywhere},
		{"an escape", "a\x1b[31m", everywhere},
		{"a C1 control", "a\u009b31m", everywhere},
		{"two lines", "a\nb", "name title query"},
		{"two lines, otherwise", "a\u2028b", "name title query"},
		{"two paragraphs", "a\u2029b", "name title query"},
		{"noncharacters", "a\ufffe", everywhere},
		{"noncharacters of other planes", "a\U0010ffff", everywhere},
		{"noncharacters of the block", "a\ufdd0", everywhere},
		{"text in tags", "a\U000e0068\U000e0069", everywhere},
		{"tags after another emoji", "🎉\U000e0067\U000e0062\U000e007f", everywhere},
		{"a flag of tags that does not end", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067", everywhere},
		{"a flag of many tags", "🏴" + strings.Repeat("\U000e0067", 100) + "\U000e007f", everywhere},
		{"stacked marks", "Z" + strings.Repeat("\u0303", 9), everywhere},
		{"stacked marks of several kinds", "Z\u0300\u0489\u0316\u20dd\u0303\u0489\u0324\u0337\u0300\u0316", everywhere},
		{"stacked marks with nothing between them", "Z" + strings.Repeat("\u0303\u034f", 9), everywhere},
		{"bytes in selectors", "🎉\ufe0f\ufe01\U000e0110\U000e0120", everywhere},
		{"a selector for ideographs on a letter", "Ada\U000e0100", everywhere},
		{"two selectors", "❤\ufe0f\ufe0f", everywhere},
		{"bits in zero widths", "a" + strings.Repeat("\u200b\u2060", 5) + "b", everywhere},
		{"a zero width space in a name", "Ada\u200b", "name"},
		{"a soft hyphen in a name", "A\u00adda", "name"},
		{"a filler in a name", "Ada\u3164", "name"},
		{"a braille blank in a name", "Ada\u2800", "name"},
		{"a filler of Khitan in a name", "Ada\U00016fe4", "name"},
		{"a mark of direction in a name", "Ada\u200e", "name"},
		{"a byte order mark in a name", "\ufeffAda", "name"},
		{"a selector on a letter", "Ada\ufe0f", everywhere},
		{"a joiner in a name", "A\u200dda", "name"},
		{"a joiner at a name's end", "👩\u200d", "name"},
		{"a non-joiner at a name's end", "می\u200c", "name"},
		{"a private character in a name", "Ada\ue000", "name"},
		{"letters that look alike in a name", "Аda", "name"},
		{"Greek ones", "Αda", "name"},
		{"in the second word", "Ada Lоvelace", "name"},
	} {
		for what, check := range map[string]func(string) string{"name": checkName, "title": checkTitle, "body": checkBody, "query": checkLine} {
			wrong := check(test.text)
			if want := strings.Contains(test.where, what); (wrong != "") != want && !(what == "body" && test.where != everywhere) {
				t.Errorf("%s: the %s %+q: %q, should be refused: %t", test.name, what, test.text, wrong, want)
			}
		}
		if strings.Contains(test.where, "body") && checkBody(test.text) == "" {
			t.Errorf("%s: the body %+q is accepted", test.name, test.text)
		}
	}
}

func TestTextsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		" e\u0301 ":                       "é",
		"\u212b":                          "Å",
		"\u0958":                          "\u0915\u093c", // which Unicode never composes
		"a\u00a0\u3000 b":                 "a b",
		"\u1112\u1161\u11ab":              "한",
		"\u2003Ada \u2009 Lovelace\u00a0": "Ada Lovelace",
	} {
		if got := tidyName(given); got != want {
			t.Errorf("%+q becomes %+q, want %+q", given, got, want)
		}
	}
	// Normalising can turn one character into three, which is more than fits into the columns of the tables.
	long := strings.Repeat("\ufb2c", 200)
	if given := tidy(long); utf8.RuneCountInString(given) <= 200 || !strings.Contains(checkTitle(given), "at most 200") || !strings.Contains(checkName(given), "at most 50") {
		t.Errorf("a title of %d characters %q", utf8.RuneCountInString(given), checkTitle(given))
	}
}

func TestNamesOfTheSiteAreNobodys(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"the site", "The  Site", "THE SITE.", "the-site", "foobar.com", "www.foobar.com", "Foobar.com", "ｆｏｏｂａｒ.com", "foobar․com"} {
		if !isSites(name, "foobar.com") {
			t.Errorf("%q is accepted", name)
		}
	}
	for _, name := range []string{"Ada", "the sites", "Foobar", "a friend of foobar.com", "🎉"} {
		if isSites(name, "foobar.com") {
			t.Errorf("%q is refused", name)
		}
	}
}

func TestBrowsersAreDescribedInOurWords(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"": "",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                            "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":              "Edge on Windows",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                     "Firefox on Linux",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                      "Safari on Mac",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0.0.0 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":        "Samsung Internet on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                             "Chrome on ChromeOS",
		"curl/8.5.0":                              "curl",
		"Go-http-client/1.1":                      "a Go program",
		"<script>alert(1)</script>\u202e":         "",
		strings.Repeat("Firefox/ on Linux ", 400): "Firefox on Linux",
	} {
		if got := browserOf(agent); got != want || len(got) > 60 {
			t.Errorf("%.80s is %q, want %q", agent, got, want)
		}
	}
}

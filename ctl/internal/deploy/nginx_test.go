package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A decoded address contains a line break if a visitor wrote %0d%0a. The configuration may use it to choose between fixed
// words, but must not pass any part of it on.
func TestNothingOfADecodedAddressIsHandedOn(t *testing.T) {
	t.Parallel()
	decoded := regexp.MustCompile(`\$(\{)?(uri|document_uri|request_filename|query_string|args|arg_\w+)\b`)
	text, err := os.ReadFile("../../../nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(string(text), "")
	chosen := regexp.MustCompile(`(?s)\bmap\s+("[^"]*"|\S+)\s+\$\w+\s*\{(.*?)\n    \}`)
	for _, one := range chosen.FindAllStringSubmatch(conf, -1) {
		if decoded.MatchString(one[1]) && (strings.Contains(one[2], "(?<") || regexp.MustCompile(`\$\d`).MatchString(one[2])) {
			t.Errorf("a part of %s is captured: %s", one[1], one[0])
		}
	}
	for line := range strings.Lines(chosen.ReplaceAllString(conf, "")) {
		line = strings.TrimSpace(line)
		if decoded.MatchString(line) && !strings.HasPrefix(line, "try_files ") {
			t.Errorf("a decoded address is handed on: %s", line)
		}
		if strings.HasPrefix(line, "rewrite ") || strings.HasPrefix(line, "proxy_pass ") && line != "proxy_pass http://app;" && line != "proxy_pass http://files;" {
			t.Errorf("this decodes an address: %s", line)
		}
	}
}

package deploy

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func realConf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatIsPinnedCanBeReadAndTakenBack(t *testing.T) {
	t.Parallel()
	conf := realConf(t)
	last := conf
	for _, to := range []routing{
		{servers: []string{"172.28.0.130"}},
		{servers: []string{"172.28.0.131", "172.28.0.132"}, backups: []string{"172.28.0.130"}},
		{servers: []string{"172.28.0.131"}},
	} {
		pinned, err := pin(last, to)
		if err != nil {
			t.Fatal(err)
		}
		if got, found := routingOf(pinned); !found || !reflect.DeepEqual(got, to) {
			t.Errorf("pinned to %+v, read %+v, %t", to, got, found)
		}
		if unpin(pinned) != conf {
			t.Errorf("%+v is not taken back whole", to)
		}
		trial := strings.Contains(pinned, "non_idempotent http_500 http_502 http_503 http_504;")
		if trial != (len(to.backups) > 0) {
			t.Errorf("%+v: failures are passed on: %t", to, trial)
		}
		if !strings.Contains(pinned, "\n        server app:8080 resolve max_fails=0 down;") {
			t.Errorf("%+v: the name is gone", to)
		}
		last = pinned
	}
	if _, found := routingOf(conf); found || unpin(conf) != conf {
		t.Error("the repository's own is taken for pinned")
	}
}

func TestAConfigurationWithoutTheApplicationIsRefused(t *testing.T) {
	t.Parallel()
	conf := strings.ReplaceAll(realConf(t), "server app:8080", "server other:8080")
	if _, err := pin(conf, routing{servers: []string{"172.28.0.130"}}); err == nil || !strings.Contains(err.Error(), "server app:8080 resolve") {
		t.Errorf("it says %v", err)
	}
}

// A decoded address holds line ends where a visitor wrote %0d%0a: it chooses between words of ours, and no part of it is
// handed on.
func TestNothingOfADecodedAddressIsHandedOn(t *testing.T) {
	t.Parallel()
	decoded := regexp.MustCompile(`\$(\{)?(uri|document_uri|request_filename|query_string|args|arg_\w+)\b`)
	conf := regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(realConf(t), "")
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
		if strings.HasPrefix(line, "rewrite ") || strings.HasPrefix(line, "proxy_pass ") && line != "proxy_pass http://app;" {
			t.Errorf("this decodes an address: %s", line)
		}
	}
}

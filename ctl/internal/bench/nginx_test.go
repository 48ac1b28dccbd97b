package bench

import (
	"os"
	"strings"
	"testing"
)

func TestAPeerHasTheSettingsOfTheSite(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := string(text)
	got, err := withPeers(conf, peer{name: "bare"}, peer{name: "dial", closes: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"server_name bare.bench;", "proxy_pass http://bare;", "upstream bare {", "server bare:8080 resolve",
		"server_name dial.bench;", "Connection close;", "server_name static.bench;", "root /srv/bench;", "server_name www.${DOMAIN} localhost;"} {
		if strings.Count(got, part) != 1 {
			t.Errorf("%q is in it %d times, want once", part, strings.Count(got, part))
		}
	}
	// Each line of the site that is no name, no root and no upstream is there for the two peers and for the static files.
	for _, line := range []string{"proxy_connect_timeout 1s;", "limit_req zone=requests", "proxy_set_header X-Request-ID"} {
		if had, has := strings.Count(conf, line), strings.Count(got, line); had == 0 || has != 4*had {
			t.Errorf("%q is in it %d times, was %d times in nginx.conf; want four times as often", line, has, had)
		}
	}
	if _, err := withPeers(strings.ReplaceAll(conf, "upstream app", "upstream other"), peer{name: "bare"}); err == nil {
		t.Error("an nginx.conf without an upstream named app is taken")
	}
}

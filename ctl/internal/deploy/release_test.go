package deploy

import (
	"strings"
	"testing"
)

func TestTheTrialSeesWhatTheNewReplicasFailed(t *testing.T) {
	t.Parallel()
	line := func(addresses, statuses string) string {
		return `{"method":"GET","uri":"/api/v1/posts","status":200,"upstream_addr":"` + addresses + `","upstream_status":"` + statuses + "\"}\n"
	}
	for _, test := range []struct {
		name, log string
		seen      int
		bad       string
	}{
		{"nobody came", "2026/11/25 [notice] signal process started\n" + line("", "") + line("172.28.0.130:8080", "500"), 0, ""},
		{"all is well", line("172.28.0.131:8080", "200") + line("172.28.0.132:8080", "404"), 2, ""},
		{"the old one helped out", line("172.28.0.131:8080, 172.28.0.130:8080", "503, 200"), 1, "answered with 503"},
		{"the old one failed", line("172.28.0.130:8080, 172.28.0.131:8080", "502, 201"), 1, ""},
		{"two requests of one", line("172.28.0.130:8080 : 172.28.0.131:8080", "200 : 500"), 1, "answered with 500"},
		{"the visitor left", line("172.28.0.131:8080", "-"), 1, ""},
	} {
		seen, bad := verdict(test.log, []string{"172.28.0.131", "172.28.0.132"})
		if seen != test.seen || (bad == nil) != (test.bad == "") || bad != nil && (!strings.Contains(bad.what, test.bad) || bad.address != "172.28.0.131") {
			t.Errorf("%s: %d, %+v; want %d, %q", test.name, seen, bad, test.seen, test.bad)
		}
	}
}

package doctor

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oneserver/ctl/internal/stack"
)

var laptop = stack.Settings{"DOMAIN": "foobar.com", "SERVER_IP": "8.8.8.8", "BIND": "127.0.0.1", "HTTP_PORT": "80", "DNS_PORT": "1053", "SUBNET": "172.28.0",
	"POSTS_PER_ACCOUNT": "5000", "WRITES_A_DAY": "300", "TEXT_A_DAY": "100", "ACCOUNTS_A_DAY": "1000", "DISK_RESERVE": "1000", "TRUSTED_PROXIES": ""}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	here := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.5")}
	tests := []struct {
		name   string
		change stack.Settings
		level  Level
		about  string // OK: nothing is found
		says   string
	}{
		{"the defaults", nil, OK, "", ""},
		{"a server", stack.Settings{"BIND": "0.0.0.0", "SERVER_IP": "203.0.113.10", "DNS_PORT": "53"}, OK, "", ""},
		{"an address of this machine", stack.Settings{"BIND": "192.168.1.5", "SERVER_IP": "192.168.1.5"}, OK, "", ""},
		{"another loopback address", stack.Settings{"BIND": "127.0.0.7"}, OK, "", ""},
		{"the highest port", stack.Settings{"HTTP_PORT": "65535"}, OK, "", ""},
		{"the other private ranges", stack.Settings{"SUBNET": "10.255.255"}, OK, "", ""},

		{"one word for a domain", stack.Settings{"DOMAIN": "foobar"}, Error, "DOMAIN", "two parts"},
		{"www. in the domain", stack.Settings{"DOMAIN": "www.foobar.com"}, Warning, "DOMAIN", "www.www.foobar.com"},

		{"a host name for the server's address", stack.Settings{"SERVER_IP": "example.com"}, Error, "SERVER_IP", "not an IPv4 address"},
		{"a number too large", stack.Settings{"SERVER_IP": "8.8.8.888"}, Error, "SERVER_IP", "not an IPv4 address"},
		{"IPv6", stack.Settings{"SERVER_IP": "2001:db8::1"}, Error, "SERVER_IP", "not an IPv4 address"},
		{"no address", stack.Settings{"SERVER_IP": "0.0.0.0"}, Error, "SERVER_IP", "no server"},
		{"an address in the containers' network", stack.Settings{"SERVER_IP": "172.28.0.80"}, Error, "SERVER_IP", "containers' own network"},
		{"open to others and said to be elsewhere", stack.Settings{"BIND": "0.0.0.0"}, Warning, "SERVER_IP", "somewhere else"},
		{"open to others and sent home", stack.Settings{"BIND": "0.0.0.0", "SERVER_IP": "127.0.0.1"}, Warning, "SERVER_IP", "their own machines"},

		{"a name to bind to", stack.Settings{"BIND": "localhost"}, Error, "BIND", "not an IPv4 address"},
		{"another machine's address", stack.Settings{"BIND": "192.0.2.1", "SERVER_IP": "192.0.2.1"}, Error, "BIND", "does not have"},

		{"a port that is no number", stack.Settings{"HTTP_PORT": "http"}, Error, "HTTP_PORT", "not a port"},
		{"port 0", stack.Settings{"DNS_PORT": "0"}, Error, "DNS_PORT", "not a port"},
		{"a port too high", stack.Settings{"DNS_PORT": "65536"}, Error, "DNS_PORT", "not a port"},
		{"a range of ports", stack.Settings{"HTTP_PORT": "80-81"}, Error, "HTTP_PORT", "not a port"},
		{"one port for both", stack.Settings{"HTTP_PORT": "1053"}, Error, "HTTP_PORT", "DNS_PORT is the same"},

		{"no bound, on a laptop", stack.Settings{"WRITES_A_DAY": "0", "DISK_RESERVE": "0"}, OK, "", ""},
		{"no bound, open to others", stack.Settings{"BIND": "192.168.1.5", "SERVER_IP": "192.168.1.5", "TEXT_A_DAY": "0"}, Warning, "TEXT_A_DAY", "no bound"},
		{"a quota with its unit", stack.Settings{"TEXT_A_DAY": "100MB"}, Error, "TEXT_A_DAY", "not a number"},
		{"a quota below nothing", stack.Settings{"POSTS_PER_ACCOUNT": "-1"}, Error, "POSTS_PER_ACCOUNT", "not a number"},
		{"a reserve beyond measure", stack.Settings{"DISK_RESERVE": "10000000"}, Error, "DISK_RESERVE", "not a number"},

		{"two numbers for a subnet", stack.Settings{"SUBNET": "172.28"}, Error, "SUBNET", "first three numbers"},
		{"a whole network", stack.Settings{"SUBNET": "172.28.0.0/24"}, Error, "SUBNET", "first three numbers"},
		{"somebody's public addresses", stack.Settings{"SUBNET": "8.8.4"}, Error, "SUBNET", "public"},
		{"proxies", stack.Settings{"TRUSTED_PROXIES": "203.0.113.7  198.51.100.0/24 2001:db8::/32 2001:db8::1"}, OK, "", ""},
		{"a proxy on this machine", stack.Settings{"TRUSTED_PROXIES": "172.28.0.1"}, OK, "", ""},
		{"a proxy on this machine, and a door beside it", stack.Settings{"TRUSTED_PROXIES": "172.28.0.0/24", "BIND": "0.0.0.0", "SERVER_IP": "203.0.113.10"}, Warning, "TRUSTED_PROXIES", "believed like the proxy"},
		{"a proxy's name", stack.Settings{"TRUSTED_PROXIES": "proxy.example.com"}, Error, "TRUSTED_PROXIES", "neither an address"},
		{"a name of hexadecimal digits", stack.Settings{"TRUSTED_PROXIES": "cafe"}, Error, "TRUSTED_PROXIES", "neither an address"},
		{"a comma between proxies", stack.Settings{"TRUSTED_PROXIES": "203.0.113.7,203.0.113.8"}, Error, "TRUSTED_PROXIES", "separate them with spaces"},
		{"everybody as proxy", stack.Settings{"TRUSTED_PROXIES": "0.0.0.0/0"}, Error, "TRUSTED_PROXIES", "everybody"},
		{"everybody with IPv6 as proxy", stack.Settings{"TRUSTED_PROXIES": "::/0"}, Error, "TRUSTED_PROXIES", "everybody"},
		{"everybody in two halves", stack.Settings{"TRUSTED_PROXIES": "0.0.0.0/1 128.0.0.0/1"}, Error, "TRUSTED_PROXIES", "more than any proxy has"},
		{"all of the Internet with IPv6", stack.Settings{"TRUSTED_PROXIES": "2000::/3"}, Error, "TRUSTED_PROXIES", "more than any proxy has"},
		{"two of 128 parts of everybody", stack.Settings{"TRUSTED_PROXIES": "2.0.0.0/7"}, Error, "TRUSTED_PROXIES", "more than any proxy has"},
		{"the private networks", stack.Settings{"TRUSTED_PROXIES": "10.0.0.0/8 fc00::/7"}, OK, "", ""},
		{"a network with an address in it", stack.Settings{"TRUSTED_PROXIES": "10.1.2.3/8"}, Error, "TRUSTED_PROXIES", "10.0.0.0/8 is meant"},
		{"an IPv4 proxy written as IPv6", stack.Settings{"TRUSTED_PROXIES": "::ffff:10.1.2.3"}, Error, "TRUSTED_PROXIES", "write it as IPv4"},
		{"an interface behind the address", stack.Settings{"TRUSTED_PROXIES": "fe80::1%eth0"}, Error, "TRUSTED_PROXIES", "neither an address"},
		{"an end of the line of nginx.conf", stack.Settings{"TRUSTED_PROXIES": "10.1.2.3;allow all"}, Error, "TRUSTED_PROXIES", "separate them with spaces"},
		{"just outside the private range", stack.Settings{"SUBNET": "172.32.0"}, Error, "SUBNET", "public"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			settings := maps.Clone(laptop)
			maps.Copy(settings, test.change)
			got := judge(settings, here)
			if test.level == OK {
				if len(got) > 0 {
					t.Errorf("found %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Level != test.level || got[0].About != test.about || !strings.Contains(got[0].Says, test.says) || got[0].Do == "" {
				t.Errorf("found %+v, want one %s about %s that says %q and what to do", got, test.level, test.about, test.says)
			}
		})
	}
}

func TestASettingThatNothingReadsIsWarnedAbout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "compose.yaml", "services: {web: {image: none, environment: {A: '${DOMAIN:-foobar.com}', B: '${HTTP_PORT:-80}', C: '${SERVER_IP:-8.8.8.8}'}}}")
	write(t, dir, ".env", "# HTTP_PROT=1\nDOMIAN=example.org\n export SERVERIP = 203.0.113.10\nHTTP_PORT=8080\nCOMPOSE_PROJECT_NAME=mine\n\nnonsense\n")
	got, err := checkNames(t.Context(), gather(t.Context(), stack.New(dir)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Finding{
		{Warning, ".env", "nothing reads the setting DOMIAN", "did you mean DOMAIN? .env.example has them all"},
		{Warning, ".env", "nothing reads the setting SERVERIP", "did you mean SERVER_IP? .env.example has them all"},
	}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("found %+v, want %+v", got, want)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

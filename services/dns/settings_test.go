package main

import (
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	good := map[string]string{"DOMAIN": "foobar.com", "SERVER_IP": "8.8.8.8", "SUBNET": "172.28.0"}
	label63 := strings.Repeat("a", 63)
	tests := []struct{ name, value, wrong string }{ // wrong is empty for a valid value
		{"DOMAIN", "foobar.com", ""},
		{"DOMAIN", "FooBar.COM", ""},
		{"DOMAIN", "a-b.3com.co.uk", ""},
		{"DOMAIN", "xn--bcher-kva.example", ""},
		{"DOMAIN", label63 + ".com", ""},
		{"DOMAIN", "", "it is empty"},
		{"DOMAIN", "foobar", "at least two parts"},
		{"DOMAIN", "foobar.com.", "final dot"},
		{"DOMAIN", "foo..com", "nothing between two of its dots"},
		{"DOMAIN", ".foobar.com", "nothing between two of its dots"},
		{"DOMAIN", "foo_bar.com", "letters, digits and hyphens"},
		{"DOMAIN", "foobar.com/x", "letters, digits and hyphens"},
		{"DOMAIN", "foobar.com\n. {", "letters, digits and hyphens"},
		{"DOMAIN", "-foobar.com", "hyphen"},
		{"DOMAIN", "foobar-.com", "hyphen"},
		{"DOMAIN", "bücher.example", "xn--"},
		{"DOMAIN", "a" + label63 + ".com", "longer than 63"},
		{"DOMAIN", strings.Repeat(label63+".", 3) + label63[:47] + ".com", "at most 242"},
		{"DOMAIN", "10.0.0.1", "that is an address"},
		{"SERVER_IP", "203.0.113.10", ""},
		{"SERVER_IP", "127.0.0.1", ""},
		{"SERVER_IP", "", "not an IPv4 address"},
		{"SERVER_IP", "8.8.8", "not an IPv4 address"},
		{"SERVER_IP", "8.8.8.256", "not an IPv4 address"},
		{"SERVER_IP", "08.8.8.8", "not an IPv4 address"},
		{"SERVER_IP", "8.8.8.8/32", "not an IPv4 address"},
		{"SERVER_IP", "foobar.com", "not an IPv4 address"},
		{"SERVER_IP", "2001:db8::1", "IPv6"},
		{"SERVER_IP", "0.0.0.0", "no server can have"},
		{"SERVER_IP", "224.0.0.1", "no server can have"},
		{"SERVER_IP", "255.255.255.255", "no server can have"},
		{"SUBNET", "10.1.2", ""},
		{"SUBNET", "", "first three numbers"},
		{"SUBNET", "172.28", "first three numbers"},
		{"SUBNET", "172.28.0.0", "first three numbers"},
		{"SUBNET", "172.28.0.0/24", "first three numbers"},
		{"SUBNET", "172.28.256", "first three numbers"},
		{"SUBNET", "172.28.0') || true || ('", "first three numbers"},
	}
	for _, test := range tests {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Parallel()
			s, err := readSettings(func(name string) string {
				if name == test.name {
					return test.value
				}
				return good[name]
			})
			switch {
			case test.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.wrong == "" && s.domain != strings.ToLower(s.domain):
				t.Errorf("the domain is %q, not in lower case", s.domain)
			case test.wrong != "" && err == nil:
				t.Errorf("accepted as %+v", s)
			case test.wrong != "" && (!strings.Contains(err.Error(), test.wrong) || !strings.Contains(err.Error(), "write for example "+test.name+"=") || strings.Contains(err.Error(), "\n")):
				t.Errorf("said %q; want one line with %q and what to write", err, test.wrong)
			}
		})
	}
}

func TestEverySettingThatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	_, err := readSettings(func(string) string { return "" })
	for _, name := range []string{"DOMAIN", "SERVER_IP", "SUBNET"} {
		if err == nil || !strings.Contains(err.Error(), name+`=""`) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

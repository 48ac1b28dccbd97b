package zonefile

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/miekg/dns"
)

const sound = `$TTL 300
@ 60 IN SOA ns1 hostmaster ( {$SERIAL} 3600 600 604800 60 )
@    IN NS  ns1
ns1  IN A   {$DNS}
`

func TestSerialAndVariablesAreFilledIn(t *testing.T) {
	t.Parallel()
	z := &Zonefile{origin: "foobar.com.", path: "site.zone", values: map[string]string{"DNS": "192.0.2.53"}}
	tests := []struct {
		serial int64
		want   uint32
	}{{1795400000, 1795400000}, {1 << 32, 0}}
	for _, test := range tests {
		zone, err := z.parse(sound, test.serial)
		if err != nil {
			t.Fatal(err)
		}
		if zone.SOA.Serial != test.want {
			t.Errorf("serial %d, want %d", zone.SOA.Serial, test.want)
		}
		elem, found := zone.Search("ns1.foobar.com.")
		if !found {
			t.Fatal("ns1 is not there")
		}
		if got := elem.Type(dns.TypeA)[0].(*dns.A).A.String(); got != "192.0.2.53" {
			t.Errorf("ns1 has %s", got)
		}
	}
}

// A value or the Corefile can change while the file does not, and the time of the file would hide that change.
func TestSerialIsTheTimeOfReading(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/site.zone"
	if err := os.WriteFile(path, []byte(sound), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	z := &Zonefile{origin: "foobar.com.", path: path, values: map[string]string{"DNS": "192.0.2.53"}}
	before := time.Now().Unix()
	if err := z.load(); err != nil {
		t.Fatal(err)
	}
	if serial := int64(z.zone.Load().SOA.Serial); serial < before || serial > time.Now().Unix() {
		t.Errorf("read at %d, the serial is %d", before, serial)
	}
}

func TestWrongZonesAreRefused(t *testing.T) {
	t.Parallel()
	z := &Zonefile{origin: "foobar.com.", path: "site.zone", values: map[string]string{"DNS": "192.0.2.53"}}
	tests := []struct{ name, text, reason string }{
		{"not a zone", "hello\n", "failed to parse"},
		{"empty", "", "no SOA"},
		{"cut short", strings.SplitAfter(sound, "hostmaster (")[0], "failed to parse"},
		{"a wrong address", sound + "new A 1.2.3\n", `bad A A: "1.2.3" at line: 5`},
		{"a variable without a value", sound + "new A {$NOWHERE}\n", "{$NOWHERE}"},
		{"no name server", strings.ReplaceAll(sound, "IN NS ", "IN TXT"), "no NS record"},
		{"a SOA of another zone", strings.ReplaceAll(sound, "@ 60", "example.com. 60"), "does not match origin"},
		{"a name of another zone", sound + "www.example.com. CNAME @\n", "www.example.com. is not in foobar.com."},
		{"a CNAME beside an address", sound + "ns1 CNAME @\n", "ns1.foobar.com. has a CNAME record and others"},
		{"two CNAMEs of a name", sound + "www CNAME @\nwww CNAME ns1\n", "www.foobar.com. has a CNAME record and others"},
		{"an alias of the domain itself", sound + "@ CNAME www.example.com.\n", "foobar.com. has a CNAME record and others"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := z.parse(test.text, 1); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%v; want an error with %q", err, test.reason)
			}
		})
	}
}

func TestDirectiveSyntax(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/site.zone"
	if err := os.WriteFile(path, []byte(sound), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		zones      []string
		reason     string // empty if the directive is right
	}{
		{"a file with its variables", "zonefile " + path + " {\n DNS 192.0.2.53\n}", []string{"foobar.com."}, ""},
		{"a variable too few", "zonefile " + path, []string{"foobar.com."}, "{$DNS}"},
		{"no file", "zonefile", []string{"foobar.com."}, "Wrong argument count"},
		{"two files", "zonefile a b", []string{"foobar.com."}, "Wrong argument count"},
		{"a file that is not there", "zonefile " + path + "x", []string{"foobar.com."}, "no such file"},
		{"a variable without a value", "zonefile " + path + " {\n DNS\n}", []string{"foobar.com."}, "Wrong argument count"},
		{"twice", "zonefile " + path + "\nzonefile " + path, []string{"foobar.com."}, "only be used once"},
		{"two zones", "zonefile " + path, []string{"foobar.com.", "example.com."}, "one zone"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := caddy.NewTestController("dns", test.text)
			c.ServerBlockKeys = test.zones
			err := setup(c)
			if test.reason == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)) {
				t.Errorf("%v; want an error with %q", err, test.reason)
			}
		})
	}
}

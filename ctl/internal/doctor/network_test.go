package doctor

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

func TestASubnetInUseIsRefusedAndAFreeOneNamed(t *testing.T) {
	t.Parallel()
	use := func(prefix, by, rid string, level Level) inUsePrefix {
		return inUsePrefix{netip.MustParsePrefix(prefix), by, rid, level}
	}
	docker0 := use("172.17.0.0/16", "the Docker network bridge", "", Error)
	tests := []struct {
		name       string
		used       []inUsePrefix
		level      Level
		says, does string
	}{
		{"nothing in the way", []inUsePrefix{docker0, use("192.168.1.0/24", "wlan0", "", Error)}, OK, "collides with nothing", ""},
		{"another Docker network", []inUsePrefix{docker0, use("172.28.0.0/16", "the Docker network shop_default", "docker network rm shop_default", Error)},
			Error, "172.28.0.0/16 (the Docker network shop_default)", "write SUBNET=172.29.10 in .env, which is free here, or: docker network rm shop_default"},
		{"the network around this machine", []inUsePrefix{use("172.16.0.0/12", "this machine's interface wlan0", "disconnect wlan0", Error)},
			Error, "wlan0", "SUBNET=10.77.10"},
		{"a narrow route of a VPN", []inUsePrefix{use("172.28.0.128/25", "this machine's route through tun0", "disconnect tun0", Error)},
			Error, "tun0", "SUBNET=172.28.10"},
		{"a VPN that takes every private address", []inUsePrefix{
			use("10.0.0.0/8", "tun0", "disconnect tun0", Warning), use("172.16.0.0/12", "tun0", "disconnect tun0", Warning), use("192.168.0.0/16", "tun0", "disconnect tun0", Warning)},
			Warning, "172.16.0.0/12", "disconnect tun0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := judgeSubnet(netip.MustParsePrefix("172.28.0.0/24"), test.used)
			if len(got) != 1 || got[0].Level != test.level || !strings.Contains(got[0].Says, test.says) || !strings.Contains(got[0].Do, test.does) {
				t.Errorf("found %+v, want one %s that says %q and %q", got, test.level, test.says, test.does)
			}
		})
	}
}

func TestARouteIsRead(t *testing.T) {
	t.Parallel()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the lines below are of a little-endian machine")
	}
	tests := []struct{ line, prefix, through string }{
		{"tun0\t00001CAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0", "172.28.0.0/24", "tun0"},
		{"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0", "0.0.0.0/0", "eth0"},
		{"wg0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0", "10.0.0.0/8", "wg0"},
		{"wg0\t0100000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0", "10.0.0.1/32", "wg0"},
	}
	for _, test := range tests {
		prefix, through, err := parseRoute(test.line)
		if err != nil || prefix.String() != test.prefix || through != test.through {
			t.Errorf("%q is read as %s through %s, %v; want %s through %s", test.line, prefix, through, err, test.prefix, test.through)
		}
	}
	for _, line := range []string{"", "eth0 00000000", "eth0 xyz 0 0 0 0 0 00FFFFFF", "eth0 00 0 0 0 0 0 00"} {
		if prefix, _, err := parseRoute(line); err == nil {
			t.Errorf("%q is read as %s", line, prefix)
		}
	}
}

func TestHiddenVisitorsAreSaid(t *testing.T) {
	t.Parallel()
	const rootless, desktop, plain = "name=rootless", "Docker Desktop", ""
	tests := []struct {
		name, engine, bind, proxies string
		level                       Level
	}{
		{"an ordinary server", plain, "0.0.0.0", "", OK},
		{"a server behind a load balancer", plain, "0.0.0.0", "203.0.113.7", OK},
		{"a laptop with Docker Desktop", desktop, "127.0.0.1", "", OK},
		{"Docker Desktop, open to others", desktop, "0.0.0.0", "", Warning},
		{"an engine without root, on this machine", rootless, "127.0.0.1", "", OK},
		{"an engine without root, open to others", rootless, "192.0.2.1", "", Warning},
		{"an engine without root, and a proxy whose address it hides", rootless, "0.0.0.0", "203.0.113.7", Warning},
		{"an engine without root, behind the machine's own proxy", rootless, "127.0.0.1", "172.28.0.1", OK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var info engine
			info.OperatingSystem, info.SecurityOptions = test.engine, []string{"name=seccomp,profile=builtin", test.engine}
			proxies, err := parseProxies(test.proxies)
			if err != nil {
				t.Fatal(err)
			}
			got := judgeVisitors(netip.MustParseAddr(test.bind), netip.MustParseAddr("172.28.0.1"), proxies, info.hidesAddresses())
			if got.Level != test.level || (got.Do != "") != (test.level == Warning) {
				t.Errorf("found %+v, want a %s", got, test.level)
			}
		})
	}
}

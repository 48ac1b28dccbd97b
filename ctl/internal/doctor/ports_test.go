package doctor

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

func TestAContainerIsFoundByThePortsItPublishes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		inside  string // the port in the container
		outside string // the address that it is published on
		network string
		address string
		found   bool
	}{
		{"the same address", "80/tcp", "127.0.0.1:80", "tcp", "127.0.0.1:80", true},
		{"every address", "8080/tcp", "0.0.0.0:80", "tcp", "127.0.0.1:80", true},
		{"every IPv6 address takes IPv4 too", "80/tcp", "[::]:80", "tcp", "127.0.0.1:80", true},
		{"one address where all are wanted", "80/tcp", "127.0.0.1:80", "tcp", "0.0.0.0:80", true},
		{"another address", "80/tcp", "192.168.1.5:80", "tcp", "127.0.0.1:80", false},
		{"another protocol", "53/udp", "127.0.0.1:1053", "tcp", "127.0.0.1:1053", false},
		{"another port", "80/tcp", "127.0.0.1:8080", "tcp", "127.0.0.1:80", false},
		{"exposed and not published", "80/tcp", "", "tcp", "127.0.0.1:80", false},
		{"an IPv6 address", "80/tcp", "[::1]:80", "tcp", "127.0.0.1:80", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			shop := docker.Container{Name: "/shop"}
			shop.NetworkSettings.Ports = map[string][]struct{ HostIP, HostPort string }{"443/tcp": nil, test.inside: nil}
			if ip, port, err := net.SplitHostPort(test.outside); err == nil {
				shop.NetworkSettings.Ports[test.inside] = []struct{ HostIP, HostPort string }{{ip, port}}
			}
			port := published{"HTTP_PORT", test.network, netip.MustParseAddrPort(test.address)}
			got, found := containerOn(port, []docker.Container{{Name: "/silent"}, shop})
			if found != test.found || found && got.Title() != "shop" {
				t.Errorf("%s %s where %s is at %q: found %q, %t; want %t", test.network, test.address, test.inside, test.outside, got.Name, found, test.found)
			}
		})
	}
}

func TestAnEngineWithoutRootGetsNoLowPort(t *testing.T) {
	t.Parallel()
	got := lowPorts(stack.Settings{"HTTP_PORT": "80", "HTTPS_PORT": "8443", "DNS_PORT": "1053"}, 1024)
	want := "write HTTP_PORT=8080 in .env, or allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=80"
	if len(got) != 1 || got[0].Level != Error || got[0].About != "HTTP_PORT" || got[0].Do != want {
		t.Errorf("found %+v, want one error about HTTP_PORT and %q", got, want)
	}
	if got := lowPorts(stack.Settings{"HTTP_PORT": "80", "HTTPS_PORT": "443", "DNS_PORT": "1053"}, 80); len(got) > 0 {
		t.Errorf("with port 80 allowed, found %+v", got)
	}
}

// Nothing listens on these ports, as when the engine's proxy for a port has ended. If a container is not healthy, that
// explains the silence, and its ports are not reported.
func TestADeadPortIsToldWhereItsContainerIsHealthy(t *testing.T) {
	t.Parallel()
	settings := stack.Settings{"BIND": "127.0.0.1", "DOMAIN": "foobar.com", "HTTP_PORT": quietPort(t), "HTTPS_PORT": "7", "DNS_PORT": "9"} // 7 is echo, 9 is discard
	container := func(name, health string) docker.Container {
		one := docker.Container{Name: name}
		one.State.Status = "running"
		one.State.Health = &struct {
			Status string
			Log    []struct{ Output string }
		}{Status: health}
		return one
	}
	const healthy, starting = "healthy", "starting"
	for _, test := range []struct {
		web, dns string
		about    []string
	}{
		{healthy, healthy, []string{"HTTP_PORT", "HTTPS_PORT", "DNS_PORT", "DNS_PORT"}}, // over UDP and over TCP
		{healthy, starting, []string{"HTTP_PORT", "HTTPS_PORT"}},
		{starting, starting, nil},
	} {
		found, err := unanswered(t.Context(), settings, map[string]docker.Container{"web": container("web", test.web), "dns": container("dns", test.dns)})
		var about []string
		for _, finding := range found {
			about = append(about, finding.About)
			if finding.Level != Warning || !strings.Contains(finding.Says, "connection refused") || !strings.Contains(finding.Do, "make up") {
				t.Errorf("found %+v, want a warning that says connection refused and make up", finding)
			}
		}
		if err != nil || !slices.Equal(about, test.about) {
			t.Errorf("with web %s and dns %s: %v, found something about %q, want %q", test.web, test.dns, err, about, test.about)
		}
	}
}

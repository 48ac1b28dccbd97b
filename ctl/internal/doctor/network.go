package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
)

// inUsePrefix is a range of addresses that is already in use.
type inUsePrefix struct {
	prefix netip.Prefix
	by     string // what uses it, in words
	rid    string // how to get rid of it; empty if that is impossible
	level  Level  // the level of a finding about an overlap with it
}

func checkNetwork(_ context.Context, f *facts) ([]Finding, error) {
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	subnet, err := parseSubnet(settings["SUBNET"])
	if err != nil {
		return nil, fmt.Errorf("%w: needs a valid SUBNET", errUnknown)
	}
	networks, err := f.networks()
	if err != nil {
		return nil, err
	}
	var used []inUsePrefix
	ofDocker := map[netip.Prefix]bool{} // their bridges are also interfaces and routes of this machine, but are reported only once
	for _, network := range networks {
		for _, config := range network.IPAM.Config {
			prefix, err := netip.ParsePrefix(config.Subnet)
			if err != nil {
				continue // an engine may leave it empty
			}
			ofDocker[prefix.Masked()] = true
			project := network.Labels["com.docker.compose.project"]
			if project == f.projectName() {
				continue
			}
			by := "the Docker network " + network.Name
			if project != "" {
				by += " of the Compose project " + project
			}
			rid := "docker network rm " + network.Name + " if nobody needs it"
			if network.Name == "bridge" { // the engine's own network
				rid = ""
			}
			used = append(used, inUsePrefix{prefix.Masked(), by, rid, Error})
		}
	}
	info, err := f.engine()
	if err != nil {
		return nil, err
	}
	if local, err := f.local(); err == nil && local && !info.inVM() {
		host, err := hostPrefixes()
		if err != nil {
			return nil, err
		}
		for _, one := range host {
			if !ofDocker[one.prefix] {
				used = append(used, one)
			}
		}
	}
	return judgeSubnet(subnet, used), nil
}

// checkVisitors reports if every visitor seems to come from the gateway of the stack's network. Limits for each address then
// cannot protect visitors from one another.
func checkVisitors(_ context.Context, f *facts) ([]Finding, error) {
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	bind, err := netip.ParseAddr(settings["BIND"])
	if err != nil {
		return nil, fmt.Errorf("%w: needs a valid BIND", errUnknown)
	}
	proxies, err := parseProxies(settings["TRUSTED_PROXIES"])
	if err != nil {
		return nil, fmt.Errorf("%w: needs valid TRUSTED_PROXIES", errUnknown)
	}
	subnet, err := parseSubnet(settings["SUBNET"])
	if err != nil {
		return nil, fmt.Errorf("%w: needs a valid SUBNET", errUnknown)
	}
	info, err := f.engine()
	if err != nil {
		return nil, err
	}
	return []Finding{judgeVisitors(bind, subnet.Addr().Next(), proxies, info.hidesAddresses())}, nil
}

// judgeVisitors returns the finding of checkVisitors. hides is why the engine hides addresses behind the gateway; empty if
// it does not.
func judgeVisitors(bind, gateway netip.Addr, proxies []netip.Prefix, hides string) Finding {
	named := slices.ContainsFunc(proxies, func(proxy netip.Prefix) bool { return proxy.Contains(gateway) })
	switch {
	case hides != "" && !bind.IsLoopback() && !named:
		return Finding{Warning, "visitors", fmt.Sprintf("%s: all seem to come from %s, so limits for each address are off; those for each account and for the whole site hold", hides, gateway),
			fmt.Sprintf("put a proxy on this machine before the site, and write BIND=127.0.0.1 and TRUSTED_PROXIES=%s in .env (docs/security.md, Trusted proxy)", gateway)}
	case len(proxies) > 0:
		return Finding{OK, "visitors", "have the addresses that the trusted proxies tell", ""}
	case bind.IsLoopback():
		return Finding{OK, "visitors", "come from this machine only", ""}
	}
	return Finding{OK, "visitors", "their addresses can be seen, unless this engine has \"iptables\": false", ""}
}

// judgeSubnet reports what the stack's network would collide with, and suggests a free one.
func judgeSubnet(subnet netip.Prefix, used []inUsePrefix) []Finding {
	var findings []Finding
	for _, other := range used {
		if !other.prefix.Overlaps(subnet) {
			continue
		}
		var ways []string
		if free, found := freeSubnet(used); found {
			ways = append(ways, "write SUBNET="+free+" in .env, which is free here")
		}
		if other.rid != "" {
			ways = append(ways, other.rid)
		}
		findings = append(findings, Finding{other.level, "SUBNET", fmt.Sprintf("%s overlaps %s (%s)", subnet, other.prefix, other.by), strings.Join(ways, ", or: ")})
	}
	if len(findings) == 0 {
		return []Finding{{OK, "network", subnet.String() + " collides with nothing", ""}}
	}
	return findings
}

// freeSubnet returns the first three numbers of a private /24 that nothing uses.
func freeSubnet(used []inUsePrefix) (string, bool) {
	for _, block := range []string{"172.28", "172.29", "172.30", "172.31", "10.77", "192.168"} {
		for third := 10; third < 256; third += 10 {
			first := fmt.Sprintf("%s.%d", block, third)
			candidate := netip.MustParsePrefix(first + ".0/24")
			taken := false
			for _, other := range used {
				taken = taken || other.prefix.Overlaps(candidate)
			}
			if !taken {
				return first, true
			}
		}
	}
	return "", false
}

// hostPrefixes returns the networks that this machine's interfaces and, on Linux, its routes lead to. A VPN shows as one or
// both.
func hostPrefixes() ([]inUsePrefix, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var used []inUsePrefix
	seen := map[netip.Prefix]bool{}
	for _, one := range interfaces {
		if one.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := one.Addrs()
		if err != nil {
			continue // the interface has disappeared since
		}
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			if err != nil || !prefix.Addr().Is4() {
				continue
			}
			seen[prefix.Masked()] = true
			used = append(used, inUsePrefix{prefix.Masked(), "this machine's interface " + one.Name, "disconnect " + one.Name, Error})
		}
	}
	if runtime.GOOS != "linux" {
		return used, nil
	}
	file, err := os.Open("/proc/net/route")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Scan() // the heading
	for lines.Scan() {
		prefix, through, err := parseRoute(lines.Text())
		if err != nil {
			return nil, err
		}
		if prefix.Bits() == 0 || seen[prefix] { // the default route leads everywhere and collides with nothing
			continue
		}
		// A wide route keeps working for all but the stack's own addresses.
		level := Error
		if prefix.Bits() < 24 {
			level = Warning
		}
		used = append(used, inUsePrefix{prefix, "this machine's route through " + through, "disconnect " + through, level})
	}
	return used, lines.Err()
}

// parseRoute reads a line of /proc/net/route (proc_net(5)): the first field is the interface, the second the destination and
// the eighth the mask. The last two are four bytes each, in hexadecimal, as the processor stores them.
func parseRoute(line string) (netip.Prefix, string, error) {
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return netip.Prefix{}, "", fmt.Errorf("/proc/net/route: %q has too few fields", line)
	}
	destination, err := hex.DecodeString(fields[1])
	mask, errMask := hex.DecodeString(fields[7])
	if err := errors.Join(err, errMask); err != nil || len(destination) != 4 || len(mask) != 4 {
		return netip.Prefix{}, "", fmt.Errorf("/proc/net/route: %q: %w", line, errors.Join(err, errors.New("not an address and a mask")))
	}
	var address, ones [4]byte
	binary.NativeEndian.PutUint32(address[:], binary.BigEndian.Uint32(destination))
	binary.NativeEndian.PutUint32(ones[:], binary.BigEndian.Uint32(mask))
	bits, _ := net.IPMask(ones[:]).Size()
	return netip.PrefixFrom(netip.AddrFrom4(address), bits), fields[0], nil
}

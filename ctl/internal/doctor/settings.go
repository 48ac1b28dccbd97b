package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"oneserver/ctl/internal/stack"
)

func checkSettings(_ context.Context, f *facts) ([]Finding, error) {
	settings, err := f.settings()
	var refused refusal
	switch {
	case errors.As(err, &refused):
		return []Finding{{Error, "settings", "Compose cannot read them: " + oneLine(refused.why.Error()), "put .env right, or remove it: no setting is needed"}}, nil
	case err != nil:
		return nil, err
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var here []netip.Addr
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			here = append(here, prefix.Addr())
		}
	}
	if local, err := f.local(); err == nil && !local {
		here = nil // BIND is an address of the engine's machine
	}
	findings := judge(settings, here)
	if len(findings) == 0 {
		findings = []Finding{{OK, "settings", fmt.Sprintf("%s at %s, HTTP on %s:%s, HTTPS on %[3]s:%[5]s, DNS on %[3]s:%[6]s", settings["DOMAIN"],
			settings["SERVER_IP"], settings["BIND"], settings["HTTP_PORT"], settings["HTTPS_PORT"], settings["DNS_PORT"]), ""}}
	}
	return findings, nil
}

// judge returns findings about the settings. here lists this machine's addresses; it is nil if they are not known.
func judge(settings stack.Settings, here []netip.Addr) []Finding {
	var findings []Finding
	report := func(level Level, name, says, do string) {
		findings = append(findings, Finding{level, name, fmt.Sprintf("%s=%s: %s", name, settings[name], says), do})
	}
	if err := checkDomain(settings["DOMAIN"]); err != nil {
		report(Error, "DOMAIN", err.Error(), "write for example DOMAIN=foobar.com in .env")
	} else if strings.HasPrefix(settings["DOMAIN"], "www.") {
		report(Warning, "DOMAIN", "the site is then www."+settings["DOMAIN"], "leave www. out: the stack adds it")
	}

	loopback := true // no warning if this is unknown
	switch bind, err := netip.ParseAddr(settings["BIND"]); {
	case err != nil || !bind.Is4():
		report(Error, "BIND", "that is not an IPv4 address", "write BIND=127.0.0.1 in .env for this machine only, BIND=0.0.0.0 for everybody")
	case !bind.IsUnspecified() && !bind.IsLoopback() && here != nil && !slices.Contains(here, bind):
		report(Error, "BIND", "this machine does not have that address", "write one that it has, or 0.0.0.0 for all of them, in .env")
	default:
		loopback = bind.IsLoopback()
	}

	switch ip, err := netip.ParseAddr(settings["SERVER_IP"]); {
	case err != nil || !ip.Is4():
		report(Error, "SERVER_IP", "that is not an IPv4 address", "write for example SERVER_IP=203.0.113.10 in .env")
	case ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		report(Error, "SERVER_IP", "no server can have that address", "write for example SERVER_IP=203.0.113.10 in .env")
	case settings["SERVER_IP"] == "8.8.8.8" && !loopback:
		report(Warning, "SERVER_IP", "others can reach this server (BIND="+settings["BIND"]+"), and are told that it is somewhere else",
			"write the server's public address as SERVER_IP in .env")
	case ip.IsLoopback() && !loopback:
		report(Warning, "SERVER_IP", "others are told to look on their own machines", "write the server's public address as SERVER_IP in .env")
	}

	for _, name := range []string{"POSTS_PER_ACCOUNT", "WRITES_A_DAY", "TEXT_A_DAY", "ACCOUNTS_A_DAY", "DISK_RESERVE"} {
		const most = 1_000_000 // the application's own limit
		n, err := strconv.Atoi(settings[name])
		switch {
		case err != nil || n < 0 || n > most:
			report(Error, name, fmt.Sprintf("that is not a number from 0 to %d", most), ".env.example says what it is for; leave it out for the default")
		case n == 0 && !loopback:
			report(Warning, name, "others can reach this server (BIND="+settings["BIND"]+"), and what they make it keep has no bound", "leave it out of .env for the default")
		}
	}

	portsValid := true
	for _, name := range []string{"HTTP_PORT", "HTTPS_PORT", "DNS_PORT"} {
		if port, err := strconv.ParseUint(settings[name], 10, 16); err != nil || port == 0 {
			portsValid = false
			report(Error, name, "that is not a port, a number from 1 to 65535", "write for example "+name+"="+fallback[name]+" in .env")
		}
	}
	for _, pair := range [][2]string{{"HTTP_PORT", "DNS_PORT"}, {"HTTPS_PORT", "DNS_PORT"}, {"HTTP_PORT", "HTTPS_PORT"}} {
		if portsValid && settings[pair[0]] == settings[pair[1]] {
			report(Error, pair[0], pair[1]+" is the same, and each needs TCP", "give each its own port in .env")
		}
	}

	if subnet, err := parseSubnet(settings["SUBNET"]); err != nil {
		report(Error, "SUBNET", err.Error(), "write for example SUBNET=172.28.0 in .env")
	} else if !subnet.Addr().IsPrivate() {
		report(Error, "SUBNET", "those are public addresses, and their owners could not be reached any more",
			"write one from 10.0.0 to 10.255.255, 172.16.0 to 172.31.255 or 192.168.0 to 192.168.255 in .env")
	} else if ip, err := netip.ParseAddr(settings["SERVER_IP"]); err == nil && subnet.Contains(ip) {
		report(Error, "SERVER_IP", "that address is inside the containers' own network", "write the server's public address as SERVER_IP in .env")
	}

	proxies, err := parseProxies(settings["TRUSTED_PROXIES"])
	if err != nil {
		report(Error, "TRUSTED_PROXIES", err.Error(), `write for example TRUSTED_PROXIES="203.0.113.7 2001:db8::/32" in .env`)
	} else if gateway, err := netip.ParseAddr(settings["SUBNET"] + ".1"); err == nil && !loopback &&
		slices.ContainsFunc(proxies, func(proxy netip.Prefix) bool { return proxy.Contains(gateway) }) {
		report(Warning, "TRUSTED_PROXIES", "whoever reaches "+settings["BIND"]+" from this machine, or on some engines from anywhere, is believed like the proxy",
			"write BIND=127.0.0.1 in .env: a proxy on this machine reaches the site there")
	}
	return findings
}

// parseProxies reads addresses and networks, separated by spaces. services/web-init/trusted-proxies.sh and Nginx refuse the
// same values, and web then does not start.
func parseProxies(text string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for word := range strings.FieldsSeq(text) {
		proxy, err := netip.ParsePrefix(word)
		if address, failed := netip.ParseAddr(word); failed == nil && address.Zone() == "" {
			proxy, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		switch {
		case strings.ContainsAny(word, ",;"):
			return nil, fmt.Errorf("%s has a comma or a semicolon in it: separate them with spaces", word)
		case err != nil:
			return nil, fmt.Errorf("%s is neither an address nor a network", word)
		case proxy.Bits() == 0:
			return nil, fmt.Errorf("%s is everybody", word)
		case proxy.Bits() < 7 || proxy.Addr().Is4() && proxy.Bits() < 8: // fc00::/7 and 10.0.0.0/8 are private networks
			return nil, fmt.Errorf("%s is more than any proxy has, and two such can be everybody", word)
		case proxy.Addr().Is4In6():
			return nil, fmt.Errorf("%s is an IPv4 address in the form of IPv6: write it as IPv4", word)
		case proxy != proxy.Masked():
			return nil, fmt.Errorf("%s has an address where a network is expected: %s is meant, or the address alone", word, proxy.Masked())
		}
		proxies = append(proxies, proxy)
	}
	return proxies, nil
}

// fallback holds the port to try for each setting if its default is taken.
var fallback = map[string]string{"HTTP_PORT": "8080", "HTTPS_PORT": "8443", "DNS_PORT": "1053"}

// checkDomain accepts a host name of at least two labels: letters, digits and hyphens (RFC 1123, section 2.1), each label at
// most 63 octets (RFC 1035, section 2.3.4). The dns service has the same rule, and both are tested against one table,
// services/dns/testdata/domains.txt.
func checkDomain(name string) error {
	const room = 253 - len("hostmaster.") // hostmaster is the longest label that the zone puts before the domain
	name = strings.ToLower(name)
	switch {
	case name == "":
		return errors.New("it is empty")
	case strings.HasSuffix(name, "."):
		return errors.New("leave out the final dot")
	case len(name) > room:
		return fmt.Errorf("it is %d characters long, and with hostmaster. before it at most %d fit", len(name), room)
	}
	labels := strings.Split(name, ".")
	if len(labels) < 2 {
		return errors.New("a domain has at least two parts with a dot between them")
	}
	for _, label := range labels {
		bad := strings.IndexFunc(label, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
		switch {
		case label == "":
			return errors.New("there is nothing between two of its dots")
		case len(label) > 63:
			return fmt.Errorf("its part %q is longer than 63 characters", label)
		case bad >= 0 && label[bad] >= 0x80:
			return fmt.Errorf("its part %q has letters beyond ASCII: write the A-label, the form that begins with xn--", label)
		case bad >= 0:
			return fmt.Errorf("its part %q has a character other than letters, digits and hyphens", label)
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("its part %q begins or ends with a hyphen", label)
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return errors.New("its last part is a number: that is an address, not a domain")
	}
	return nil
}

// parseSubnet parses the first three numbers of a network and returns its /24.
func parseSubnet(text string) (netip.Prefix, error) {
	address, err := netip.ParseAddr(text + ".0")
	if err != nil || !address.Is4() {
		return netip.Prefix{}, errors.New("give the first three numbers of a network, without the rest")
	}
	return netip.PrefixFrom(address, 24), nil
}

// checkNames looks in .env for settings that nothing reads: a misspelt name would otherwise be silently ignored. It reads
// only the names; the values come from Compose.
func checkNames(_ context.Context, f *facts) ([]Finding, error) {
	file, err := os.Open(filepath.Join(f.stack.Dir, ".env"))
	if errors.Is(err, os.ErrNotExist) {
		return []Finding{{OK, ".env", "not there, the defaults hold", ""}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	known, err := f.stack.Defaults()
	if err != nil {
		return nil, err
	}
	var findings []Finding
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export ")
		name, _, isSetting := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		_, isKnown := known[name]
		toCompose := strings.HasPrefix(name, "COMPOSE_") || strings.HasPrefix(name, "DOCKER_") || strings.HasPrefix(name, "BUILDKIT_")
		if !isSetting || strings.HasPrefix(name, "#") || isKnown || toCompose {
			continue
		}
		findings = append(findings, Finding{Warning, ".env", "nothing reads the setting " + name, "did you mean " + nearest(name, known) + "? .env.example has them all"})
	}
	if len(findings) == 0 {
		findings = []Finding{{OK, ".env", "every setting in it is known", ""}}
	}
	return findings, lines.Err()
}

// nearest returns the known name that takes the fewest edits to reach.
func nearest(name string, known stack.Settings) string {
	best, least := "", 0
	for candidate := range known {
		if edits := editDistance(strings.ToUpper(name), candidate); best == "" || edits < least || edits == least && candidate < best {
			best, least = candidate, edits
		}
	}
	return best
}

// editDistance returns Levenshtein's distance: the number of insertions, deletions and replacements that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// checkProject checks that Compose accepts compose.yaml. It leaves complaints about settings to checkSettings, which knows
// more.
func checkProject(_ context.Context, f *facts) ([]Finding, error) {
	_, err := f.project()
	var refused refusal
	switch {
	case err == nil:
		return []Finding{{OK, "compose.yaml", "Compose can read it", ""}}, nil
	case !errors.As(err, &refused):
		return nil, err
	}
	if settings, err := f.settings(); err != nil || Verdict(judge(settings, nil)) != nil {
		return nil, fmt.Errorf("%w: needs valid settings", errUnknown)
	}
	return []Finding{{Error, "compose.yaml", oneLine(refused.why.Error()), "put it right; git diff compose.yaml shows what was changed in it"}}, nil
}

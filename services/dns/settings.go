package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// settings describe the site, as read from the environment. They are checked here first, because the Corefile reads the
// same variables itself.
type settings struct {
	domain   string     // lower case, without the final dot
	serverIP netip.Addr // IPv4
	subnet   string     // the first three numbers of the stack's own /24 network
}

// readSettings reads and checks the settings. Its error is one line that names each wrong setting and says what to
// write instead.
func readSettings(getenv func(string) string) (settings, error) {
	s := settings{domain: strings.ToLower(getenv("DOMAIN")), subnet: getenv("SUBNET")}
	var wrong []string
	report := func(name, example string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s=%q: %v; write for example %s=%s in .env", name, getenv(name), err, name, example))
		}
	}
	report("DOMAIN", "foobar.com", checkDomain(s.domain))
	var err error
	s.serverIP, err = parseServerIP(getenv("SERVER_IP"))
	report("SERVER_IP", "203.0.113.10", err)
	report("SUBNET", "172.28.0", checkSubnet(s.subnet))
	if len(wrong) > 0 {
		return settings{}, errors.New(strings.Join(wrong, " | "))
	}
	return s, nil
}

// checkDomain accepts a host name of at least two labels: letters, digits and hyphens (RFC 1123, section 2.1),
// each label at most 63 octets (RFC 1035, section 2.3.4).
func checkDomain(name string) error {
	const room = 253 - len("hostmaster.") // hostmaster is the longest label that the zone puts before the domain
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
		bad := strings.IndexFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
		})
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

// parseServerIP accepts any IPv4 address that a server can have.
func parseServerIP(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, errors.New("that is not an IPv4 address")
	case !ip.Is4():
		return netip.Addr{}, errors.New("that is an IPv6 address, and only an A record (IPv4) is served so far")
	case ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return netip.Addr{}, errors.New("no server can have that address")
	}
	return ip, nil
}

func checkSubnet(text string) error {
	if ip, err := netip.ParseAddr(text + ".0"); err != nil || !ip.Is4() {
		return errors.New("give the first three numbers of the network, without the rest")
	}
	return nil
}

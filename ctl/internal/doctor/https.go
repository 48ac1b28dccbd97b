package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// oldestNginx is the first version without CVE-2026-95101 (HTTP/3 bypasses client_max_body_size) and CVE-2026-97629.
const oldestNginx = "1.30.6"

// checkHTTPS checks that visitors, if others can reach this server, get a certificate that they trust, and that a public
// authority, if one is set, could issue it.
func checkHTTPS(ctx context.Context, f *facts) ([]Finding, error) {
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	findings := judgeHTTPS(settings)
	if settings["ACME"] != "" {
		findings = append(findings, leadsHere(ctx, settings, net.DefaultResolver)...)
	}
	running, err := f.running()
	if err != nil {
		return findings, err
	}
	certs, is := running["certs"]
	failing := is && certs.State.Health != nil && certs.State.Health.Status == "unhealthy"
	if failing {
		says, do, split := strings.Cut(lastHealth(certs), " -> ") // certs writes the remedy after it
		if !split {
			do = "docker compose logs certs shows more"
		}
		findings = append(findings, Finding{Warning, "HTTPS", says, do})
	}
	var failed error
	if web, is := running["web"]; is {
		var out string
		out, failed = f.stack.Output(ctx, "exec", web.ID, "sh", "-c", "nginx -v 2>&1") // web may be starting again
		findings = append(findings, judgeNginx(out)...)
		if leaf, err := shownCertificate(ctx, settings); err == nil { // other checks report what keeps it from being shown
			awaited := settings["ACME"] != "" && !failing // if certs is failing, its own message has the reason
			findings = append(findings, judgeCertificate(leaf, awaited, time.Now())...)
		}
	}
	if len(findings) == 0 && failed == nil {
		says := "a certificate of the stack's own authority: make trust says how a browser comes to trust it"
		if settings["ACME"] != "" {
			says = "a certificate from " + settings["ACME"]
		}
		findings = []Finding{{OK, "HTTPS", says, ""}}
	}
	return findings, failed
}

// running returns the stack's running containers by service.
func (f *facts) running() (map[string]docker.Container, error) {
	containers, err := f.containers()
	if err != nil {
		return nil, err
	}
	own := map[string]docker.Container{}
	for _, one := range containers {
		if one.Project() == f.projectName() {
			own[one.Service()] = one
		}
	}
	return own, nil
}

// judgeHTTPS returns findings about the settings alone.
func judgeHTTPS(settings stack.Settings) []Finding {
	var findings []Finding
	warn := func(name, says, do string) {
		findings = append(findings, Finding{Warning, name, says, do})
	}
	bind, err := netip.ParseAddr(settings["BIND"])
	if err != nil {
		return nil // checkSettings reports it
	}
	switch acme := settings["ACME"] != ""; {
	case acme && bind.IsLoopback():
		warn("ACME", "BIND="+settings["BIND"]+": nobody else can reach this server, and the authority must, to see that the domain leads here", "write BIND=0.0.0.0 in .env, or leave ACME out")
	case acme && settings["HTTP_PORT"] != "80":
		warn("ACME", "HTTP_PORT="+settings["HTTP_PORT"]+": the authority looks on port 80 whether the domain leads here, and nowhere else", "write HTTP_PORT=80 in .env, or have whatever has port 80 pass /.well-known/acme-challenge/ on")
	case !acme && !bind.IsLoopback() && strings.TrimSpace(settings["TRUSTED_PROXIES"]) == "":
		warn("ACME", "others can reach this server (BIND="+settings["BIND"]+"), and browsers do not trust its certificate: passwords travel as they are typed",
			"write ACME=https://acme-v02.api.letsencrypt.org/directory in .env; docs/server.md leads through it")
	}
	return findings
}

// resolver is the part of net.Resolver that is used.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// leadsHere checks that the rest of the world finds the domain at SERVER_IP.
func leadsHere(ctx context.Context, settings stack.Settings, system resolver) []Finding {
	want, err := netip.ParseAddr(settings["SERVER_IP"])
	if err != nil {
		return nil // checkSettings reports it
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var findings []Finding
	for _, name := range []string{settings["DOMAIN"], "www." + settings["DOMAIN"]} {
		found, err := system.LookupNetIP(ctx, "ip", name+".")
		says := ""
		for i, address := range found {
			found[i] = address.Unmap()
		}
		switch {
		case err != nil:
			says = fmt.Sprintf("this machine's resolver finds no address for %s (%v)", name, err)
		case !slices.ContainsFunc(found, func(address netip.Addr) bool { return !address.IsLoopback() }):
			continue // from this machine's /etc/hosts, where many providers write it; nobody else reads that file
		case slices.ContainsFunc(found, func(address netip.Addr) bool { return address != want }):
			says = fmt.Sprintf("%s leads to %s, and SERVER_IP is %s", name, joined(found), want)
		default:
			continue
		}
		findings = append(findings, Finding{Warning, "ACME", says + ": the authority would not find this server", "at the domain's registrar, have an A record lead both names here, or NS records, and no AAAA record elsewhere; then wait until that is known"})
	}
	return findings
}

func joined(addresses []netip.Addr) string {
	words := make([]string, len(addresses))
	for i, address := range addresses {
		words[i] = address.String()
	}
	return strings.Join(words, " and ")
}

// judgeNginx examines the output of `nginx -v`.
func judgeNginx(says string) []Finding {
	_, version, found := strings.Cut(strings.TrimSpace(says), "nginx/")
	version, _, _ = strings.Cut(version, " ")
	if found && older(version, oldestNginx) {
		return []Finding{{Warning, "Nginx", "it is " + version + ", with CVE-2026-95101 and CVE-2026-97629", "docker pull nginx:1.30 (a stand-in: make down, docker image rm nginx:1.30), then make up: " + oldestNginx + " has them mended"}}
	}
	return nil
}

// older reports whether the first of two dotted version numbers is lower. Anything that is not a number is not older.
func older(a, b string) bool {
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(left), len(right)) {
		x, errX := strconv.Atoi(left[i])
		y, errY := strconv.Atoi(right[i])
		if errX != nil || errY != nil {
			return false
		}
		if x != y {
			return x < y
		}
	}
	return len(left) < len(right)
}

// shownCertificate returns the certificate that a visitor gets.
func shownCertificate(ctx context.Context, settings stack.Settings) (*x509.Certificate, error) {
	address := settings["BIND"]
	if at, err := netip.ParseAddr(address); err == nil && at.IsUnspecified() {
		address = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{ServerName: "www." + settings["DOMAIN"], InsecureSkipVerify: true}} // the certificate is only examined, and nothing is sent
	connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address, settings["HTTPS_PORT"]))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// judgeCertificate warns if a certificate is from the stack's own authority while one from ACME is expected. It also warns
// of any certificate in its last week or, if it is valid for days only, in the last quarter of its lifetime.
func judgeCertificate(leaf *x509.Certificate, awaited bool, now time.Time) []Finding {
	if awaited && strings.HasPrefix(leaf.Issuer.CommonName, "oneserver of ") { // the name that services/certs gives its authority
		return []Finding{{Warning, "HTTPS", "visitors are shown a certificate of the stack's own authority: none of ACME's has come yet",
			"the first one takes up to a minute; after that docker compose logs certs says why, and docker compose restart certs tries at once"}}
	}
	left := leaf.NotAfter.Sub(now)
	if left > min(7*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/4) {
		return nil
	}
	says := fmt.Sprintf("the certificate that visitors are shown ends in %.1f days", left.Hours()/24)
	if left < 0 {
		says = "the certificate that visitors are shown ended on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	}
	return []Finding{{Warning, "HTTPS", says, "docker compose logs certs says why it was not renewed; docker compose restart certs tries at once"}}
}

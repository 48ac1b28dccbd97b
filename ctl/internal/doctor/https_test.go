package doctor

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/stack"
)

func TestTheSettingsOfHTTPSAreJudged(t *testing.T) {
	t.Parallel()
	const directory = "https://ca.example/directory"
	for _, test := range []struct {
		name     string
		settings stack.Settings
		says     string // empty if all is well
	}{
		{"a laptop", stack.Settings{"BIND": "127.0.0.1", "HTTP_PORT": "8080"}, ""},
		{"a server", stack.Settings{"BIND": "0.0.0.0", "HTTP_PORT": "80", "ACME": directory}, ""},
		{"an authority that cannot reach it", stack.Settings{"BIND": "127.0.0.1", "HTTP_PORT": "80", "ACME": directory}, "the authority must"},
		{"another port than the authority's", stack.Settings{"BIND": "0.0.0.0", "HTTP_PORT": "8080", "ACME": directory}, "on port 80"},
		{"open to others without a certificate", stack.Settings{"BIND": "0.0.0.0", "HTTP_PORT": "80"}, "passwords travel as they are typed"},
		{"behind a proxy that has one", stack.Settings{"BIND": "0.0.0.0", "HTTP_PORT": "80", "TRUSTED_PROXIES": "192.0.2.1"}, ""},
	} {
		got := judgeHTTPS(test.settings)
		if test.says == "" && len(got) > 0 || test.says != "" && (len(got) != 1 || got[0].Level != Warning || !strings.Contains(got[0].Says, test.says) || got[0].Do == "") {
			t.Errorf("%s: %+v, want %q", test.name, got, test.says)
		}
	}
}

// What is wrong with the settings does not depend on a container that restarts.
func TestWhatIsKnownIsToldWhenWebCannotBeAsked(t *testing.T) {
	dir := dockertest.Replace(t, "echo 'Error response from daemon: Container web is restarting' >&2\nexit 1\n")
	var web docker.Container
	web.Config.Labels = map[string]string{"com.docker.compose.project": "oneserver", "com.docker.compose.service": "web"}
	f := &facts{
		stack:      stack.New(dir),
		settings:   func() (stack.Settings, error) { return stack.Settings{"BIND": "0.0.0.0", "HTTP_PORT": "80"}, nil },
		project:    func() (stack.Project, error) { return stack.Project{Name: "oneserver"}, nil },
		containers: func() ([]docker.Container, error) { return []docker.Container{web}, nil },
	}
	got := limited(t.Context(), time.Minute, "HTTPS", func(ctx context.Context) ([]Finding, error) { return checkHTTPS(ctx, f) })
	if len(got) != 2 || !strings.Contains(got[0].Says, "passwords travel as they are typed") || !strings.Contains(got[1].Says, "is restarting") {
		t.Errorf("found %+v, want what the settings show and that web was not asked", got)
	}
}

// answers is a fake resolver that knows only these names.
type answers map[string][]netip.Addr

func (a answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if found, is := a[host]; is {
		return found, nil
	}
	return nil, errors.New("no such host")
}

func TestADomainThatLeadsElsewhereIsSeen(t *testing.T) {
	t.Parallel()
	here, elsewhere, six := netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.99"), netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		name        string
		domain, www []netip.Addr
		says        []string
	}{
		{"both lead here", []netip.Addr{here}, []netip.Addr{here}, nil},
		{"one written as IPv6 maps it", []netip.Addr{netip.AddrFrom16(here.As16())}, []netip.Addr{here}, nil},
		{"one leads elsewhere", []netip.Addr{elsewhere}, []netip.Addr{here}, []string{"foobar.com leads to 203.0.113.99, and SERVER_IP is 203.0.113.10"}},
		{"one of two addresses is another", []netip.Addr{here, six}, []netip.Addr{here}, []string{"foobar.com leads to 203.0.113.10 and 2001:db8::1"}},
		{"this machine's own hosts file has one", []netip.Addr{netip.MustParseAddr("127.0.1.1")}, []netip.Addr{here}, nil},
		{"one is not there", []netip.Addr{here}, nil, []string{"finds no address for www.foobar.com"}},
	} {
		known := answers{"foobar.com.": test.domain}
		if test.www != nil {
			known["www.foobar.com."] = test.www
		}
		got := leadsHere(t.Context(), stack.Settings{"DOMAIN": "foobar.com", "SERVER_IP": here.String()}, known)
		if len(got) != len(test.says) {
			t.Errorf("%s: %+v, want %q", test.name, got, test.says)
			continue
		}
		for i, says := range test.says {
			if !strings.Contains(got[i].Says, says) {
				t.Errorf("%s: %+v, want %q", test.name, got[i], says)
			}
		}
	}
}

func TestAnOldNginxIsNamed(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]bool{"nginx version: nginx/1.30.6 (Debian)\n": false, "nginx version: nginx/1.30.5\n": true, "nginx version: nginx/1.30.10": false,
		"nginx version: nginx/1.29.9": true, "nginx version: nginx/1.31.0": false, "nothing": false} {
		if got := len(judgeNginx(says)) > 0; got != want {
			t.Errorf("%q is too old: %t, want %t", says, got, want)
		}
	}
}

func TestACertificateNearItsEndIsSeen(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const day = 24 * time.Hour
	for _, test := range []struct {
		life, left time.Duration
		issuer     string
		awaited    bool
		says       string
	}{
		{90 * day, 60 * day, "R12", true, ""}, {90 * day, 8 * day, "R12", true, ""}, {90 * day, 6 * day, "R12", true, "ends in 6.0 days"},
		{90 * day, -day, "R12", true, "ended on"}, {6 * day, 2 * day, "R12", true, ""}, {6 * day, day, "R12", true, "ends in 1.0 days"},
		{90 * day, 60 * day, "oneserver of foobar.com, 2026-11-30", true, "none of ACME's has come"}, {90 * day, 60 * day, "oneserver of foobar.com, 2026-11-30", false, ""},
	} {
		leaf := &x509.Certificate{NotBefore: now.Add(test.left - test.life), NotAfter: now.Add(test.left), Issuer: pkix.Name{CommonName: test.issuer}}
		got := judgeCertificate(leaf, test.awaited, now)
		if test.says == "" && len(got) > 0 || test.says != "" && (len(got) != 1 || !strings.Contains(got[0].Says, test.says)) {
			t.Errorf("%s of %s left: %+v, want %q", test.left, test.life, got, test.says)
		}
	}
}

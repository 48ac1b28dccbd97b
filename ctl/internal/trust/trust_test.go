package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
)

func TestTheCommandsAreThoseOfTheMachine(t *testing.T) {
	t.Parallel()
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "oneserver of foobar.com, 2026-12-01"}, SerialNumber: big.NewInt(0xabc), Raw: []byte("raw")}
	const path = "/home/it's me/ca.crt"
	for _, test := range []struct {
		machine, trust, back string
	}{
		{"darwin", `sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain '/home/it'\''s me/ca.crt'`, "security delete-certificate -Z "},
		{"windows", `certutil -addstore -f ROOT "/home/it's me/ca.crt"`, "certutil -delstore ROOT 00000000000000000000000000000abc"},
		{"wsl", "certutil.exe -addstore -user -f ROOT", "certutil.exe -delstore -user ROOT 0000"},
		{"debian", "/usr/local/share/ca-certificates/oneserver-of-foobar.com--2026-12-01.crt && sudo update-ca-certificates", "sudo rm /usr/local/share/ca-certificates/oneserver-of-foobar.com--2026-12-01.crt"},
		{"linux", "sudo trust anchor --store", "sudo trust anchor --remove"},
		{"freebsd", "certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n oneserver-of-foobar.com--2026-12-01", "-D -n oneserver-of-foobar.com--2026-12-01"},
	} {
		for remove, want := range map[bool]string{false: test.trust, true: test.back} {
			got := steps(test.machine, path, authority, remove)
			if len(got) == 0 || !strings.Contains(got[0].command, want) {
				t.Errorf("%s, remove %t: %+v, want %q first", test.machine, remove, got, want)
			}
		}
	}
}

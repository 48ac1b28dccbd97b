// Package trust explains how to make this machine trust the stack's own authority, and how to undo that.
package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"oneserver/ctl/internal/stack"
)

// file is where the authority's certificate is put, at the repository's root.
const file = "ca.crt"

// Authority returns the certificate of the running stack's own authority.
func Authority(ctx context.Context, s *stack.Stack) (*x509.Certificate, error) {
	text, err := s.Output(ctx, "compose", "exec", "--no-TTY", "web", "cat", "/tls/ca.crt")
	if err != nil {
		return nil, fmt.Errorf("fetch the authority's certificate: %w; the stack must be running: make up", err)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("web has no certificate in /tls/ca.crt: make logs says why certs makes none")
	}
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	return authority, nil
}

// Pool returns the authorities that this machine trusts, together with the running stack's own.
func Pool(ctx context.Context, s *stack.Stack) (*x509.CertPool, error) {
	authority, err := Authority(ctx, s)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("whom this machine trusts: %w", err)
	}
	pool.AddCert(authority)
	return pool, nil
}

// Tell fetches the authority's certificate from the running stack and prints the commands for this machine. It runs none of
// them: they need privileges, and the machine's owner decides whom it trusts.
func Tell(ctx context.Context, s *stack.Stack, out io.Writer, remove bool) error {
	authority, err := Authority(ctx, s)
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, file)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is the authority's certificate: %s\nSHA-256 %X\nIt can vouch for these names and no others: %s\n", path, authority.Subject.CommonName,
		sha256.Sum256(authority.Raw), strings.Join(names(authority), ", "))
	heading := "To trust it on this machine"
	if remove {
		heading = "To trust it no longer"
	}
	for _, step := range steps(machine(), path, authority, remove) {
		fmt.Fprintf(out, "\n%s, %s:\n  %s\n", heading, step.reach, step.command)
	}
	if !remove {
		fmt.Fprint(out, "\nThe way back: make trust REMOVE=1\n")
	}
	return nil
}

// names returns the names and addresses that the authority can vouch for.
func names(authority *x509.Certificate) []string {
	all := append([]string{}, authority.PermittedDNSDomains...)
	for _, network := range authority.PermittedIPRanges {
		all = append(all, network.IP.String())
	}
	return all
}

// machine returns the kind of this machine, which decides how to change what it trusts.
func machine() string {
	if runtime.GOOS != "linux" {
		return runtime.GOOS
	}
	if version, err := os.ReadFile("/proc/version"); err == nil && strings.Contains(strings.ToLower(string(version)), "microsoft") {
		return "wsl"
	}
	if _, err := os.Stat("/usr/local/share/ca-certificates"); err == nil {
		return "debian"
	}
	return "linux"
}

// step is a command and the programs that it affects.
type step struct{ reach, command string }

// steps returns the commands for a kind of machine. Quotes in path do no harm, since the shell gets it quoted as a whole.
func steps(machine, path string, authority *x509.Certificate, remove bool) []step {
	name := strings.Map(func(r rune) rune { // part of a file's name and the name of an entry
		if r == ' ' || r == ',' {
			return '-'
		}
		return r
	}, authority.Subject.CommonName)
	quoted := "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	chrome := step{"for Chrome and Chromium (certutil is in libnss3-tools or nss-tools)",
		"mkdir -p ~/.pki/nssdb && certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n " + name + " -i " + quoted}
	firefox := step{"for Firefox", "Settings, Privacy & Security, View Certificates, Authorities, Import: " + path}
	if remove {
		chrome.command = "certutil -d sql:$HOME/.pki/nssdb -D -n " + name
		firefox.command = "Settings, Privacy & Security, View Certificates, Authorities: delete " + authority.Subject.CommonName
	}
	either := func(add, back string) string {
		if remove {
			return back
		}
		return add
	}
	serial := fmt.Sprintf("%032x", authority.SerialNumber)
	system := map[string]step{
		"darwin": {"for every browser", either("sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain "+quoted,
			"sudo security delete-certificate -Z "+fmt.Sprintf("%X", sha256.Sum256(authority.Raw))+" /Library/Keychains/System.keychain")},
		"windows": {"for every browser, in a command prompt of an administrator", either(`certutil -addstore -f ROOT "`+path+`"`, "certutil -delstore ROOT "+serial)},
		"wsl":     {"for every browser of Windows", either(`certutil.exe -addstore -user -f ROOT "$(wslpath -w `+quoted+`)"`, "certutil.exe -delstore -user ROOT "+serial)},
		"debian": {"for curl and most programs", either("sudo cp "+quoted+" /usr/local/share/ca-certificates/"+name+".crt && sudo update-ca-certificates",
			"sudo rm /usr/local/share/ca-certificates/"+name+".crt && sudo update-ca-certificates --fresh")},
		"linux": {"for curl and most programs", either("sudo trust anchor --store "+quoted, "sudo trust anchor --remove "+quoted)},
	}
	first, known := system[machine]
	switch {
	case !known: // another Unix, with the same browsers
		return []step{chrome, firefox}
	case machine == "debian" || machine == "linux":
		return []step{first, chrome, firefox}
	}
	return []step{first}
}

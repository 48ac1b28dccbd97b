package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// settings holds the settings from the environment.
type settings struct {
	domain    string // lower case, without the final dot
	directory string // URL of the ACME directory; empty if no authority is asked
	email     string
	eabID     string // with eabKey, or both empty
	eabKey    string // base64url without padding
	profile   string
	web       string // host of the web server
	webTLS    int    // its port for https
	places    places
}

// names returns the names that a public authority's certificate is for.
func (s settings) names() []string { return []string{s.domain, "www." + s.domain} }

// places are the folders in which certs keeps its files. Files that web reads are in shared. Files that cannot be made
// again are in own, which only this program can read: the authority's key, the ACME account, the issued certificate and
// the order in progress. Files in run disappear with the container.
type places struct{ shared, own, run string }

func (p places) site() string       { return filepath.Join(p.shared, "site.pem") }  // what web serves: the chain, then the key
func (p places) public() string     { return filepath.Join(p.shared, "public") }    // exists while web serves a certificate from a public authority
func (p places) settled() string    { return filepath.Join(p.shared, "settled") }   // exists once public has existed for a week
func (p places) authority() string  { return filepath.Join(p.shared, "ca.crt") }    // the certificate of the stack's own authority
func (p places) challenges() string { return filepath.Join(p.shared, "challenge") } // answers to HTTP-01

func (p places) root() string        { return filepath.Join(p.own, "authority.pem") } // its certificate, then its key
func (p places) account() string     { return filepath.Join(p.own, "account.json") }
func (p places) order() string       { return filepath.Join(p.own, "order.json") }
func (p places) certificate() string { return filepath.Join(p.own, "certificate.json") }
func (p places) wait() string        { return filepath.Join(p.own, "wait") } // until when the authority wants no requests

func (p places) failure() string { return filepath.Join(p.run, "failure") } // why no certificate was obtained, for the health check

// domainForm keeps anything that is not a domain out of file names. The service dns explains in more detail what is
// wrong.
var domainForm = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

// readSettings reads and checks the settings. Its error is one line that says what to write instead.
func readSettings(getenv func(string) string) (settings, error) {
	s := settings{
		domain: strings.ToLower(getenv("DOMAIN")), directory: getenv("ACME"), email: getenv("ACME_EMAIL"), profile: getenv("ACME_PROFILE"),
		eabID: getenv("ACME_EAB_KID"), eabKey: strings.TrimRight(getenv("ACME_EAB_KEY"), "="), web: "web", webTLS: 443,
		places: places{shared: "/tls", own: "/var/lib/certs", run: "/run/probe"},
	}
	if !domainForm.MatchString(s.domain) {
		return settings{}, fmt.Errorf("DOMAIN=%q is not a domain; write for example DOMAIN=foobar.com in .env", s.domain)
	}
	s.places.own = filepath.Join(s.places.own, s.domain) // so that a domain that is set again later finds its certificate
	if s.directory != "" {
		if at, err := url.Parse(s.directory); err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil {
			return settings{}, fmt.Errorf("ACME=%q is not the https:// URL of an ACME directory; write for example ACME=https://acme-v02.api.letsencrypt.org/directory in .env", s.directory)
		}
	}
	if (s.eabID == "") != (s.eabKey == "") {
		return settings{}, errors.New("ACME_EAB_KID and ACME_EAB_KEY belong together: write both in .env, as the authority gave them, or none")
	}
	if _, err := base64.RawURLEncoding.DecodeString(s.eabKey); err != nil {
		return settings{}, errors.New("ACME_EAB_KEY is not base64url: write it in .env as the authority gave it")
	}
	return s, nil
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"

	// The plugins that the Corefile may use. To add one, add a line here.
	_ "github.com/coredns/coredns/plugin/bufsize"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/metrics" // the prometheus directive
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/view"

	"oneserver/dns/zonefile"
)

const (
	serverType   = "dns" // CoreDNS' name among Caddy's server types
	corefilePath = "corefile"
)

// enablePlugins adds zonefile to CoreDNS' own list of plugins, which is in the order in which queries pass through them
// (plugin.cfg). The list also names plugins that are not linked in. That does no harm, because a Corefile that uses one
// of them is refused.
func enablePlugins() error {
	return dnsserver.SetDirectives(slices.Insert(slices.Clone(dnsserver.Directives),
		slices.Index(dnsserver.Directives, "file"), zonefile.Name))
}

// loadCorefile implements caddy.Loader. It returns an error if the Corefile is missing or has no server block.
// Otherwise CoreDNS would serve the whoami plugin in the first case, and nothing in the second, which can occur for a
// moment while an editor saves the file.
func loadCorefile(serverType string) (caddy.Input, error) {
	text, err := os.ReadFile(corefilePath)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, errors.New("corefile is a directory, which Docker makes where the file to mount is missing: " +
			"remove that directory on the host, restore the file (git restore corefile) and make the container anew")
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("there is no corefile: mount it at /etc/dns/corefile, as compose.yaml does")
	case err != nil:
		return nil, fmt.Errorf("read the Corefile: %w", err)
	}
	// Text that does not parse is passed on. CoreDNS reports it and, if it is already serving, keeps its previous
	// Corefile.
	if servers, err := caddyfile.Parse(corefilePath, bytes.NewReader(text), nil); err == nil && len(servers) == 0 {
		return nil, errors.New("corefile has no server block: restore it (git restore corefile)")
	}
	return caddy.CaddyfileInput{Filepath: corefilePath, Contents: text, ServerTypeName: serverType}, nil
}

package bench

import (
	"fmt"
	"regexp"
	"strings"
)

// domain is that of the copy. What is compared with app is served under names of its own in bench.
const domain = "foobar.com"

var (
	serverBlock   = regexp.MustCompile(`(?ms)^    server \{\n.*?^    \}\n`)
	upstreamBlock = regexp.MustCompile(`(?ms)^    upstream app \{\n.*?^    \}\n`)
	siteName      = regexp.MustCompile(`server_name www\.\$\{DOMAIN\}[^;]*;`)
	theUpstream   = regexp.MustCompile(`\bapp\b`)
	siteRoot      = regexp.MustCompile(`\broot\s+/srv/web;`)
	keptOpen      = regexp.MustCompile(`(proxy_set_header\s+Connection\s+)"";`)
)

// A peer stands in the place of app.
type peer struct {
	name   string // its service in Compose
	closes bool   // whether Nginx opens a connection to it for each request, instead of keeping some open
}

// withPeers returns the stack's nginx.conf with the site's server again for each peer of app, in front of that instead,
// and for static files of ours. They are made from its own text, so they have its settings whatever these become.
func withPeers(conf string, peers ...peer) (string, error) {
	var sites []string
	for _, block := range serverBlock.FindAllString(conf, -1) {
		if siteName.MatchString(block) {
			sites = append(sites, block)
		}
	}
	upstreams := upstreamBlock.FindAllString(conf, -1)
	if len(sites) != 1 || len(upstreams) != 1 || !siteRoot.MatchString(sites[0]) || !strings.Contains(sites[0], "proxy_pass http://app;") || !keptOpen.MatchString(sites[0]) {
		return "", fmt.Errorf("nginx.conf has %d servers for the site and %d upstreams named app: one of each is expected, with root, proxy_pass and Connection as ever", len(sites), len(upstreams))
	}
	more := siteName.ReplaceAllString(siteRoot.ReplaceAllString(sites[0], "root /srv/bench;"), "server_name static.bench;")
	for _, peer := range peers {
		site := siteName.ReplaceAllString(sites[0], "server_name "+peer.name+".bench;")
		if peer.closes {
			site = keptOpen.ReplaceAllString(site, "${1}close;")
		}
		more += strings.ReplaceAll(site, "proxy_pass http://app;", "proxy_pass http://"+peer.name+";")
		more += theUpstream.ReplaceAllString(upstreams[0], peer.name)
	}
	return strings.Replace(conf, sites[0], sites[0]+more, 1), nil
}

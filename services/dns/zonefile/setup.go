package zonefile

import (
	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
)

// Name is the plugin's name in a Corefile.
const Name = "zonefile"

func init() { plugin.Register(Name, setup) }

func setup(c *caddy.Controller) error {
	z, err := parseDirective(c)
	if err != nil {
		return plugin.Error(Name, err)
	}
	if err := z.load(); err != nil {
		return plugin.Error(Name, err)
	}
	config := dnsserver.GetConfig(c)
	config.AddPlugin(func(plugin.Handler) plugin.Handler { return z })

	stop := make(chan struct{})
	c.OnStartup(func() error {
		z.view = config.ViewName
		go z.watch(stop)
		return nil
	})
	c.OnShutdown(func() error {
		close(stop)
		return nil
	})
	return nil
}

// parseDirective reads the syntax that the package comment describes.
func parseDirective(c *caddy.Controller) (*Zonefile, error) {
	c.Next() // the directive itself
	origins := plugin.OriginsFromArgsOrServerBlock(nil, c.ServerBlockKeys)
	if len(origins) != 1 {
		return nil, c.Errf("wants a server block with one zone, not %d", len(origins))
	}
	args := c.RemainingArgs()
	if len(args) != 1 {
		return nil, c.ArgErr()
	}
	z := &Zonefile{origin: origins[0], path: args[0], values: map[string]string{}}
	for c.NextBlock() {
		name, value := c.Val(), c.RemainingArgs()
		if name == "public" && len(value) == 2 {
			z.marker, z.port = value[0], value[1]
			continue
		}
		if len(value) != 1 {
			return nil, c.ArgErr()
		}
		z.values[name] = value[0]
	}
	if c.Next() {
		return nil, plugin.ErrOnce
	}
	return z, nil
}

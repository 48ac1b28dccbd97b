package cluster

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"oneserver/ctl/internal/stack"
)

//go:embed group.cnf
var groupText string

var groupTemplate = template.Must(template.New("group.cnf").Option("missingkey=error").Parse(groupText))

// groupConfig returns MySQL's settings for a member of the group, for /etc/mysql/conf.d.
func (c *Cluster) groupConfig(of Server) (string, error) {
	seeds := make([]string, len(c.Servers))
	for i, one := range c.Servers {
		seeds[i] = one.Database() + ":3306"
	}
	var text strings.Builder
	err := groupTemplate.Execute(&text, map[string]any{
		"ID": indexOf(of) + 1, "Name": of.Database(), "Group": c.Group, "Seeds": strings.Join(seeds, ","),
	})
	return text.String(), err
}

// environment returns the .env file of a server. settings are those of this machine for compose.yaml; primary is the server
// whose database the applications use.
func (c *Cluster) environment(of Server, settings stack.Settings, primary Server) string {
	settings = maps.Clone(settings)
	if c.Nested() { // ports and addresses of a laptop are not those of the servers in it
		settings["HTTP_PORT"], settings["HTTPS_PORT"], settings["DNS_PORT"] = "80", "443", "53"
		settings["SERVER_IP"], settings["BIND"] = of.PrivateIP, of.PrivateIP
		settings["SUBNET"] = "172.28.0"
	} else {
		// A laptop's defaults would make a server that nobody can reach.
		if settings["BIND"] == "127.0.0.1" {
			settings["BIND"] = "0.0.0.0"
		}
		if settings["DNS_PORT"] == "1053" {
			settings["DNS_PORT"] = "53"
		}
	}
	delete(settings, "GOPROXY") // nothing is built there
	delete(settings, "CLUSTER_SUBNET")
	settings["COMPOSE_PROJECT_NAME"] = project
	settings["COMPOSE_FILE"] = "compose.yaml:compose.cluster.yaml"
	settings["PRIVATE_IP"] = of.PrivateIP
	settings["DATABASE"] = of.Database()
	settings["PRIMARY"] = primary.Database()
	for i, other := range c.others(of) {
		settings[fmt.Sprintf("PEER_%d", i+1)] = other.Database() + ":" + other.PrivateIP
	}
	text := "# Written by make cluster, from the settings of the machine that it runs on: change them there.\n"
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		// In single quotes Compose replaces nothing; no setting may hold a quote or a line's end.
		text += name + "='" + strings.NewReplacer("'", "", "\n", " ").Replace(settings[name]) + "'\n"
	}
	return text
}

package deploy

import (
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"oneserver/ctl/internal/docker"
)

// at returns replicas at these addresses, with ids that contain them.
func at(texts ...string) (list []replica) {
	for _, text := range texts {
		list = append(list, replica{"id-" + text, netip.MustParseAddr(text)})
	}
	return list
}

func TestARoutingCanBeReadBack(t *testing.T) {
	t.Parallel()
	for _, to := range []routing{
		{},
		{servers: at("172.28.0.130")},
		{servers: at("172.28.0.131", "172.28.0.132"), backups: at("172.28.0.130")},
		{servers: at("172.28.0.131")},
	} {
		conf := to.String()
		if got := parseRouting(conf); !reflect.DeepEqual(got, to) {
			t.Errorf("%+v is read as %+v of\n%s", to, got, conf)
		}
		if to.pinned() && (!strings.Contains(conf, "server app:8080 resolve max_fails=0 down;") || !strings.Contains(conf, "server app:8080 resolve max_fails=0 backup;")) {
			t.Errorf("%+v: the name is gone:\n%s", to, conf)
		}
	}
}

// byName is the line that routing.sh writes, and nginx.conf includes routing.conf and trial.conf from its own folder.
func TestARoutingIsWhereNginxLooksForIt(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../../services/web-init/routing.sh")
	if err != nil || !strings.Contains(string(script), "echo '"+strings.TrimSpace(byName)+"' >/run/nginx/routing.conf") {
		t.Errorf("routing.sh writes another line than %q, %v", byName, err)
	}
	conf, err := os.ReadFile("../../../nginx.conf")
	if err != nil || !strings.Contains(string(conf), "include routing.conf;") || !strings.Contains(string(conf), "include trial*.conf;") {
		t.Errorf("nginx.conf does not include the routing, %v", err)
	}
}

// oneOfApp returns a running container. Its networks include two that sort before and after the project's own.
func oneOfApp(id, image, address string) docker.Container {
	c := docker.Container{ID: id, Name: "/" + id, Image: image}
	c.State.Status = "running"
	c.NetworkSettings.Networks = map[string]struct{ IPAddress string }{
		"aaa": {"10.0.0.7"}, "oneserver_default": {address}, "zzz": {"10.1.0.7"},
	}
	return c
}

func TestANameLeadsToWhatRunsAndNowhereElse(t *testing.T) {
	t.Parallel()
	live := []docker.Container{oneOfApp("a", "1", "172.28.0.130"), oneOfApp("b", "1", "172.28.0.131")}
	live[1].NetworkSettings.Networks["aaa"] = struct{ IPAddress string }{"10.0.0.8"}
	for found, want := range map[string]bool{
		"172.28.0.130 172.28.0.131":              true,
		"172.28.0.131 172.28.0.130":              true,
		"10.0.0.7 10.0.0.8":                      true,
		"172.28.0.130":                           false,
		"172.28.0.130 172.28.0.131 172.28.0.132": false,
		"":                                       false,
	} {
		if err := leadsTo(strings.Fields(found), live); (err == nil) != want {
			t.Errorf("%q: %v", found, err)
		}
	}
}

func TestWhatAKilledDeployLeftIsToldFromWhatServes(t *testing.T) {
	t.Parallel()
	old, another, next := oneOfApp("old", "1", "172.28.0.130"), oneOfApp("another", "1", "172.28.0.133"), oneOfApp("next", "2", "172.28.0.131")
	created := next
	created.State.Status = "created"
	drained := old
	drained.State.Status = "exited"
	byID := func(id string) []replica { return []replica{{id, netip.MustParseAddr("172.28.0.140")}} } // addresses change hands
	for _, test := range []struct {
		name    string
		apps    []docker.Container // the oldest first
		to      routing
		decided string
		kept    string
		spare   string
	}{
		{"nothing was going on", []docker.Container{old, another}, routing{}, "0", "old another", ""},
		{"pinned, and nothing begun", []docker.Container{old}, routing{servers: byID("old")}, "0", "old", ""},
		{"the new one is made", []docker.Container{old, created}, routing{servers: byID("old")}, "0", "old", "next"},
		{"the new one has started", []docker.Container{old, next}, routing{servers: byID("old")}, "0", "old", "next"},
		{"on trial", []docker.Container{old, next}, routing{servers: byID("next"), backups: byID("old")}, "0", "old", "next"},
		{"past its trial", []docker.Container{old, next}, routing{servers: byID("next")}, "2", "next", "old"},
		{"past its trial, the old one drained", []docker.Container{drained, next}, routing{servers: byID("next")}, "2", "next", "old"},
		{"past its trial, the old one gone", []docker.Container{next}, routing{servers: byID("next")}, "2", "next", ""},
		{"web has started anew before the trial's end", []docker.Container{old, next}, routing{}, "0", "old", "next"},
		{"web has started anew after it", []docker.Container{old, next}, routing{}, "2", "next", "old"},
		{"what served was made anew", []docker.Container{old, next}, routing{servers: byID("gone")}, "0", "old", "next"},
		{"nobody serves", []docker.Container{drained, created}, routing{servers: byID("old")}, "0", "", ""},
	} {
		kept, spare := tellApart(test.apps, test.to, test.decided)
		names := func(list []docker.Container) string { return strings.Join(docker.IDs(list), " ") }
		if names(kept) != test.kept || names(spare) != test.spare {
			t.Errorf("%s: kept %q and removed %q, want %q and %q", test.name, names(kept), names(spare), test.kept, test.spare)
		}
	}
}

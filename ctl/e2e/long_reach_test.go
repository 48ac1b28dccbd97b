package e2e

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/shirou/gopsutil/v4/process"
)

// killProxy kills the engine's process that serves a published port.
func killProxy(t *testing.T, network, port string) {
	t.Helper()
	all, err := process.ProcessesWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		line, err := one.CmdlineSliceWithContext(t.Context())
		if err != nil || len(line) == 0 || !strings.HasSuffix(line[0], "docker-proxy") {
			continue
		}
		at, of := slices.Index(line, "-host-port"), slices.Index(line, "-proto")
		if at < 0 || of < 0 || line[at+1] != port || line[of+1] != network {
			continue
		}
		if err := syscall.Kill(int(one.Pid), syscall.SIGKILL); err != nil {
			t.Skipf("kill docker-proxy: %v", err)
		}
		return
	}
	t.Skipf("no docker-proxy that can be seen from here serves %s %s", network, port)
}

// A port can be dead while its container is healthy.
func TestLongUpMeansReachable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the engine's processes belong to root")
	}
	for _, dead := range []struct{ network, port, service string }{
		{"tcp", site.httpPort, "web"},
		{"tcp", site.httpsPort, "web"},
		{"udp", site.dnsPort, "dns"},
		{"tcp", site.dnsPort, "dns"},
	} {
		t.Run(dead.service+" "+dead.network, func(t *testing.T) {
			killProxy(t, dead.network, dead.port)
			site.says(t, root, false, []string{"doctor"}, strings.ToUpper(dead.network)+" 127.0.0.1:"+dead.port+": connection refused, though oneserver-test-"+dead.service+"-1 is healthy", "make up")
			site.says(t, root, false, []string{"up"}, "connection refused, though it is healthy: starting "+dead.service+" anew", "the site")
			site.says(t, root, false, []string{"doctor"}, "which is running and answers")
		})
	}
}

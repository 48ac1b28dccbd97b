package docker

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAContainerThatOnlyWaitsIsNotAtFault(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{"created": "", "running": "", "exited": "", "restarting": "ends again and again, with exit code 0"} {
		var one Container
		one.State.Status = status
		if got := one.Failure(); got != want {
			t.Errorf("of one that is %s it says %q, want %q", status, got, want)
		}
	}
	var killed Container
	killed.State.Status, killed.State.ExitCode, killed.State.OOMKilled = "exited", 137, true
	if got := killed.Failure(); !strings.Contains(got, "memory") {
		t.Errorf("of one that the kernel ended it says %q", got)
	}
	killed.State.Status, killed.State.ExitCode = "running", 0
	if got := killed.Failure(); got != "" {
		t.Errorf("of one that runs, and in which the kernel ended a process, it says %q", got)
	}
}

func TestAnAddressIsThatInTheNetworkWhichIsAskedFor(t *testing.T) {
	t.Parallel()
	of := func(address string) Container {
		c := Container{Name: "/a"}
		c.NetworkSettings.Networks = map[string]struct{ IPAddress string }{"aaa": {"10.0.0.7"}, "oneserver_default": {address}, "zzz": {"10.1.0.7"}}
		return c
	}
	for range 100 { // a map's order differs each time
		if got, err := of("172.28.0.130").Address("oneserver_default"); err != nil || got != netip.MustParseAddr("172.28.0.130") {
			t.Fatalf("its address is %s, %v", got, err)
		}
	}
	for _, wrong := range []string{"", "172.28.0", "app"} {
		if got, err := of(wrong).Address("oneserver_default"); err == nil || !strings.Contains(err.Error(), "oneserver_default") {
			t.Errorf("%q is taken for the address %s, %v", wrong, got, err)
		}
	}
}

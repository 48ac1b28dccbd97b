package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	connections "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// published is a port that the stack publishes.
type published struct {
	setting string
	network string // tcp or udp
	address netip.AddrPort
}

func checkPorts(ctx context.Context, f *facts) ([]Finding, error) {
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	var wanted []published
	for _, port := range []published{{setting: "HTTP_PORT", network: "tcp"}, {setting: "HTTPS_PORT", network: "tcp"}, {setting: "HTTPS_PORT", network: "udp"}, {setting: "DNS_PORT", network: "udp"}, {setting: "DNS_PORT", network: "tcp"}} {
		if port.address, err = netip.ParseAddrPort(settings["BIND"] + ":" + settings[port.setting]); err != nil {
			return nil, fmt.Errorf("%w: needs valid settings", errUnknown)
		}
		wanted = append(wanted, port)
	}

	containers, err := f.containers()
	if err != nil {
		return nil, err
	}
	local, err := f.local()
	if err != nil {
		return nil, err
	}
	if !local {
		return []Finding{{Note, "ports", "not checked: the Docker Engine is on another machine", ""}}, nil
	}
	sockets, err := connections.ConnectionsWithoutUidsWithContext(ctx, "inet")
	if err != nil {
		sockets = nil // some systems cannot list them; trying to listen on the port still shows that it is taken, but not by what
	}

	var findings []Finding
	ours := map[string]docker.Container{} // the stack's own containers, by service
	for _, port := range wanted {
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.About == port.setting }) {
			continue // what holds DNS_PORT on UDP usually holds it on TCP as well
		}
		if container, held := containerOn(port, containers); held {
			if container.Project() == f.projectName() {
				ours[container.Service()] = container
				continue
			}
			holder := "the container " + container.Title()
			if project := container.Project(); project != "" {
				holder += " of the Compose project " + project
			}
			findings = append(findings, taken(ctx, port, holder, "docker stop "+container.Title()))
		} else if holder := processOn(ctx, port, sockets); holder != "" {
			findings = append(findings, taken(ctx, port, holder, "stop it"))
		}
	}
	if len(ours) > 0 {
		dead, err := unanswered(ctx, settings, ours)
		if err != nil {
			return findings, err
		}
		findings = append(findings, dead...)
	}
	if len(findings) == 0 {
		says := fmt.Sprintf("%s, %s and %s are free on %s", settings["HTTP_PORT"], settings["HTTPS_PORT"], settings["DNS_PORT"], settings["BIND"])
		if len(ours) > 0 {
			says = "published by this stack, which is running and answers"
		}
		findings = []Finding{{OK, "ports", says, ""}}
	}
	return findings, nil
}

func taken(ctx context.Context, port published, holder, stop string) Finding {
	do := fmt.Sprintf("write %s=%s in .env, or: %s", port.setting, freePort(ctx, port), stop)
	if port.address.Port() == 53 && strings.Contains(holder, "systemd-resolve") {
		do = "set BIND in .env to the one address of this machine that the world uses: the system's resolver keeps 127.0.0.53"
	}
	return Finding{Error, port.setting, fmt.Sprintf("%s %s is taken by %s", strings.ToUpper(port.network), port.address, holder), do}
}

// containerOn returns the running container that publishes the port.
func containerOn(port published, containers []docker.Container) (docker.Container, bool) {
	number := strconv.Itoa(int(port.address.Port()))
	for _, container := range containers {
		for inside, bindings := range container.NetworkSettings.Ports {
			for _, binding := range bindings {
				if strings.HasSuffix(inside, "/"+port.network) && binding.HostPort == number && overlaps(port.address.Addr(), binding.HostIP) {
					return container, true
				}
			}
		}
	}
	return docker.Container{}, false
}

// overlaps reports whether a program that listens on one address keeps another from listening on the other.
func overlaps(wanted netip.Addr, held string) bool {
	if held == "*" { // lsof writes it for all addresses
		return true
	}
	address, err := netip.ParseAddr(held)
	if err != nil {
		return false
	}
	address = address.Unmap()
	// A socket on :: accepts IPv4 too, unless that was turned off. Trying to listen on the port shows which is the case.
	return address.IsUnspecified() || address.Is4() && wanted.IsUnspecified() || address == wanted
}

// processOn names the process of this machine that holds the port; empty if the port is free.
func processOn(ctx context.Context, port published, sockets []connections.ConnectionStat) string {
	failed := listen(ctx, port)
	if !inUse(failed) && !errors.Is(failed, os.ErrPermission) { // a user without the permission to try can only look at the sockets
		return ""
	}
	for _, socket := range sockets {
		ofNetwork := socket.Type == syscall.SOCK_STREAM && socket.Status == "LISTEN"
		if port.network == "udp" {
			ofNetwork = socket.Type == syscall.SOCK_DGRAM && socket.Raddr.Port == 0
		}
		if !ofNetwork || socket.Laddr.Port != uint32(port.address.Port()) || !overlaps(port.address.Addr(), socket.Laddr.IP) {
			continue
		}
		if socket.Pid == 0 {
			return fmt.Sprintf("a process of another user (sudo ss -lpn 'sport = :%d' names it)", port.address.Port())
		}
		name := "a process"
		if of, err := process.NewProcessWithContext(ctx, socket.Pid); err == nil {
			if its, err := of.NameWithContext(ctx); err == nil {
				name = its
			}
		}
		return fmt.Sprintf("%s (pid %d)", name, socket.Pid)
	}
	if inUse(failed) {
		return "a process that cannot be seen from here"
	}
	return ""
}

// listen opens the port as the engine would and closes it again.
func listen(ctx context.Context, port published) error {
	if port.network == "udp" {
		socket, err := new(net.ListenConfig).ListenPacket(ctx, "udp4", port.address.String())
		if err != nil {
			return err
		}
		return socket.Close()
	}
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp4", port.address.String())
	if err != nil {
		return err
	}
	return socket.Close()
}

func inUse(err error) bool {
	const windows = syscall.Errno(10048) // WSAEADDRINUSE
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, windows)
}

// freePort returns a port to suggest instead of one that is taken.
func freePort(ctx context.Context, port published) string {
	first, err := strconv.ParseUint(fallback[port.setting], 10, 16)
	if err != nil {
		panic(err) // the table is part of this program
	}
	for number := uint16(first); number < uint16(first)+1000; number++ {
		address := netip.AddrPortFrom(port.address.Addr(), number)
		tcp, udp := published{network: "tcp", address: address}, published{network: "udp", address: address}
		if listen(ctx, tcp) == nil && (port.setting == "HTTP_PORT" || listen(ctx, udp) == nil) {
			return strconv.Itoa(int(number))
		}
	}
	return "another"
}

// checkPrivileged checks that an engine that runs without root may open the ports.
func checkPrivileged(_ context.Context, f *facts) ([]Finding, error) {
	info, err := f.engine()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(info.SecurityOptions, "name=rootless") {
		return []Finding{{OK, "privileges", "the engine may open every port", ""}}, nil
	}
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	first, err := firstUnprivilegedPort()
	if err != nil {
		return nil, err
	}
	findings := lowPorts(settings, first)
	if len(findings) == 0 {
		findings = []Finding{{OK, "privileges", fmt.Sprintf("the engine runs without root and needs no port below %d", first), ""}}
	}
	return findings, nil
}

// lowPorts returns a finding for each port below first, the lowest that an engine without root may open.
func lowPorts(settings stack.Settings, first int) []Finding {
	var findings []Finding
	for _, name := range []string{"HTTP_PORT", "HTTPS_PORT", "DNS_PORT"} {
		if port, err := strconv.Atoi(settings[name]); err == nil && port < first {
			findings = append(findings, Finding{Error, name, fmt.Sprintf("%s=%d: this Docker Engine runs without root and may not open a port below %d", name, port, first),
				fmt.Sprintf("write %s=%s in .env, or allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=%d", name, fallback[name], port)})
		}
	}
	return findings
}

func firstUnprivilegedPort() (int, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if errors.Is(err, os.ErrNotExist) {
		return 1024, nil // not Linux, or not a recent one
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

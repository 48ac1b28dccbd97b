package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	clog "github.com/coredns/coredns/plugin/pkg/log"
)

const (
	// maxConnections is how many TCP connections may stay open. Each takes 4 kB; one from a resolver lasts a few
	// milliseconds.
	maxConnections = 1000
	// lookEvery limits how far the number of connections can exceed maxConnections, since the kernel hands over only a
	// few hundred in that time. While fewer than fewFiles files are open, one look every idleEvery is enough. More
	// frequent looks would be most of the cost of an idle server; less frequent ones would cost more memory at the
	// start of a flood than the container has.
	lookEvery = 20 * time.Millisecond
	fewFiles  = 100
	idleEvery = 3 * lookEvery
)

// boundConnections closes TCP connections beyond maxConnections until ctx ends. It closes the oldest connections of the
// addresses that have the most. So no client is refused, and a flood displaces its own connections. CoreDNS itself
// accepts every connection until memory or file descriptors run out, and has no hook for a custom listener, so this
// works on the process's open files.
func boundConnections(ctx context.Context) error {
	files, err := os.Open("/dev/fd") // only once, since opening it takes a descriptor
	if err != nil {
		return fmt.Errorf("list the open files: %w", err)
	}
	go func() {
		defer files.Close()
		tick := time.NewTimer(idleEvery)
		defer tick.Stop()
		var open []connection
		var told time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			found, err := look(files, open)
			if err != nil {
				clog.Errorf("count the TCP connections: %v", err)
			}
			open = found
			if len(open) == 0 {
				tick.Reset(idleEvery)
				continue
			}
			tick.Reset(lookEvery)
			closing := surplus(open, maxConnections)
			for _, one := range closing {
				one.reset()
			}
			if len(closing) > 0 && time.Since(told) > time.Minute {
				told = time.Now()
				clog.Warningf("more than %d TCP connections: closing the oldest ones of those who have most, such as %s", maxConnections, closing[0].peer.Addr())
			}
		}
	}()
	return nil
}

// connection is a TCP connection and its file descriptor.
type connection struct {
	fd   int
	peer netip.AddrPort
}

// look returns the open TCP connections, in the order in which it first saw them; before is the result of the previous
// call. While few files are open, it returns none.
func look(files *os.File, before []connection) ([]connection, error) {
	if _, err := files.Seek(0, 0); err != nil {
		return nil, err
	}
	names, err := files.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	if len(names) < fewFiles {
		return nil, nil
	}
	open := make(map[connection]bool, len(names))
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			return nil, err
		}
		if peer, connected := peerOf(fd); connected {
			open[connection{fd, peer}] = true
		}
	}
	after := make([]connection, 0, len(open))
	for _, one := range before {
		if open[one] {
			after = append(after, one)
			delete(open, one)
		}
	}
	for one := range open {
		after = append(after, one)
	}
	return after, nil
}

// peerOf returns the address at the other end of a connection. Any other open file is reported as not connected.
func peerOf(fd int) (peer netip.AddrPort, connected bool) {
	address, err := syscall.Getpeername(fd)
	if err != nil {
		return peer, false
	}
	switch address := address.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(address.Addr), uint16(address.Port)), true
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(address.Addr).Unmap(), uint16(address.Port)), true
	}
	return peer, false
}

// surplus returns the connections to close so that no more than room stay open. open lists the oldest ones first. Each
// address keeps its newest connections, up to an equal share of room.
func surplus(open []connection, room int) []connection {
	if len(open) <= room {
		return nil
	}
	held := map[netip.Addr]int{}
	for _, one := range open {
		held[one.peer.Addr()]++
	}
	counts := slices.Sorted(maps.Values(held))
	share, left := 0, room // what each address may keep, and how much room is then left
	for i, count := range counts {
		if more := count - share; more*(len(counts)-i) <= left {
			share, left = count, left-more*(len(counts)-i)
		} else {
			share, left = share+left/(len(counts)-i), left%(len(counts)-i)
			break
		}
	}
	var picked []connection
	for _, one := range open {
		if address := one.peer.Addr(); held[address] > share {
			held[address]--
			picked = append(picked, one)
		}
	}
	// The room that is left goes to the newest of the picked connections.
	return picked[:len(picked)-min(left, len(picked))]
}

// reset ends a connection if its descriptor still belongs to it. The goroutine that serves the connection then reads
// the end of the stream and closes it immediately, without waiting for the other side.
func (c connection) reset() {
	if peer, connected := peerOf(c.fd); !connected || peer != c.peer {
		return
	}
	// Errors are ignored, since the connection may be gone already.
	_ = syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	_ = syscall.Shutdown(c.fd, syscall.SHUT_RD)
}

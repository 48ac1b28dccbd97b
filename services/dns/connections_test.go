package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestTheOldestOfTheAddressWithMostConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	many := func(address string, count int) (list []connection) {
		for i := range count {
			list = append(list, connection{i, netip.AddrPortFrom(netip.MustParseAddr(address), uint16(i))})
		}
		return list
	}
	tests := []struct {
		name string
		open []connection
		room int
		want string
	}{
		{"room enough", many("192.0.2.1", 5), 5, "[]"},
		{"one address has all", many("192.0.2.1", 5), 3, "[192.0.2.1:0 192.0.2.1:1]"},
		{"one has most, and others were there before it", append(many("192.0.2.1", 2), many("2001:db8::1", 4)...), 4, "[[2001:db8::1]:0 [2001:db8::1]:1]"},
		{"none has more than another", append(many("192.0.2.1", 1), many("192.0.2.2", 1)...), 1, "[192.0.2.1:0]"},
		{"two have more than a third", append(many("192.0.2.1", 1), append(many("192.0.2.2", 3), many("192.0.2.3", 3)...)...), 5, "[192.0.2.2:0 192.0.2.3:0]"},
		{"no room at all", many("192.0.2.1", 2), 0, "[192.0.2.1:0 192.0.2.1:1]"},
	}
	for _, test := range tests {
		var got []netip.AddrPort
		for _, one := range surplus(test.open, test.room) {
			got = append(got, one.peer)
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v give way, want %v", test.name, got, test.want)
		}
	}
}

// 16,000 connections that send nothing, or half a query, would take more memory than compose.yaml gives the server.
// They come from one address or from many, while another client sends queries.
func TestConnectionsThatSayNothingTakeNeitherMemoryNorAnswers(t *testing.T) {
	const connections, mostMiB = 16_000, 50
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < connections+100 {
		t.Skipf("this process may not open %d connections: %d, %v", connections, files.Cur, err)
	}
	for _, test := range []struct {
		name string
		from func(i int) string
		says string
	}{
		{"from a thousand addresses", func(i int) string { return fmt.Sprintf("127.1.%d.%d", i%4, 1+i/4%250) }, ""},
		{"from one address, with half a query", func(int) string { return "127.1.0.1" }, "\x00\xff\x12"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			var dialers sync.WaitGroup
			var next, opened atomic.Int64
			for range 16 {
				dialers.Go(func() {
					for i := next.Add(1); i <= connections; i = next.Add(1) {
						dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(test.from(int(i)))}}
						connection, err := dialer.DialContext(t.Context(), "tcp", "127.0.0.1:"+s.port)
						if err != nil {
							continue
						}
						opened.Add(1)
						connection.Write([]byte(test.says)) // it may be closed already
						t.Cleanup(func() { connection.Close() })
					}
				})
			}
			done := make(chan struct{})
			go func() { dialers.Wait(); close(done) }()
			for open := true; open; {
				for _, network := range []string{"udp", "tcp"} {
					if got := s.mustAsk(t, network, "127.2.0.1", question("www.foobar.com.", dns.TypeA)); len(got.Answer) != 2 {
						t.Errorf("over %s: %v", network, got)
					}
				}
				select {
				case <-done:
					open = false
				default:
				}
			}
			if opened.Load() < connections*9/10 {
				t.Fatalf("only %d connections could be opened", opened.Load())
			}
			peak := peakMiB(t, s.command.Process.Pid)
			t.Logf("the server took %d MiB at most", peak)
			if peak > mostMiB {
				t.Errorf("the server took %d MiB, more than %d", peak, mostMiB)
			}
			s.eventually(t, 5*time.Second, "keep its bound", func() error {
				files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.command.Process.Pid))
				if err == nil && len(files) > maxConnections+100 {
					err = fmt.Errorf("%d files are open", len(files))
				}
				return err
			})
		})
	}
}

// peakMiB returns the most memory that a process has used at any time (VmHWM, proc_pid_status(5)).
func peakMiB(t *testing.T, pid int) int {
	t.Helper()
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kB, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kB / 1024
		}
	}
	t.Fatal("the system does not say how much memory a process takes")
	return 0
}

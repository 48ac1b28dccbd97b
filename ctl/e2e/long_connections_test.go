package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// An address that opens connections and sends half a header on each takes none from others, up to a certain rate;
// docs/security.md has the figures that this test prints for higher rates. The test connects to web's own address, bypassing
// the engine's proxy, which would not survive it.
func TestLongHalfHeadersAtARate(t *testing.T) {
	target := site.subnet + ".80:80"
	if connection, err := net.DialTimeout("tcp", target, 2*time.Second); err != nil {
		t.Skipf("the engine's networks cannot be reached from here: %v", err)
	} else {
		connection.Close()
	}
	visitor := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	visit := func(ctx context.Context) (took time.Duration, err error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/", nil)
		if err != nil {
			return 0, err
		}
		request.Host = "www.foobar.com"
		begun := time.Now()
		response, err := visitor.Do(request)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return 0, err
		}
		if response.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("status %d", response.StatusCode)
		}
		return time.Since(begun), nil
	}
	for _, rate := range []int{0, 200, 700, 850, 1000, 1500} { // new connections per second
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		var all sync.WaitGroup
		opened := 0
		all.Go(func() {
			if rate == 0 {
				return
			}
			for begun := time.Now(); ctx.Err() == nil; opened++ {
				time.Sleep(time.Until(begun.Add(time.Duration(opened) * time.Second / time.Duration(rate))))
				all.Go(func() {
					connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", target)
					if err != nil {
						return // there is no room for this connection, which is the point
					}
					defer connection.Close()
					defer context.AfterFunc(ctx, func() { connection.Close() })()
					if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: www.foobar.com\r\nX-"); err == nil {
						_, _ = io.Copy(io.Discard, connection) // until Nginx closes it
					}
				})
			}
		})
		var (
			mu     sync.Mutex
			took   []time.Duration
			failed int
		)
		due := time.NewTicker(50 * time.Millisecond)
		for ctx.Err() == nil {
			<-due.C
			all.Go(func() {
				one, err := visit(t.Context())
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed++
				} else {
					took = append(took, one)
				}
			})
		}
		due.Stop()
		cancel()
		all.Wait()
		slices.Sort(took)
		if len(took) == 0 {
			t.Fatalf("at %d a second, nobody else got in", rate)
		}
		t.Logf("at %4d a second (%d were opened): of a visitor's %d requests, %d failed, the median took %s, the slowest %s", rate, opened, failed+len(took), failed, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
		if rate <= 200 && failed > 0 {
			t.Errorf("at %d a second, %d requests of a visitor failed", rate, failed)
		}
	}
	newScenario(t, site).Then(10*time.Second, check{"the site answers as before", []string{"web"}, func(ctx context.Context, _ *copyOfStack) error {
		_, err := visit(ctx)
		return err
	}})
}

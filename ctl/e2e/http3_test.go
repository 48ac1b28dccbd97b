package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Every page, and 2,000 requests, 40 at a time. Nginx ends a connection after 1,000 requests (keepalive_requests), and the
// client must lose none over that.
func TestHTTP3AnswersEveryRequest(t *testing.T) {
	t.Parallel()
	authority, err := site.authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(authority)
	var connections atomic.Int32
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted},
		Dial: func(ctx context.Context, _ string, tls *tls.Config, config *quic.Config) (*quic.Conn, error) {
			connections.Add(1)
			return quic.DialAddr(ctx, "127.0.0.1:"+site.httpsPort, tls, config)
		},
	}
	t.Cleanup(func() { transport.Close() })
	visitor := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ask := func(path string) error {
		response, err := visitor.Get("https://www.foobar.com:" + site.httpsPort + path)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 3 {
			return fmt.Errorf("%s over %s", response.Status, response.Proto)
		}
		return nil
	}

	files, err := filepath.Glob(filepath.Join(root, "services/web/*.*"))
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/", "/api/v1/posts", "/api/v1/posts?limit=1"}
	for _, file := range files {
		paths = append(paths, "/"+filepath.Base(file))
	}
	for _, path := range paths {
		if err := ask(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	const visitors, each = 40, 50
	var all sync.WaitGroup
	for i := range visitors {
		all.Go(func() {
			for j := range each {
				path := paths[(i+j)%len(paths)]
				if err := ask(path); err != nil {
					t.Errorf("%s, request %d of visitor %d: %v", path, j, i, err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d paths, then %d requests, over %d connections", len(paths), visitors*each, connections.Load())
	if n := connections.Load(); n < 2 || n > 10 {
		t.Errorf("%d connections, want a few that are used again and again", n)
	}
}

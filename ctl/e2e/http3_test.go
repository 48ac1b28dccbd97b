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

// Every page, and then 2,000 requests over one connection, 40 at a time. By default Nginx ends a connection after 1,000, and
// the requests that are then on their way fail.
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
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want one for everything", n)
	}
}

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// raw sends bytes to the copy's web server as they are and returns the header of the answer as it came, line ends
// included: a client library would hide what a browser may take for one.
func (c *copyOfStack) raw(request string) (header string, err error) {
	connection, err := net.DialTimeout("tcp", "127.0.0.1:"+c.httpPort, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(connection, request); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return "", err
	}
	before, _, found := bytes.Cut(answer, []byte("\r\n\r\n"))
	switch {
	case !bytes.HasPrefix(answer, []byte("HTTP/")):
		return "", nil // a request line that ends early is one of HTTP/0.9, whose answer has no header
	case !found:
		return "", fmt.Errorf("no header in %q", answer)
	}
	return string(before), nil
}

// Whatever byte stands in an address, encoded or not, it ends no line of the response header and begins no field in it.
func TestAnAddressWritesNoResponseHeader(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/x%20a", "/api/v1/posts", "/nothing", "/errors/error.html", "/errors/x%20429"} {
		for b := range 256 {
			for _, form := range []string{fmt.Sprintf("%%%02x", b), string([]byte{byte(b)})} {
				address := path + form + "Injected:" + url.QueryEscape(" ") + "1;%20Path=/" + form + "X:%20z"
				header, err := site.raw("GET " + address + " HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n")
				if err != nil {
					t.Fatalf("%q: %v", address, err)
				}
				for field := range strings.SplitSeq(header, "\r\n") {
					if strings.ContainsFunc(field, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.HasPrefix(field, "Injected") || strings.HasPrefix(field, "X:") {
						t.Errorf("%q answers with the line %q", address, field)
					}
				}
			}
		}
	}
}

package trace

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"oneserver/ctl/internal/stack"
)

func settings(pairs ...string) stack.Settings {
	s := stack.Settings{"DOMAIN": "foobar.com", "BIND": "127.0.0.1", "HTTP_PORT": "80", "HTTPS_PORT": "443", "DNS_PORT": "1053"}
	for i := 0; i < len(pairs); i += 2 {
		s[pairs[i]] = pairs[i+1]
	}
	return s
}

func TestOnlyThisSiteOnThisMachineIsAsked(t *testing.T) {
	t.Parallel()
	everywhere := []string{"BIND", "0.0.0.0", "HTTP_PORT", "8080"}
	for _, test := range []struct {
		settings            stack.Settings
		address             string
		url, http, dns, err string
	}{
		{settings(), "", "http://www.foobar.com/api/v1/posts", "127.0.0.1:80", "www.foobar.com.", ""},
		{settings(), "/", "http://www.foobar.com/", "127.0.0.1:80", "www.foobar.com.", ""},
		{settings(), "/search?q=a%20b#top", "http://www.foobar.com/search?q=a%20b", "127.0.0.1:80", "www.foobar.com.", ""},
		{settings(), "/é?q=é\u009b31m", "http://www.foobar.com/%C3%A9?q=%C3%A9%C2%9B31m", "127.0.0.1:80", "www.foobar.com.", ""},
		{settings(), "http://WWW.foobar.com:80/x", "http://WWW.foobar.com/x", "127.0.0.1:80", "www.foobar.com.", ""},
		{settings(), "http://foobar.com/", "http://foobar.com/", "127.0.0.1:80", "foobar.com.", ""},
		{settings(), "http://localhost/", "http://localhost/", "127.0.0.1:80", "", ""},
		{settings(everywhere...), "", "http://www.foobar.com:8080/api/v1/posts", "127.0.0.1:8080", "www.foobar.com.", ""},
		{settings("BIND", "192.0.2.1"), "/", "http://www.foobar.com/", "192.0.2.1:80", "www.foobar.com.", ""},
		{settings("DOMAIN", "Example.org"), "/", "http://www.example.org/", "127.0.0.1:80", "www.example.org.", ""},
		{settings("ACME", "https://authority.example/"), "", "https://www.foobar.com/api/v1/posts", "127.0.0.1:443", "www.foobar.com.", ""},
		{settings("ACME", "https://authority.example/"), "http://www.foobar.com/", "http://www.foobar.com/", "127.0.0.1:80", "www.foobar.com.", ""},

		{settings(), "http://example.com/", "", "", "", "is not on this site"},
		{settings(), "//example.com/", "", "", "", "is not on this site"},
		{settings(), "http://\u009b31m.example/", "", "", "", `\u009b31m.example`},
		{settings(), "http://8.8.8.8/", "", "", "", "is not on this site"},
		{settings(), "http://www.foobar.com.example.com/", "", "", "", "is not on this site"},
		{settings(), "http://www.foobar.com@example.com/", "", "", "", "has no user"},
		{settings(), "https://www.foobar.com/", "https://www.foobar.com/", "127.0.0.1:443", "www.foobar.com.", ""},
		{settings("HTTPS_PORT", "8443"), "https://localhost:8443/", "https://localhost:8443/", "127.0.0.1:8443", "", ""},
		{settings("HTTPS_PORT", "8443"), "https://localhost/", "https://localhost:8443/", "127.0.0.1:8443", "", ""},
		{settings(), "https://www.foobar.com:80/", "", "", "", "published on port 443 (HTTPS_PORT)"},
		{settings(), "file:///etc/passwd", "", "", "", "only http:// and https://"},
		{settings(), "http://www.foobar.com:81/", "", "", "", "published on port 80"},
		{settings(), "http://%zz/", "", "", "", "is not an address"},
	} {
		to, err := aim(test.settings, test.address)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want an error with %q", test.address, err, test.err)
			}
			continue
		}
		if err != nil || to.url.String() != test.url || to.http != test.http || to.name != test.dns {
			t.Errorf("%s: %v, %+v, %v", test.address, to.url, to, err)
		}
	}
}

func TestTheAnswersOfTheNameServerAreShownAsTheyCame(t *testing.T) {
	t.Parallel()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	go (&dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		answer.Authoritative = true
		for _, text := range []string{"www.foobar.com. 300 IN CNAME foobar.com.", "foobar.com. 60 IN A 8.8.8.8"} {
			record, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
				continue
			}
			answer.Answer = append(answer.Answer, record)
		}
		w.WriteMsg(answer)
	})}).ActivateAndServe()

	got := ask(t.Context(), socket.LocalAddr().String(), "www.foobar.com.")
	got.DurationMS = 0
	want := Lookup{
		Server: socket.LocalAddr().String(), Question: "www.foobar.com. A", Status: "NOERROR", Flags: []string{"qr", "aa", "rd"},
		Records: []Record{{"www.foobar.com.", 300, "CNAME", "foobar.com."}, {"foobar.com.", 60, "A", "8.8.8.8"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if got := ask(t.Context(), "127.0.0.1:1", "www.foobar.com."); got.Error == "" {
		t.Errorf("without a name server: %+v", got)
	}
}

func TestTheExchangeIsRecorded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "www.foobar.com:8080" || r.URL.String() != "/elsewhere?x=1" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("got %s %s %v", r.Host, r.URL, r.Header)
		}
		w.Header().Set("X-Request-ID", "0123456789abcdef")
		w.Header().Set("Set-Cookie", "session=secret")
		w.Header().Set("Location", "http://example.com/") // is not followed
		w.WriteHeader(http.StatusFound)
		w.Write([]byte("four"))
	}))
	defer server.Close()
	to, err := aim(settings("HTTP_PORT", "8080"), "/elsewhere?x=1")
	if err != nil {
		t.Fatal(err)
	}
	to.http = strings.TrimPrefix(server.URL, "http://")
	got, err := visit(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if got.Address != to.http || got.Status != 302 || got.Bytes != 4 || got.Request.Line != "GET /elsewhere?x=1 HTTP/1.1" ||
		got.Response.Line != "HTTP/1.1 302 Found" || got.Response.header("X-Request-ID") != "0123456789abcdef" ||
		got.Response.header("Location") != "http://example.com/" || got.Response.header("Set-Cookie") != "" {
		t.Errorf("got %+v", got)
	}
	if got.ConnectMS <= 0 || got.FirstByteMS <= 0 || got.TotalMS < got.FirstByteMS {
		t.Errorf("the times are %+v", got)
	}
}

func TestTLSIsRecordedAndTheCertificateVerified(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Request-ID", "0123456789abcdef") }))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // about the client that refuses it
	server.StartTLS()
	defer server.Close()
	to, err := aim(settings("DOMAIN", "example.com"), "https://www.example.com/") // httptest's certificate is for *.example.com
	if err != nil {
		t.Fatal(err)
	}
	to.http, to.trusted = server.Listener.Addr().String(), x509.NewCertPool()
	var refused *tls.CertificateVerificationError
	if _, err := visit(t.Context(), to); !errors.As(err, &refused) {
		t.Errorf("a certificate of nobody that is trusted: %v", err)
	}
	to.trusted.AddCert(server.Certificate())
	got, err := visit(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	agreed := got.TLS
	if agreed == nil || agreed.HandshakeMS <= 0 || agreed.HandshakeMS > got.TotalMS || agreed.Version != "TLS 1.3" || agreed.KeyExchange != "X25519MLKEM768" ||
		!strings.HasPrefix(agreed.Cipher, "TLS_") || !slices.Contains(agreed.Names, "example.com") || agreed.Issuer != "Acme Co" || agreed.DaysLeft < 365 {
		t.Errorf("got %+v", agreed)
	}
	if got.Request.Line != "GET / HTTP/2.0" || got.Response.Line != "HTTP/2.0 200 OK" {
		t.Errorf("got %q, %q", got.Request.Line, got.Response.Line)
	}
}

const log = `a line that is no JSON, 0123456789abcdef
{"time":"2026-11-25T03:00:00+00:00","request_id":"0123456789abcdee","remote_addr":"172.28.0.1","status":404,"bytes":1,"request_time":0.001}
{"time":"2026-11-25T03:00:01+00:00","request_id":"0123456789abcdef","remote_addr":"172.28.0.1","method":"GET","host":"www.foobar.com","uri":"/api/v1/posts","protocol":"HTTP/1.1","status":200,"bytes":5600,"request_time":0.003,"upstream_addr":"172.28.0.130:8080, 172.28.0.131:8080","upstream_status":"502, 200","upstream_connect_time":"-, 0.000","upstream_header_time":"-, 0.002","upstream_response_time":"0.001, 0.002","cache":"MISS","user_agent":"oneserver-trace"}
{"time":"2026-11-25T03:00:02+00:00","request_id":"0123456789abcdea","user_agent":"0123456789abcdef"}
`

func TestTheRequestIsFoundInNginxLog(t *testing.T) {
	t.Parallel()
	got := findLine(strings.NewReader(log), "0123456789abcdef")
	if want := (&WebLog{
		RequestID: "0123456789abcdef", RemoteAddr: "172.28.0.1", Status: 200, Bytes: 5600, RequestTime: 0.003,
		Upstream: "172.28.0.130:8080, 172.28.0.131:8080", UpstreamSaid: "502, 200", UpstreamTime: "0.001, 0.002", Cache: "MISS",
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if got := findLine(strings.NewReader(log), "fedcba9876543210"); got != nil {
		t.Errorf("a request that is not there is %+v", got)
	}
}

// example returns the trace of a request that Nginx tried with two replicas.
func example() *Trace {
	return &Trace{
		URL: "http://www.foobar.com/api/v1/posts", RequestID: "0123456789abcdef",
		DNS: &Lookup{
			Server: "127.0.0.1:1053", Question: "www.foobar.com. A", Status: "NOERROR", Flags: []string{"qr", "aa", "rd"}, DurationMS: 0.412,
			Records: []Record{{"www.foobar.com.", 300, "CNAME", "foobar.com."}, {"foobar.com.", 300, "A", "8.8.8.8"}},
		},
		HTTP: Exchange{
			Address: "127.0.0.1:80", ConnectMS: 0.123, FirstByteMS: 3.21, TotalMS: 3.5, Status: 200, Bytes: 5123,
			Request:  Message{"GET /api/v1/posts HTTP/1.1", []Field{{"Host", "www.foobar.com"}, {"Accept", "*/*"}}},
			Response: Message{"HTTP/1.1 200 OK", []Field{{"Content-Type", "application/json"}, {"X-Request-ID", "0123456789abcdef"}}},
		},
		Web: findLine(strings.NewReader(log), "0123456789abcdef"),
		App: []AppEntry{{
			Container: "oneserver-app-2", Replica: "4f1c0a5b77de", Method: "GET", Route: "/api/v1/posts", Status: 200, DurationMS: 1.9, DatabaseMS: 1.2,
			Statements:     []Statement{{"SELECT posts.id,posts.author_id,posts.title,posts.body,posts.created_at\n\tFROM posts ORDER BY posts.id DESC LIMIT ?", 0.2, 1.1}},
			StatementCount: 1,
		}},
	}
}

func TestThePage(t *testing.T) {
	t.Parallel()
	with := func(change func(*Trace)) *Trace {
		one := example()
		change(one)
		return one
	}
	for _, test := range []struct {
		name  string
		trace *Trace
		want  string
	}{
		{"through everything", example(), `GET http://www.foobar.com/api/v1/posts
request 0123456789abcdef

dns   www.foobar.com. A, asked of CoreDNS at 127.0.0.1:1053                                   0.4 ms
      NOERROR, flags qr aa rd (aa: it has the authority)
      www.foobar.com.  300  CNAME  foobar.com.
      foobar.com.      300  A      8.8.8.8

http  connect to 127.0.0.1:80, where this machine publishes the site                          0.1 ms
      > GET /api/v1/posts HTTP/1.1
      > Host:    www.foobar.com
      > Accept:  */*
      < HTTP/1.1 200 OK
      < Content-Type:  application/json
      < X-Request-ID:  0123456789abcdef
      until the first byte                                                                    3.2 ms
      in all, with 5123 bytes of body                                                         3.5 ms

web   Nginx passed it on and answered 200                                                     3.0 ms
      its cache: MISS
      172.28.0.130:8080 answered 502                                                          1.0 ms
      172.28.0.131:8080 answered 200                                                          2.0 ms

app   oneserver-app-2 (4f1c0a5b77de): GET /api/v1/posts, 200                                  1.9 ms

db    1 statement, waits for a connection included                                            1.2 ms
      +0.2 ms  SELECT posts.id,posts.author_id,posts.title,posts.body,posts.created_at        1.1 ms
               FROM posts ORDER BY posts.id DESC LIMIT ?
`},
		{"a static file", with(func(one *Trace) {
			one.URL, one.DNS, one.App = "http://localhost/", nil, nil
			one.Web = &WebLog{Status: 200, RequestTime: 0}
		}), `GET http://localhost/
request 0123456789abcdef

dns   not asked: localhost is this machine, without any name server

http  connect to 127.0.0.1:80, where this machine publishes the site                          0.1 ms
      > GET /api/v1/posts HTTP/1.1
      > Host:    www.foobar.com
      > Accept:  */*
      < HTTP/1.1 200 OK
      < Content-Type:  application/json
      < X-Request-ID:  0123456789abcdef
      until the first byte                                                                    3.2 ms
      in all, with 5123 bytes of body                                                         3.5 ms

web   Nginx served a static file; no application was asked                                    0.0 ms
`},
		{"from the cache", with(func(one *Trace) {
			one.DNS, one.App = &Lookup{Server: "127.0.0.1:1053", Question: "www.foobar.com. A", Error: "i/o timeout"}, nil
			one.Web = &WebLog{Status: 200, Cache: "HIT"}
		}), `GET http://www.foobar.com/api/v1/posts
request 0123456789abcdef

dns   www.foobar.com. A, asked of CoreDNS at 127.0.0.1:1053                                   0.0 ms
      no answer: i/o timeout

http  connect to 127.0.0.1:80, where this machine publishes the site                          0.1 ms
      > GET /api/v1/posts HTTP/1.1
      > Host:    www.foobar.com
      > Accept:  */*
      < HTTP/1.1 200 OK
      < Content-Type:  application/json
      < X-Request-ID:  0123456789abcdef
      until the first byte                                                                    3.2 ms
      in all, with 5123 bytes of body                                                         3.5 ms

web   Nginx answered 200 from its cache (HIT)                                                 0.0 ms
`},
		{"over https", with(func(one *Trace) {
			one.URL, one.DNS, one.App = "https://localhost/", nil, nil
			one.Web = &WebLog{Status: 200, RequestTime: 0}
			one.HTTP.Address = "127.0.0.1:443"
			one.HTTP.TLS = &TLS{HandshakeMS: 2.345, Version: "TLS 1.3", KeyExchange: "X25519MLKEM768", Cipher: "TLS_AES_128_GCM_SHA256",
				Names: []string{"www.foobar.com", "foobar.com", "localhost", "127.0.0.1", "::1"}, Issuer: "oneserver of foobar.com, 2026-12-01",
				NotAfter: time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC), DaysLeft: 89}
			one.HTTP.Request.Line, one.HTTP.Response.Line = "GET / HTTP/2.0", "HTTP/2.0 200 OK"
		}), `GET https://localhost/
request 0123456789abcdef

dns   not asked: localhost is this machine, without any name server

https connect to 127.0.0.1:443, where this machine publishes the site                         0.1 ms
      handshake of TLS, as this program and Nginx agreed:                                     2.3 ms
      TLS 1.3, key exchange X25519MLKEM768, cipher TLS_AES_128_GCM_SHA256
      certificate, as Nginx showed it and as this program verified it:
      of www.foobar.com, foobar.com, localhost, 127.0.0.1, ::1
      by oneserver of foobar.com, 2026-12-01, until 2027-03-01: 89 days left
      > GET / HTTP/2.0
      > Host:    www.foobar.com
      > Accept:  */*
      < HTTP/2.0 200 OK
      < Content-Type:  application/json
      < X-Request-ID:  0123456789abcdef
      until the first byte                                                                    3.2 ms
      in all, with 5123 bytes of body                                                         3.5 ms

web   Nginx served a static file; no application was asked                                    0.0 ms
`},
		{"an unknown end", with(func(one *Trace) {
			one.App, one.Web.Cache = nil, ""
			one.Remarks = []string{"oneserver-app-1: it is paused"}
		}), `GET http://www.foobar.com/api/v1/posts
request 0123456789abcdef

dns   www.foobar.com. A, asked of CoreDNS at 127.0.0.1:1053                                   0.4 ms
      NOERROR, flags qr aa rd (aa: it has the authority)
      www.foobar.com.  300  CNAME  foobar.com.
      foobar.com.      300  A      8.8.8.8

http  connect to 127.0.0.1:80, where this machine publishes the site                          0.1 ms
      > GET /api/v1/posts HTTP/1.1
      > Host:    www.foobar.com
      > Accept:  */*
      < HTTP/1.1 200 OK
      < Content-Type:  application/json
      < X-Request-ID:  0123456789abcdef
      until the first byte                                                                    3.2 ms
      in all, with 5123 bytes of body                                                         3.5 ms

web   Nginx passed it on and answered 200                                                     3.0 ms
      172.28.0.130:8080 answered 502                                                          1.0 ms
      172.28.0.131:8080 answered 200                                                          2.0 ms

app   no replica knows the request

      oneserver-app-1: it is paused
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.trace.text(usualWidth, false); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if plainText, coloured := test.trace.text(usualWidth, false), test.trace.text(usualWidth, true); uncoloured(coloured) != plainText || coloured == plainText {
				t.Errorf("with colours it is another page:\n%s", coloured)
			}
		})
	}
}

func uncoloured(text string) string {
	return strings.NewReplacer(bold, "", dim, "", red, "", green, "", yellow, "", cyan, "", plain, "").Replace(text)
}

func TestNoLineIsLongerThanTheScreen(t *testing.T) {
	t.Parallel()
	for _, width := range []int{narrowWidth, 80, usualWidth} {
		for _, line := range strings.Split(example().text(width, false), "\n") {
			if n := len([]rune(line)); n > width {
				t.Errorf("at %d columns a line has %d: %s", width, n, line)
			}
		}
	}
}

func TestJSONHasItAll(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := example().PrintJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got Trace
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || !reflect.DeepEqual(&got, example()) {
		t.Errorf("%v, and read again it is\n%+v", err, got)
	}
}

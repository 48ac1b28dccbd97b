package journey

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// datagram is the size of the largest answer without EDNS (RFC 1035, section 2.3.4).
const datagram = 512

// ask asks the name server at address for the A record of name, and shows the answer as received.
func ask(ctx context.Context, address, name string) DNS {
	ctx, cancel := context.WithTimeout(ctx, dnsLimit)
	defer cancel()
	answer := DNS{Question: name + " A", View: "inside", Records: []Record{}}
	began := time.Now()
	message, err := exchange(ctx, address, name)
	answer.Duration = float64(time.Since(began).Microseconds()) / 1000
	if err == nil {
		answer.Records, err = records(message)
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		answer.Error = fmt.Sprintf("no answer within %s", dnsLimit)
	case errors.As(err, new(*net.OpError)):
		answer.Error = "it cannot be reached" // without the internal addresses that the cause contains
	default:
		answer.Error = err.Error()
	}
	return answer
}

// exchange sends the question in one datagram and waits for the answer to it. The stack's own name server is on the
// same network, so a lost datagram is a fault to report, and is not sent again.
func exchange(ctx context.Context, address, name string) ([]byte, error) {
	host, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, fmt.Errorf("the name %s cannot be asked for: %w", name, err)
	}
	question := dnsmessage.Question{Name: host, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	id := uint16(rand.Uint32())
	query, err := (&dnsmessage.Message{Header: dnsmessage.Header{ID: id}, Questions: []dnsmessage.Question{question}}).Pack()
	if err != nil {
		return nil, fmt.Errorf("the name %s cannot be asked for: %w", name, err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, datagram)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		var parser dnsmessage.Parser
		header, err := parser.Start(buffer[:n])
		if err != nil || !header.Response || header.ID != id {
			continue // not an answer to us
		}
		if echoed, err := parser.Question(); err == nil && echoed.Type == question.Type &&
			strings.EqualFold(echoed.Name.String(), name) {
			return buffer[:n], nil
		}
	}
}

// failures are the response codes of failed queries, as DNS tools write them (RFC 6895, section 2.3).
var failures = map[dnsmessage.RCode]string{
	dnsmessage.RCodeFormatError:    "FORMERR",
	dnsmessage.RCodeServerFailure:  "SERVFAIL",
	dnsmessage.RCodeNameError:      "NXDOMAIN",
	dnsmessage.RCodeNotImplemented: "NOTIMP",
	dnsmessage.RCodeRefused:        "REFUSED",
}

// records returns the records of an answer.
func records(message []byte) ([]Record, error) {
	var parsed dnsmessage.Message
	if err := parsed.Unpack(message); err != nil {
		return []Record{}, errors.New("it answers with something else than DNS")
	}
	list := []Record{}
	for _, resource := range parsed.Answers {
		record := Record{Name: resource.Header.Name.String(), TTL: resource.Header.TTL,
			Type: strings.TrimPrefix(resource.Header.Type.String(), "Type")}
		switch body := resource.Body.(type) {
		case *dnsmessage.CNAMEResource:
			record.Data = body.CNAME.String()
		case *dnsmessage.AResource:
			record.Data = netip.AddrFrom4(body.A).String()
		}
		list = append(list, record)
	}
	switch {
	case parsed.RCode != dnsmessage.RCodeSuccess:
		return list, fmt.Errorf("it answers %s", cmp.Or(failures[parsed.RCode], parsed.RCode.String()))
	case len(list) == 0:
		return list, errors.New("it knows no address for the name")
	}
	return list, nil
}

// metricsPort is the port of the name server's metrics (corefile).
const metricsPort = "9153"

func metricsURL(dnsAddress string) string {
	host, _, _ := net.SplitHostPort(dnsAddress) // without a host there will be no answer either
	return "http://" + net.JoinHostPort(host, metricsPort) + "/metrics"
}

var (
	// metricsClient uses no proxy from the environment. It keeps no connections open, since it leaves most of each
	// answer unread.
	metricsClient = http.Client{Timeout: dnsLimit, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	inBuildInfo   = regexp.MustCompile(`^coredns_build_info\{.*\bversion="([0-9A-Za-z.+-]{1,32})"`)
)

// dnsVersion reads the name server's version from its metrics; it returns "" if it finds none. The metrics are sorted,
// and the version comes first.
func dnsVersion(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	response, err := metricsClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(response.Body, 1<<20)); lines.Scan(); {
		if match := inBuildInfo.FindSubmatch(lines.Bytes()); match != nil {
			return string(match[1])
		}
	}
	return ""
}

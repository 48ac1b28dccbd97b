package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestMetricsCountTheQueriesOfEachView(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.mustAsk(t, "udp", "127.28.0.130", question("www.foobar.com.", dns.TypeA))
	for _, want := range []string{
		`(?m)^coredns_build_info\{.*version="[0-9.]+"\} 1$`,
		`(?m)^coredns_dns_requests_total\{.*type="A",view="inside",zone="foobar.com."\} [1-9]`,
		`(?m)^coredns_dns_requests_total\{.*type="SOA",view="",zone="foobar.com."\} [1-9]`, // asked by start
		`(?m)^coredns_dns_request_duration_seconds_bucket\{`,
	} {
		s.eventually(t, 5*time.Second, "count", func() error {
			metrics, err := s.readMetrics()
			if err != nil {
				return err
			}
			if !regexp.MustCompile(want).MatchString(metrics) {
				return fmt.Errorf("nothing matches %s in\n%s", want, metrics)
			}
			return nil
		})
	}
}

// A new Corefile means new server blocks, but the counts continue.
func TestMetricsSurviveAChangedCorefile(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.write(t, "corefile", strings.ReplaceAll(s.corefile(t), "bufsize 1232", "bufsize 900"))
	s.eventually(t, 5*time.Second, "take over the Corefile", s.logs("[INFO] Reloading complete"))
	s.eventually(t, 5*time.Second, "show metrics", func() error {
		_, err := s.readMetrics()
		return err
	})
}

func (s *server) readMetrics() (string, error) {
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/valyala/fasthttp"

	"oneserver/ctl/internal/bench/load"
)

// visitors reads jobs from in until it ends, and sends the requests that they describe. Its client costs a fraction of
// net/http's, which matters because the load takes processor time from the program under test.
func visitors(in io.Reader, out io.Writer) error {
	client := &fasthttp.Client{
		NoDefaultUserAgentHeader:  true,
		ReadTimeout:               15 * time.Second,
		WriteTimeout:              5 * time.Second,
		MaxIdleConnDuration:       time.Minute, // Nginx closes after 65 s
		MaxIdemponentCallAttempts: 1,           // a failure is reported, not retried
	}
	jobs, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var job load.Job
		if err := jobs.Decode(&job); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a job: %w", err)
		}
		run := do
		if job.Moments > 0 {
			run = askTogether
		}
		if err := results.Encode(run(client, job)); err != nil {
			return fmt.Errorf("write a result: %w", err)
		}
	}
}

// do runs a job with one visitor for each connection, and adds up their results.
func do(client *fasthttp.Client, job load.Job) load.Result {
	var (
		mu       sync.Mutex // guards the variables below
		total    load.Result
		waits    []time.Duration
		visitors sync.WaitGroup
	)
	next := turns(job)
	begun := time.Now()
	for range max(job.Connections, 1) {
		visitors.Go(func() {
			one, waited, err := ask(client, job, next)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && job.Method == "" && total.Size > 0 && one.Requests > 0 && one.Size != total.Size {
				err = fmt.Errorf("answers of %d and of %d bytes", total.Size, one.Size)
			}
			if err != nil {
				total.Error = err.Error()
			}
			total.Requests += one.Requests
			total.Size, total.Body = max(total.Size, one.Size), one.Body
			waits = append(waits, waited...)
		})
	}
	visitors.Wait()
	total.Elapsed = time.Since(begun)
	if len(waits) > 0 {
		total.Half, total.P99 = percentiles(waits)
	}
	return total
}

// askTogether makes all visitors send the same request at the same moment, and repeats that with other requests. The first
// moment only opens the connections.
func askTogether(client *fasthttp.Client, job load.Job) load.Result {
	var total load.Result
	var waits []time.Duration
	begun := time.Now()
	for moment := range job.Moments + 1 {
		same := job
		same.URL = strings.ReplaceAll(job.URL, load.Number, nextNumber(job))
		took, errs := make([]time.Duration, job.Connections), make([]error, job.Connections)
		var visitors sync.WaitGroup
		start := make(chan struct{})
		for i := range job.Connections {
			visitors.Go(func() {
				once, leave := overHTTP1(client, same)
				defer leave()
				<-start
				due := time.Now()
				status, body, err := once()
				if took[i] = time.Since(due); err == nil && status != http.StatusOK {
					err = fmt.Errorf("answered with %d: %.200s", status, body)
				}
				errs[i] = err
			})
		}
		close(start)
		visitors.Wait()
		if err := errors.Join(errs...); err != nil {
			total.Error = err.Error()
			return total
		}
		if moment > 0 {
			total.Requests += job.Connections
			waits = append(waits, took...)
		}
	}
	total.Elapsed = time.Since(begun)
	total.Half, total.P99 = percentiles(waits)
	return total
}

func percentiles(waits []time.Duration) (half, p99 time.Duration) {
	slices.Sort(waits)
	return waits[len(waits)/2], waits[len(waits)*99/100]
}

// turns returns a function that waits until the next request is due and returns when it became due. Its second result is
// false at the end of the job. Without a rate, the loop is closed: each visitor sends its next request as soon as it has an
// answer. With a rate, requests are due at regular times, whether or not the answers keep up.
func turns(job load.Job) (next func() (due time.Time, more bool)) {
	begun := time.Now()
	var asked atomic.Int64
	if job.Rate == 0 {
		return func() (time.Time, bool) {
			now := time.Now()
			return now, asked.Add(1) <= int64(max(job.Connections, 1)) || now.Before(begun.Add(job.For))
		}
	}
	return func() (time.Time, bool) {
		after := time.Duration(float64(asked.Add(1)) / job.Rate * float64(time.Second))
		due := begun.Add(after)
		if early := time.Until(due); early > 0 {
			time.Sleep(early)
			due = time.Now() // the server does not cause a late wake-up
		}
		return due, after < job.For
	}
}

// ask acts as one visitor. waited holds how long each answer took, if the job has a rate.
func ask(client *fasthttp.Client, job load.Job, next func() (time.Time, bool)) (result load.Result, waited []time.Duration, err error) {
	once, leave, err := visit(client, job)
	if err != nil {
		return result, nil, err
	}
	defer leave()
	for {
		due, more := next()
		if !more {
			return result, waited, nil
		}
		status, body, err := once()
		if err != nil {
			return result, nil, err
		}
		switch {
		case status != http.StatusOK && status != http.StatusCreated:
			return result, nil, fmt.Errorf("answered with %d: %.200s", status, body)
		case job.Method == "" && result.Requests > 0 && len(body) != result.Size:
			return result, nil, fmt.Errorf("answers of %d and of %d bytes", result.Size, len(body))
		}
		result.Requests++
		result.Size = len(body)
		if job.Rate > 0 {
			waited = append(waited, time.Since(due))
		}
		if job.For == 0 {
			result.Body = append(result.Body, body...)
		}
	}
}

// visit returns a function that sends one request and one that ends the visit. A body is valid until the next request.
func visit(client *fasthttp.Client, job load.Job) (once func() (status int, body []byte, err error), leave func(), err error) {
	url, err := url.Parse(job.URL)
	if err != nil {
		return nil, nil, err
	}
	switch job.Speak {
	case load.HTTP1:
		once, leave = overHTTP1(client, job)
		return once, leave, nil
	case load.DNS:
		return overDNS(url)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(job.Authority) {
		return nil, nil, errors.New("the job names no authority to trust")
	}
	config := &tls.Config{ServerName: job.Host, RootCAs: trusted}
	if job.Speak == load.Handshake {
		address := net.JoinHostPort(url.Hostname(), cmp.Or(url.Port(), "443"))
		dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: config}
		return func() (int, []byte, error) {
			connection, err := dialer.Dial("tcp", address)
			if err != nil {
				return 0, nil, err
			}
			return http.StatusOK, nil, connection.Close()
		}, func() {}, nil
	}
	once, leave = overHTTP2(job, config)
	return once, leave, nil
}

// numbered is the number of the latest request. It begins at the clock's time, so it grows from one job to the next, and
// from one container to the next.
var numbered = func() *atomic.Int64 {
	var n atomic.Int64
	n.Store(time.Now().UnixMicro())
	return &n
}()

// nextNumber returns what stands for load.Number in the job's next request.
func nextNumber(job load.Job) string {
	n := numbered.Add(1)
	if job.Numbers > 0 {
		n = n%job.Numbers + 1
	}
	return strconv.FormatInt(n, 10)
}

func overHTTP1(client *fasthttp.Client, job load.Job) (once func() (int, []byte, error), leave func()) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	request.SetRequestURI(job.URL)
	request.Header.SetMethod(cmp.Or(job.Method, http.MethodGet))
	if job.Host != "" {
		request.UseHostHeader = true
		request.Header.SetHost(job.Host)
	}
	if job.Body != "" {
		request.Header.SetContentType("application/json")
	}
	for name, value := range job.Header {
		request.Header.Set(name, value)
	}
	request.SetBodyString(job.Body)
	number := func(text string) {
		for name, value := range job.Header {
			if strings.Contains(value, load.Number) { // setting a cookie a second time would send it twice
				request.Header.Set(name, strings.ReplaceAll(value, load.Number, text))
			}
		}
		request.SetBodyString(strings.ReplaceAll(job.Body, load.Number, text))
		request.SetRequestURI(strings.ReplaceAll(job.URL, load.Number, text))
	}
	numbers := job.Method != "" || strings.Contains(job.URL, load.Number)
	return func() (int, []byte, error) {
			if numbers {
				number(nextNumber(job))
			}
			err := client.Do(request, response)
			return response.StatusCode(), response.Body(), err
		}, func() {
			fasthttp.ReleaseRequest(request)
			fasthttp.ReleaseResponse(response)
		}
}

// overHTTP2 returns the functions of a visitor who has a separate connection, as a browser does.
func overHTTP2(job load.Job, config *tls.Config) (once func() (int, []byte, error), leave func()) {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}
	visitor := &http.Client{Transport: transport, Timeout: 15 * time.Second}
	var body bytes.Buffer
	return func() (int, []byte, error) {
		request, err := http.NewRequest(http.MethodGet, job.URL, nil)
		if err != nil {
			return 0, nil, err
		}
		request.Host = job.Host
		response, err := visitor.Do(request)
		if err != nil {
			return 0, nil, err
		}
		defer response.Body.Close()
		if response.ProtoMajor != 2 {
			return 0, nil, fmt.Errorf("the answer came over %s", response.Proto)
		}
		body.Reset()
		_, err = body.ReadFrom(response.Body)
		return response.StatusCode, body.Bytes(), err
	}, transport.CloseIdleConnections
}

// overDNS returns the functions of a visitor who has a separate socket. They check only that an answer belongs to its query
// and succeeds.
func overDNS(url *url.URL) (once func() (int, []byte, error), leave func(), err error) {
	query, err := new(dns.Msg).SetQuestion(dns.Fqdn(strings.TrimPrefix(url.Path, "/")), dns.TypeA).Pack()
	if err != nil {
		return nil, nil, err
	}
	socket, err := net.Dial("udp", net.JoinHostPort(url.Hostname(), cmp.Or(url.Port(), "53")))
	if err != nil {
		return nil, nil, err
	}
	answer := make([]byte, dns.MinMsgSize)
	return func() (int, []byte, error) {
		query[1]++ // the id (RFC 1035, section 4.1.1), so that a late answer to an earlier query is not taken for the answer to this one
		if err := socket.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return 0, nil, err
		}
		if _, err := socket.Write(query); err != nil {
			return 0, nil, err
		}
		n, err := socket.Read(answer)
		if err != nil {
			return 0, nil, err
		}
		const header, rcode = 12, 0x0f
		if n < header || answer[1] != query[1] || answer[3]&rcode != dns.RcodeSuccess || answer[7] == 0 {
			return 0, nil, fmt.Errorf("not the answer to the query: % x", answer[:n])
		}
		return http.StatusOK, answer[:n], nil
	}, func() { socket.Close() }, nil
}

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
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"oneserver/ctl/internal/bench/load"
)

// visitors sends the requests that in describes, until in ends. Its client costs a fraction of net/http's, and that matters
// because the load takes processor time from what is measured.
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
		if err := results.Encode(do(client, job)); err != nil {
			return fmt.Errorf("write a result: %w", err)
		}
	}
}

// do is a closed loop: each connection sends its next request as soon as it has its answer.
func do(client *fasthttp.Client, job load.Job) load.Result {
	var (
		mu       sync.Mutex // guards the variables below
		total    load.Result
		visitors sync.WaitGroup
	)
	begun := time.Now()
	for range max(job.Connections, 1) {
		visitors.Go(func() {
			one, err := ask(client, job, begun.Add(job.For))
			mu.Lock()
			defer mu.Unlock()
			if err == nil && total.Size > 0 && one.Size != total.Size {
				err = fmt.Errorf("answers of %d and of %d bytes", total.Size, one.Size)
			}
			if err != nil {
				total.Error = err.Error()
			}
			total.Requests += one.Requests
			total.Size, total.Body = one.Size, one.Body
		})
	}
	visitors.Wait()
	total.Elapsed = time.Since(begun)
	return total
}

// ask acts as one visitor, until the deadline and at least once.
func ask(client *fasthttp.Client, job load.Job, deadline time.Time) (load.Result, error) {
	var result load.Result
	once, leave, err := visit(client, job)
	if err != nil {
		return result, err
	}
	defer leave()
	for {
		status, body, err := once()
		if err != nil {
			return result, err
		}
		switch {
		case status != http.StatusOK:
			return result, fmt.Errorf("answered with %d: %.200s", status, body)
		case result.Requests > 0 && len(body) != result.Size:
			return result, fmt.Errorf("answers of %d and of %d bytes", result.Size, len(body))
		}
		result.Requests++
		result.Size = len(body)
		if job.For == 0 {
			result.Body = append(result.Body, body...)
		}
		if !time.Now().Before(deadline) {
			return result, nil
		}
	}
}

// visit returns what a visitor does repeatedly, and what ends the visit. A body is valid until the next call.
func visit(client *fasthttp.Client, job load.Job) (once func() (status int, body []byte, err error), leave func(), err error) {
	if job.Speak == load.HTTP1 {
		once, leave = overHTTP1(client, job)
		return once, leave, nil
	}
	url, err := url.Parse(job.URL)
	if err != nil {
		return nil, nil, err
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

func overHTTP1(client *fasthttp.Client, job load.Job) (once func() (int, []byte, error), leave func()) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	request.SetRequestURI(job.URL)
	if job.Host != "" {
		request.UseHostHeader = true
		request.Header.SetHost(job.Host)
	}
	if job.Cookie != "" {
		request.Header.Set(fasthttp.HeaderCookie, job.Cookie)
	}
	return func() (int, []byte, error) {
			err := client.Do(request, response)
			return response.StatusCode(), response.Body(), err
		}, func() {
			fasthttp.ReleaseRequest(request)
			fasthttp.ReleaseResponse(response)
		}
}

// overHTTP2 uses a connection of its own, as a browser does.
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

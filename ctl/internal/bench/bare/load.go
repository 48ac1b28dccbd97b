package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"oneserver/ctl/internal/bench/load"
)

// visitors asks what it is told to until in ends. Its client costs a fraction of what net/http's does, and what it costs
// is taken from those that are measured: the processors are the same.
func visitors(in io.Reader, out io.Writer) error {
	client := &fasthttp.Client{
		NoDefaultUserAgentHeader:  true,
		ReadTimeout:               15 * time.Second,
		WriteTimeout:              5 * time.Second,
		MaxIdleConnDuration:       time.Minute, // Nginx closes after 65 s
		MaxIdemponentCallAttempts: 1,           // what fails is told, not tried again
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

// do is a closed loop: each connection asks again as soon as it has its answer.
func do(client *fasthttp.Client, job load.Job) load.Result {
	var (
		mu       sync.Mutex // guards what follows
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

// ask is one visitor, until the deadline and at least once.
func ask(client *fasthttp.Client, job load.Job, deadline time.Time) (load.Result, error) {
	var result load.Result
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(job.URL)
	if job.Host != "" {
		request.UseHostHeader = true
		request.Header.SetHost(job.Host)
	}
	if job.Cookie != "" {
		request.Header.Set(fasthttp.HeaderCookie, job.Cookie)
	}
	for {
		if err := client.Do(request, response); err != nil {
			return result, err
		}
		size := len(response.Body())
		switch {
		case response.StatusCode() != fasthttp.StatusOK:
			return result, fmt.Errorf("answered with %d: %.200s", response.StatusCode(), response.Body())
		case result.Requests > 0 && size != result.Size:
			return result, fmt.Errorf("answers of %d and of %d bytes", result.Size, size)
		}
		result.Requests++
		result.Size = size
		if job.For == 0 {
			result.Body = append(result.Body, response.Body()...)
		}
		if !time.Now().Before(deadline) {
			return result, nil
		}
	}
}

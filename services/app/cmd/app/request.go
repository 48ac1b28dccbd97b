package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// showRequest prints, as JSON, what the server on this machine knows about the request with the given id.
func showRequest(ctx context.Context, getenv func(string) string, id string, stdout io.Writer) error {
	address, err := localAddress("METRICS_LISTEN", metricsAddress(getenv))
	if err != nil {
		return settingsError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/requests/"+url.PathEscape(id), nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{}} // no proxy from the environment
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", strings.TrimSpace(string(body)))
	}
	_, err = stdout.Write(body)
	return err
}

// metricsAddress returns the address to listen on for operators (package ops).
func metricsAddress(getenv func(string) string) string {
	if listen := getenv("METRICS_LISTEN"); listen != "" {
		return listen
	}
	return ":9090"
}

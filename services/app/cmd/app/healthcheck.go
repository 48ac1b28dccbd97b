package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthcheck asks the server on this machine whether it is ready, and returns the reason if it is not.
func healthcheck(ctx context.Context, getenv func(string) string) error {
	address, err := localAddress("LISTEN", listenAddress(getenv))
	if err != nil {
		return settingsError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{}} // no proxy from the environment
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	var problem struct {
		Detail string `json:"detail"`
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(body, &problem)
	}
	if err != nil {
		problem.Detail = ""
	}
	return fmt.Errorf("not ready: %s", cmp.Or(problem.Detail, response.Status))
}

// localAddress returns the address under which this machine reaches a server that listens on listen. name is the
// setting that listen comes from.
func localAddress(name, listen string) (string, error) {
	if err := checkAddress(name, listen, false); err != nil {
		return "", err
	}
	host, port, _ := net.SplitHostPort(listen) // checked above
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

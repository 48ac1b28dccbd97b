package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// An action does something to a copy of the stack.
type action func(context.Context, *copyOfStack) error

// A check is a state that must come true.
type check struct {
	says     string   // the state, in words
	services []string // those whose logs may explain a failure
	holds    func(context.Context, *copyOfStack) error
}

// compose runs a docker compose command.
func compose(args ...string) action {
	return func(ctx context.Context, c *copyOfStack) error {
		_, err := c.compose(ctx, args...)
		return err
	}
}

// killNine kills the main process of a service as the kernel would. The signal comes from outside the container, so the
// engine takes it for a crash; after `docker kill` it would not restart the container. The action returns at the moment of
// the kill.
func killNine(service string) action {
	return func(ctx context.Context, c *copyOfStack) error {
		containers, err := c.containers(ctx)
		if err != nil {
			return err
		}
		pid := containers[service].State.Pid
		if pid == 0 {
			return fmt.Errorf("%s is not running", service)
		}
		killer := c.command(ctx, "docker", "run", "--rm", "--pid", "host", "--network", "none", "--cap-drop", "ALL", "--cap-add", "KILL",
			"--user", "0", "--entrypoint", "sh", "nginx:1.30", "-c", "kill -9 "+strconv.Itoa(pid)+" && echo killed; exec >&-")
		out, err := killer.StdoutPipe()
		if err != nil {
			return err
		}
		if err := killer.Start(); err != nil {
			return err
		}
		said, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || said != "killed\n" {
			return fmt.Errorf("kill -9 %d: %q, %w", pid, said, errors.Join(err, killer.Wait()))
		}
		go func() { _ = killer.Wait() }() // how its container ends does not matter
		return nil
	}
}

// insertPost inserts a post through the application's database account.
func insertPost(title string) action {
	return func(ctx context.Context, c *copyOfStack) error {
		_, err := c.sql(ctx, "app", "INSERT INTO foobar.posts (title, body, created_at) VALUES ('"+title+"', 'Written by a test.', UTC_TIMESTAMP(6))")
		return err
	}
}

// healthy: the service passes its own health check.
func healthy(service string) check {
	return check{service + " is healthy", []string{service}, func(ctx context.Context, c *copyOfStack) error {
		containers, err := c.containers(ctx)
		if err != nil {
			return err
		}
		state := containers[service].State
		if state.Status != "running" || state.Health == nil || state.Health.Status != "healthy" {
			return fmt.Errorf("its state is %q, its health %+v", state.Status, state.Health)
		}
		return nil
	}}
}

// resolves: the site's name resolves to its address, over UDP and over TCP.
func resolves() check {
	return check{"www.foobar.com resolves", []string{"dns"}, func(ctx context.Context, c *copyOfStack) error {
		for _, network := range []string{"udp", "tcp"} {
			answer, err := c.ask(ctx, network, question("www.foobar.com.", dns.TypeA))
			if err != nil {
				return err
			}
			if got := records(answer.Answer); !strings.HasSuffix(got, "A 8.8.8.8") {
				return fmt.Errorf("over %s the answer is %s", network, got)
			}
		}
		return nil
	}}
}

// servesPage: Nginx serves the home page.
func servesPage() check {
	return check{"the home page is served", []string{"web"}, func(ctx context.Context, c *copyOfStack) error {
		_, err := c.get(ctx, "/")
		return err
	}}
}

// reaches: requests get through to the application and the database. Once a restarted application is healthy, Nginx may need
// two more seconds to find it.
func reaches() check {
	return check{"the application can be reached", []string{"web", "app"}, func(ctx context.Context, c *copyOfStack) error {
		_, err := c.get(ctx, "/api/v1/posts?before=2&limit=1") // which Nginx does not cache
		return err
	}}
}

// showsPost: the post is among the newest ones on the site, so web server, application and database work together.
func showsPost(title string) check {
	return check{"the post " + strconv.Quote(title) + " is shown", []string{"web", "app", "db"}, func(ctx context.Context, c *copyOfStack) error {
		body, err := c.get(ctx, "/api/v1/posts")
		if err != nil {
			return err
		}
		var page struct{ Posts []struct{ Title string } }
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			return fmt.Errorf("%w: %s", err, body)
		}
		for _, post := range page.Posts {
			if post.Title == title {
				return nil
			}
		}
		return fmt.Errorf("it is not in %s", body)
	}}
}

// client opens a new connection for each request, as a new visitor would, and follows no redirects, since they would lead
// away from this machine.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// get fetches a path of www.foobar.com; anything but 200 is an error.
func (c *copyOfStack) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+c.httpPort+path, nil)
	if err != nil {
		return "", err
	}
	request.Host = "www.foobar.com"
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s answers %s: %s", path, response.Status, body)
	}
	return string(body), nil
}

// question builds a DNS query as a stub resolver would, with recursion desired.
func question(name string, kind uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, kind)
}

// ask sends a DNS message to the copy's published port.
func (c *copyOfStack) ask(ctx context.Context, network string, message *dns.Msg) (*dns.Msg, error) {
	client := &dns.Client{Net: network, UDPSize: 4096, Timeout: 500 * time.Millisecond} // a datagram can be lost
	answer, _, err := client.ExchangeContext(ctx, message, "127.0.0.1:"+c.dnsPort)
	if err != nil {
		return nil, fmt.Errorf("ask over %s: %w", network, err)
	}
	return answer, nil
}

// records formats records for comparison: owner, type and data, without the TTL.
func records(list []dns.RR) string {
	lines := make([]string, len(list))
	for i, record := range list {
		header := record.Header()
		data := strings.TrimPrefix(record.String(), header.String())
		lines[i] = header.Name + " " + dns.TypeToString[header.Rrtype] + " " + data
	}
	return strings.Join(lines, " · ")
}

// logsRequest: the service logged the request, as JSON, with the address that it really came from.
func logsRequest(service, id, client string) check {
	return check{service + " logs request " + id, []string{service}, func(ctx context.Context, c *copyOfStack) error {
		log, err := c.compose(ctx, "logs", "--no-color", "--no-log-prefix", service)
		if err != nil {
			return err
		}
		for line := range strings.Lines(log) {
			if !strings.Contains(line, id) {
				continue
			}
			if !json.Valid([]byte(line)) {
				return fmt.Errorf("not JSON: %s", line)
			}
			if !strings.Contains(line, strconv.Quote(client)) || strings.Contains(line, "192.0.2.7") {
				return fmt.Errorf("want the client %s in: %s", client, line)
			}
			return nil
		}
		return errors.New("no line contains it")
	}}
}

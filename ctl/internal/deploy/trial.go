package deploy

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	application "oneserver/ctl/internal/site"
	"oneserver/ctl/internal/wait"
)

// Bounds of a trial.
const (
	trialTime   = 3 * time.Second // during which visitors' requests go to the new release first
	trialWithin = 30 * time.Second
)

// curl is the command in web that sends a request. It uses no proxy, though Docker passes on its user's proxy settings. It
// asks for localhost, the one name that Nginx never redirects to https. It sends a cookie, since Nginx then asks the
// application each time.
func curl(p application.Request, address, options string) string {
	data := ""
	if p.Body != "" {
		data = " --header 'Content-Type: application/json' --data '" + p.Body + "'"
	}
	return `curl --noproxy '*' --silent --show-error --max-time 10 --output /dev/null --write-out '%{http_code}\n' --request ` + p.Method +
		` --header 'Host: localhost' --header 'Cookie: session=0123456789012345678901234567890123456789012' ` + options + data +
		" http://" + address + p.Path
}

// ask sends a request to each new replica directly, before any visitor does. It asks a busy one again.
func (r *release) ask(ctx context.Context, fresh []docker.Container) error {
	replicas, err := r.replicasOf(fresh)
	if err != nil {
		return err
	}
	for i, c := range fresh {
		for _, p := range append([]application.Request{{Method: "GET", Path: application.Ready, Status: 200}}, application.Proofs...) {
			err := wait.Until(ctx, trialWithin, wait.Often, func(ctx context.Context) error {
				out, err := r.inWeb(ctx, "", curl(p, replicas[i].String(), ""))
				if err != nil {
					return err
				}
				if got := strings.TrimSpace(out); got == "503" {
					return errors.New("it answers 503")
				} else if got != strconv.Itoa(p.Status) {
					return wait.Final(fmt.Errorf("it answers %s", got))
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("the new release fails its first requests: %s of %s: %w\n%s", p, c.Title(), err, r.Log(ctx, c))
			}
		}
	}
	return nil
}

// try sends our own requests by the same path as visitors' requests. It returns when Nginx has logged that each new replica
// has answered each of them, and that none has failed a request that the previous release can answer.
func (r *release) try(ctx context.Context, fresh []docker.Container) error {
	replicas, err := r.replicasOf(fresh)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, trialWithin)
	defer cancel()
	// This follows the log rather than reading it from a given time, because the engine's clock may differ from ours.
	follow := r.Command(ctx, "logs", "--follow", "--tail", "0", r.web.ID)
	log, err := follow.StdoutPipe()
	if err != nil {
		return err
	}
	if err := follow.Start(); err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(log)
		scanner.Buffer(nil, 1<<20) // a visitor decides how long a line is
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		_ = follow.Wait() // this program ended it on purpose
	}()

	v := verdict{agent: "oneserver-trial-" + rand.Text(), replicas: replicas}
	var all strings.Builder
	for _, p := range application.Proofs {
		all.WriteString(curl(p, "$SUBNET.80", "--user-agent "+v.agent) + "\n")
	}
	asked := make(chan error, 1)
	ask := func() { _, err := r.inWeb(ctx, "", all.String()); asked <- err }
	go ask()
	end, again := time.After(trialTime), time.NewTimer(0)
	defer again.Stop()
	<-again.C
	for ended := false; !ended || !v.complete(); {
		select {
		case <-end:
			ended = true
		case line, more := <-lines:
			if !more {
				return errors.Join(errors.New("docker logs --follow has ended before the trial"), ctx.Err())
			}
			if bad := v.read(line); bad != nil {
				at := slices.Index(replicas, bad.replica)
				return fmt.Errorf("the new release fails its trial: %s\n%s", bad.what, r.Log(ctx, fresh[at]))
			}
		case err := <-asked:
			if err != nil && ctx.Err() == nil {
				return err
			}
			again.Reset(200 * time.Millisecond)
		case <-again.C:
			go ask()
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return cause
			}
			return fmt.Errorf("the new release fails its trial: within %s it has not answered %s", trialWithin, v.missing())
		}
	}
	return nil
}

// A verdict is what Nginx's log shows about a release on trial.
type verdict struct {
	agent    string    // the user agent of our requests
	replicas []replica // the release's replicas
	answered map[string]bool
}

// failure is a request that a replica failed.
type failure struct {
	replica replica
	what    string
}

func answer(r replica, p application.Request) string { return p.String() + " at " + r.String() }

// missing lists the answers that are still to come.
func (v *verdict) missing() string {
	var list []string
	for _, replica := range v.replicas {
		for _, p := range application.Proofs {
			if a := answer(replica, p); !v.answered[a] {
				list = append(list, a)
			}
		}
	}
	return strings.Join(list, ", ")
}

func (v *verdict) complete() bool { return v.missing() == "" }

// read reads a line of web's log. It returns the request that a replica has failed, if the line shows one.
//
// Our own requests must be answered as a healthy release would answer them. Of visitors' requests, only internal errors of
// the release count, and only if the previous release has answered the same request. Errors that a visitor can cause, such
// as a busy replica (503), say nothing about the release.
func (v *verdict) read(line string) *failure {
	var request struct {
		Method, URI string
		Agent       string `json:"user_agent"`
		Addresses   string `json:"upstream_addr"`
		Statuses    string `json:"upstream_status"`
	}
	if json.Unmarshal([]byte(line), &request) != nil { // one of Nginx's own messages
		return nil
	}
	// a comma separates two tries of a request, a colon two requests within one
	split := func(list string) []string { return strings.Split(strings.ReplaceAll(list, " : ", ", "), ", ") }
	addresses, statuses := split(request.Addresses), split(request.Statuses)
	if len(addresses) != len(statuses) {
		return nil
	}
	status := func(i int) int { n, _ := strconv.Atoi(statuses[i]); return n } // not a number: the visitor has left
	at := slices.IndexFunc(application.Proofs, func(p application.Request) bool { return p.Method == request.Method && p.Path == request.URI })
	for i := range addresses {
		n := slices.IndexFunc(v.replicas, func(r replica) bool { return r.String() == addresses[i] })
		if n < 0 {
			continue
		}
		said := &failure{v.replicas[n], fmt.Sprintf("%s %s is answered with %d", request.Method, request.URI, status(i))}
		switch {
		case request.Agent != v.agent || at < 0:
			last := len(addresses) - 1
			if (status(i) == 500 || status(i) == 502) && i < last && status(last) > 0 && status(last) < 500 {
				return said
			}
		case status(i) == application.Proofs[at].Status:
			if v.answered == nil {
				v.answered = map[string]bool{}
			}
			v.answered[answer(v.replicas[n], application.Proofs[at])] = true
		case status(i) != 503 && status(i) != 504 && status(i) != 0:
			return said
		}
	}
	return nil
}

// Package lifecycle starts and removes the stack, for a user who is watching.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/deploy"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/doctor"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/wait"
)

// healthyWithin is how long the services may take until they are healthy. The slowest is the first start of MySQL on
// a small machine with a slow disk; a service that takes longer will never be healthy.
const healthyWithin = 3 * time.Minute

// Up checks, repairs what a killed command has left, makes what is missing, starts the stack, waits until every service is
// healthy and prints where the site is. It leaves alone what already runs as compose.yaml describes.
func Up(ctx context.Context, s *stack.Stack, out *os.File) error {
	if err := examine(ctx, s, out); err != nil {
		return err
	}
	reporter := images.NewRunner(terminal.NewTeller(out))
	installed, err := images.EnsurePlugin(ctx, s, reporter, docker.Compose)
	if err != nil {
		return err
	}
	if installed { // without Compose most checks were impossible
		if err := examine(ctx, s, out); err != nil {
			return err
		}
	}
	if err := deploy.Recover(ctx, s, out); err != nil {
		return err
	}
	if err := images.Ensure(ctx, s, reporter); err != nil {
		return err
	}
	uses, err := images.Uses(ctx, s)
	if err != nil {
		return err
	}
	if err := images.Exchanged(uses); err != nil {
		return err
	}
	// Compose alone would replace a running database even with one that cannot start.
	if err := deploy.ChangeDatabase(ctx, s, out, deploy.RestartOptions{}); err != nil {
		return err
	}
	if err := start(ctx, s, out); err != nil {
		if ctx.Err() != nil {
			return err
		}
		lacking := wait.Until(ctx, healthyWithin, wait.Often, func(ctx context.Context) error { return lacksCertificate(ctx, s) })
		if lacking != nil {
			explain(ctx, s, out)
		}
		// Some problems show up only now, such as a database that keeps exiting, or the reason why there is no certificate.
		doctor.Print(out, doctor.Examine(ctx, s), doctor.Warning, terminal.Colour(out))
		if lacking != nil {
			return err
		}
	}
	if err := errors.Join(s.Claim(ctx), deploy.Keep(ctx, s, out)); err != nil {
		return err
	}
	settings, err := s.Settings(ctx)
	if err != nil {
		return err
	}
	if err := reachable(ctx, s, settings, out, reporter.Teller); err != nil {
		return err
	}
	if err := printAddresses(out, settings); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "images    %s\n", images.Describe(uses))
	return err
}

// examine runs the doctor and shows its complaints.
func examine(ctx context.Context, s *stack.Stack, out *os.File) error {
	findings := doctor.Examine(ctx, s)
	doctor.Print(out, findings, doctor.Warning, terminal.Colour(out))
	return doctor.Verdict(findings)
}

// start makes Compose start what is not running, and wait until everything is healthy.
func start(ctx context.Context, s *stack.Stack, out *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, healthyWithin+time.Minute) // Compose gives up first
	defer cancel()
	cmd := s.Command(ctx, "compose", "up", "--detach", "--wait", "--wait-timeout", strconv.Itoa(int(healthyWithin.Seconds())))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return errors.New("the stack did not come up; what runs of it keeps running: make ps shows it, make logs follows it")
	}
	return nil
}

// lacksCertificate returns nil if only the certificate is missing. A domain that does not lead here yet is no reason for the
// site to be down, but Compose stops waiting at the first container that is not healthy.
func lacksCertificate(ctx context.Context, s *stack.Stack) error {
	containers, err := s.Containers(ctx)
	if err != nil {
		return err
	}
	return judgeLack(containers)
}

func judgeLack(containers []docker.Container) error {
	lacks := false
	var waits error
	for _, one := range containers {
		ill := one.State.Health != nil && one.State.Health.Status == "unhealthy"
		switch {
		case one.Service() == "certs" && one.Running() && ill:
			lacks = true
		case one.Failure() != "":
			return wait.Final(fmt.Errorf("%s %s", one.Title(), one.Failure()))
		case one.State.Status == "created", one.Running() && one.State.Health != nil && !one.Healthy():
			waits = fmt.Errorf("%s is not healthy yet", one.Title())
		}
	}
	if !lacks {
		return wait.Final(errors.New("certs has a certificate"))
	}
	return waits
}

// explain shows for each service at fault what the engine knows about it, the last output of its health check, and the end
// of its log. It runs after something has failed, so if it cannot find something out, it says so and continues.
func explain(ctx context.Context, s *stack.Stack, out io.Writer) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	containers, err := s.Containers(ctx)
	if err == nil && len(containers) == 0 {
		err = errors.New("there is no container")
	}
	if err != nil {
		fmt.Fprintf(out, "which service is at fault cannot be told: %v\n", err)
		return
	}
	failed := slices.ContainsFunc(containers, func(c docker.Container) bool { return c.Failure() != "" })
	for _, one := range containers {
		fault := one.Failure()
		if !failed && one.State.Health != nil && one.State.Health.Status == "starting" {
			fault = "is not healthy yet" // the time is over, and this is all that is wrong
		}
		if fault == "" {
			continue
		}
		service := one.Service()
		fmt.Fprintf(out, "\n%s %s\n", service, fault)
		if log, err := s.Output(ctx, "compose", "logs", "--no-color", "--no-log-prefix", "--tail", "20", service); err != nil {
			fmt.Fprintf(out, "  its log cannot be read: %v\n", err)
		} else {
			indent(out, "its log ends with:", log)
		}
		if !one.Healthy() {
			indent(out, "its health check says:", one.HealthCheckSaid())
		}
	}
	fmt.Fprintln(out)
}

func indent(out io.Writer, heading, text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	fmt.Fprintf(out, "  %s\n    %s\n", heading, strings.ReplaceAll(text, "\n", "\n    "))
}

// printAddresses prints where the site is, and what to type next.
func printAddresses(out io.Writer, settings stack.Settings) error {
	bind, err := settings.Reach()
	if err != nil {
		return err
	}
	port := ""
	if settings["HTTP_PORT"] != "80" {
		port = ":" + settings["HTTP_PORT"]
	}
	www := "www." + settings["DOMAIN"]
	site := fmt.Sprintf("curl --resolve %s:%s:%s http://%[1]s%[4]s/", www, settings["HTTP_PORT"], bind, port)
	if settings["ACME"] != "" { // visitors find it there, and so does this machine
		site = "https://" + www + "/ once its certificate has come: make doctor says why it has not"
	} else if bind == netip.AddrFrom4([4]byte{127, 0, 0, 1}) { // web also answers as localhost, for a browser whose name server does not know the domain
		site = "http://localhost" + port + "/\n          " + site
	}
	_, err = fmt.Fprintf(out, `
the site  %s
its name  dig @%s -p %s %s
next      make ps, make logs, make test, make down
`, site, bind, settings["DNS_PORT"], www)
	return err
}

// Command dns is the name server of oneserver: CoreDNS with the plugins that its Corefile uses and no others.
// It reads ./corefile, which names the zone file beside it.
package main

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	clog "github.com/coredns/coredns/plugin/pkg/log"
)

const usage = `usage: dns [serve | check | healthcheck | probe]

  serve        answer queries on port 53, UDP and TCP (the default)
  check        read corefile and the zone as serve does; report what is wrong, or print what serve logs of such a corefile
  healthcheck  ask the server on 127.0.0.1 for the SOA of $DOMAIN, and report what is wrong
  probe        the same for the engine: reports a failure immediately, success after about a minute

All of them read DOMAIN, SERVER_IP and SUBNET from the environment.
Exit status: 0 all is well, 1 it is not, 2 the command line is wrong.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out the command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	ask := func(ctx context.Context, s settings) error {
		return healthcheck(ctx, net.JoinHostPort("127.0.0.1", dnsserver.Port), s.domain+".")
	}
	commands := map[string]func(context.Context, settings) error{
		"serve":       serve,
		"check":       func(context.Context, settings) error { return check(stdout) },
		"healthcheck": ask,
		"probe": func(ctx context.Context, s settings) error {
			return probe(ctx, "/run/probe/told", 5*time.Second, 55*time.Second, func(ctx context.Context) error { return ask(ctx, s) })
		},
	}
	switch do, known := commands[command]; {
	case slices.Contains([]string{"help", "-h", "-help", "--help"}, command):
		fmt.Fprint(stdout, usage)
		return 0
	case !known || len(args) > 1:
		fmt.Fprint(stderr, usage)
		return 2
	default:
		s, err := readSettings(os.Getenv)
		if err == nil {
			err = do(ctx, s)
		}
		if err != nil {
			fmt.Fprintln(stderr, "dns:", err)
			return 1
		}
		return 0
	}
}

// serve answers queries until ctx ends, then finishes those it has begun.
func serve(ctx context.Context, s settings) error {
	log.SetFlags(log.LstdFlags | log.LUTC)
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := enablePlugins(); err != nil {
		return err
	}
	// The loader is registered too, so that the reload plugin reads the Corefile the same way.
	caddy.RegisterCaddyfileLoader("corefile", caddy.LoaderFunc(loadCorefile))
	corefile, err := loadCorefile(serverType)
	if err != nil {
		return err
	}
	instance, err := caddy.Start(corefile)
	if err != nil {
		return fmt.Errorf("start CoreDNS: %w", err)
	}
	if err := boundConnections(ctx); err != nil {
		return err
	}
	clog.Infof("answering for %s on port %s: %s, and %s.80 inside %s.0/24", s.domain, dnsserver.Port, s.serverIP, s.subnet, s.subnet)

	died := make(chan struct{})
	go func() {
		instance.Wait() // also waits for the instances that replace it in a reload
		close(died)
	}()
	select {
	case <-died:
		return errors.New("CoreDNS stopped by itself; its last messages say why")
	case <-ctx.Done():
	}
	var errs []error
	for _, instance := range slices.Clone(caddy.Instances()) {
		errs = append(errs, instance.ShutdownCallbacks()...)
		errs = append(errs, instance.Stop())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop CoreDNS: %w", err)
	}
	clog.Info("stopped")
	return nil
}

// check sets up every plugin as serve would, including reading the zone, but opens no port. It prints the same checksum
// that the reload plugin logs when it begins to serve a Corefile, so that the two can be compared.
func check(stdout io.Writer) error {
	if err := enablePlugins(); err != nil {
		return err
	}
	corefile, err := loadCorefile(serverType)
	if err != nil {
		return err
	}
	if err := caddy.ValidateAndExecuteDirectives(corefile, nil, true); err != nil {
		return err
	}
	servers, err := caddyfile.Parse(corefile.Path(), bytes.NewReader(corefile.Body()), nil)
	if err != nil {
		return err
	}
	parsed, err := json.Marshal(servers)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "SHA512 = %x\n", sha512.Sum512(parsed))
	return err
}

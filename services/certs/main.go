// Command certs maintains the site's certificate: at first, one from the stack's own authority; then, if ACME names an
// authority to ask, one that every browser trusts. Nginx reads the files that it writes, without a reload.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

const usage = `usage: certs [serve | healthcheck | probe | authority]

  serve        make, order and renew the site's certificate until it is stopped (the default)
  healthcheck  look at the certificate that web serves, and report what is wrong
  probe        the same for the engine: reports a failure immediately, success after about a minute
  authority    print the certificate of the stack's own authority, for people who want to trust it

They read from the environment:
  DOMAIN            the site's domain; the certificate is for it and for www.DOMAIN
  ACME              directory URL of the authority to ask (RFC 8555); empty for the stack's own authority alone
  ACME_EMAIL        e-mail address for that authority to write to; may be empty
  ACME_EAB_KID, ACME_EAB_KEY
                    the account at the authority to bind to, if it requires one
  ACME_PROFILE      the kind of certificate to ask for, if the authority offers several
Exit status: 0 all is well, 1 it is not, 2 the command line is wrong.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run carries out the command line and returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	commands := map[string]func(context.Context, settings) error{
		"serve": func(ctx context.Context, s settings) error {
			return newKeeper(s, slog.New(slog.NewJSONHandler(stdout, nil))).run(ctx)
		},
		"healthcheck": healthcheck,
		"probe": func(ctx context.Context, s settings) error {
			return probe(ctx, "/run/probe/told", 5*time.Second, 55*time.Second, func(ctx context.Context) error { return healthcheck(ctx, s) })
		},
		"authority": func(_ context.Context, s settings) error {
			text, err := os.ReadFile(s.places.authority())
			if err != nil {
				return fmt.Errorf("%w: serve makes it when it starts", err)
			}
			_, err = stdout.Write(text)
			return err
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
		s, err := readSettings(getenv)
		if err == nil {
			err = do(ctx, s)
		}
		if err != nil {
			fmt.Fprintln(stderr, "certs:", err)
			return 1
		}
		return 0
	}
}

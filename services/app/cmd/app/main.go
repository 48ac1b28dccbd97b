// Command app is the site's application server, and the tools that belong to it, in one binary.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `app is the application server of the site.

Usage: app [command]

Commands:
  serve        answer requests (the default)
  migrate [N]  bring the database's tables to the version that this binary needs, or only as far as migration N
  pending      show, as JSON, the migrations that migrate would run now
  migrations   show, as JSON, all migrations that this binary has
  healthcheck  ask the server on this machine whether it is ready; exit 0 if so, else 1
  probe        the same for the engine: reports a failure immediately, readiness after about a minute
  request ID   show what this replica did for the request with that X-Request-ID, with its SQL, as JSON
  secrets DIR  make the stack's passwords in DIR; existing ones stay as they are

Settings come from the environment:
  LISTEN               address to listen on (default :8080)         serve, healthcheck, probe
  METRICS_LISTEN       address for the operator (default :9090)     serve, request
  TRUSTED_PROXY        IP address of the one proxy in front         serve
  OWN_NETWORK          the stack's own network                      serve
  DOMAIN               the site is www.DOMAIN (default foobar.com)  serve
  DNS_ADDRESS          host:port of dns (default dns:53)            serve
  MYSQL_ADDRESS        host:port of the database                    serve, migrate, pending
  MYSQL_DATABASE       its name                                     serve, migrate, pending
  MYSQL_USER           the account                                  serve, migrate, pending
  MYSQL_PASSWORD_FILE  the file that holds the account's password   serve, migrate, pending
  POSTS_PER_ACCOUNT    posts that an account may have               serve
  WRITES_A_DAY         how often an account may write               serve
  TEXT_A_DAY           megabytes that all accounts may write        serve
  ACCOUNTS_A_DAY       sign-ups                                     serve
  DISK_RESERVE         megabytes that must stay free (all five:     serve
                       no bound by default)
  DISK_FILE            where db says how many bytes are free        serve
                       (default /run/disk/free)
`

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // wrong arguments or settings; trying again does not help
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process immediately
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit code. When ctx ends, it stops early but cleanly.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError) // has no flags, but handles -h and --help and refuses others
	flags.SetOutput(io.Discard)
	operands, optional := 0, 0
	var do func(log *slog.Logger) error
	switch command {
	case "serve":
		do = func(log *slog.Logger) error { return serve(ctx, getenv, log) }
	case "migrate":
		optional = 1
		do = func(log *slog.Logger) error { return migrate(ctx, getenv, flags.Arg(0), log) }
	case "pending":
		do = func(*slog.Logger) error { return pending(ctx, getenv, stdout) }
	case "migrations":
		do = func(*slog.Logger) error { return migrations(stdout) }
	case "healthcheck":
		do = func(*slog.Logger) error { return healthcheck(ctx, getenv) }
	case "probe":
		do = func(*slog.Logger) error {
			return probe(ctx, "/run/probe/told", 5*time.Second, 55*time.Second, func(ctx context.Context) error { return healthcheck(ctx, getenv) })
		}
	case "request":
		operands = 1
		do = func(*slog.Logger) error { return showRequest(ctx, getenv, flags.Arg(0), stdout) }
	case "secrets":
		operands = 1
		do = func(*slog.Logger) error { return makeSecrets(flags.Arg(0), stdout) }
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	default:
		fmt.Fprintf(stderr, "app: there is no command %q; there are serve, migrate, pending, migrations, healthcheck, probe, request and secrets (app --help)\n", command)
		return exitUsage
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "app %s: %v (app --help)\n", command, err)
		return exitUsage
	case flags.NArg() < operands || flags.NArg() > operands+optional:
		fmt.Fprintf(stderr, "app %s: takes %d arguments, not %d (app --help)\n", command, operands+optional, flags.NArg())
		return exitUsage
	}

	log, flush := newLog(stdout)
	err := do(log)
	flush()
	if err != nil {
		fmt.Fprintf(stderr, "app %s: %v\n", command, err)
		if _, wrong := errors.AsType[settingsError](err); wrong {
			return exitUsage
		}
		return exitFailed
	}
	return exitOK
}

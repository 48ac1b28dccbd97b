// Command example is another application for the stack: bookmarks, each with a name and an address. It is as small as the
// contract of docs/your-application.md allows. A test runs it in place of the first application.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"oneserver/app/secrets"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"serve"}
	}
	operand := ""
	if len(args) > 1 {
		operand = args[1]
	}
	switch args[0] {
	case "serve":
		return serve(ctx, slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	case "migrate":
		to, err := strconv.ParseInt("0"+operand, 10, 64)
		if err != nil {
			return err
		}
		return migrate(ctx, to)
	case "pending":
		list, err := pending(ctx)
		return printJSON(map[string]any{"migrations": list}, err)
	case "migrations":
		list, err := migrations()
		return printJSON(list, err)
	case "secrets":
		_, err := secrets.Make(operand, secrets.Files)
		return err
	case "probe":
		_, err := ask(ctx, os.Getenv("LISTEN"), "/readyz")
		return err
	case "request":
		body, err := ask(ctx, os.Getenv("METRICS_LISTEN"), "/requests/"+operand)
		if err == nil {
			_, err = os.Stdout.Write(body)
		}
		return err
	}
	return fmt.Errorf("there is no command %q", args[0])
}

func printJSON(value any, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(value)
}

// ask sends a request to the server in this container.
func ask(ctx context.Context, listen, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request) // no proxy from the environment
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", strings.TrimSpace(string(body)))
	}
	return body, err
}

// database returns how to reach the database, according to the variables that compose.yaml sets.
func database() (*mysql.Config, error) {
	password, err := os.ReadFile(os.Getenv("MYSQL_PASSWORD_FILE"))
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName = "tcp", os.Getenv("MYSQL_ADDRESS"), os.Getenv("MYSQL_DATABASE")
	c.User, c.Passwd = os.Getenv("MYSQL_USER"), strings.TrimSpace(string(password))
	c.Timeout, c.ReadTimeout, c.WriteTimeout = 2*time.Second, 5*time.Second, 5*time.Second
	return c, nil
}

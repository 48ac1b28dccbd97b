package stack

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
)

// A Database is a MySQL server in a container. It is used through the programs of its own image, as root, over the socket in
// the container.
type Database struct {
	Login  string        // the options with which its programs sign in as root
	Schema string        // the schema for statements; empty if they name it
	Limit  time.Duration // the time limit for one call of SQL

	cli docker.CLI
	db  string // its container's id; empty to let Compose find it
}

// Login returns the options with which an account signs in to the site's MySQL, in bash. They read the password from its file
// through a pipe, so that it appears in no argument, environment or log.
func Login(account string) string {
	return `--defaults-extra-file=<(printf '[client]\nuser=` + account + `\npassword="%s"\nprotocol=socket\n' "$(</run/secrets/mysql_` + account + `_password)")`
}

// DumpOptions are those of every mysqldump: one view of rows that a restore can load under any settings, and nothing else.
const DumpOptions = ` --single-transaction --no-tablespaces --skip-masking-policies --skip-triggers --ignore-views --hex-blob --default-character-set=utf8mb4 `

// Database returns the site's database.
func (s *Stack) Database() Database {
	return Database{Login: Login("root"), Limit: time.Minute, cli: s.CLI}
}

// DatabaseIn returns the database in a container with a known id, so that Compose does not have to look for it.
func (s *Stack) DatabaseIn(container string) Database {
	d := s.Database()
	d.db = container
	return d
}

// Client returns the shell command, in bash, that runs the statements in its input. It has a time limit, in case nothing is
// left to end it.
func (d Database) Client() string {
	return `timeout --signal=KILL 12h mysql ` + d.Login + ` --default-character-set=utf8mb4 `
}

// Bash prepares a script to run in the database's container.
func (d Database) Bash(ctx context.Context, script string, args ...string) *exec.Cmd {
	if d.db == "" {
		return d.cli.Command(ctx, append([]string{"compose", "exec", "--no-TTY", "db", "bash", "-c", script}, args...)...)
	}
	return d.cli.Command(ctx, append([]string{"exec", "--interactive", d.db, "bash", "-c", script}, args...)...)
}

// SQL runs statements and returns their rows.
func (d Database) SQL(ctx context.Context, statements string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Limit)
	defer cancel()
	cmd := d.Bash(ctx, "exec "+d.Client()+"--batch --skip-column-names --binary-mode "+d.Schema)
	cmd.Stdin = strings.NewReader(statements)
	out, err := docker.Output(ctx, cmd)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", errors.Unwrap(err)) // the program's own output, rather than the script that ran it
	}
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows, nil
}

// Row runs a statement that returns one row with a given number of columns.
func (d Database) Row(ctx context.Context, columns int, statement string) ([]string, error) {
	rows, err := d.SQL(ctx, statement)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || len(rows[0]) < columns {
		return nil, fmt.Errorf("MySQL answers %q with %q", statement, rows)
	}
	return rows[0], nil
}

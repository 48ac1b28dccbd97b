// Package migration judges a release's migrations before they change the database. It runs them in a throw-away MySQL
// server, on the site's tables with a few of their rows, and compares the tables before and after.
package migration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/throwaway"
)

const (
	purpose   = "migration" // names the throw-away
	askWithin = 90 * time.Second
	runWithin = 2 * time.Minute // for one migration of a few rows, on a busy machine
)

// howToSplit is the remedy for a migration that is refused.
const howToSplit = `The release that is running works on these tables until the new one has taken over, and "make rollback" goes back to it.
Split the change into releases that each live beside the one before:
  expand    add the new column or table, which the running release leaves alone (NULL or a default for what it does not fill in)
  migrate   a release that writes both, fills in what is missing, and then reads the new one only
  contract  once no running release and no previous one uses the old one, drop it; the file says so in a line of its own:
            -- contract: why nothing uses it any more`

// A Migration is one of a release's migrations, as the release prints it.
type Migration struct {
	Version int64
	File    string
	SQL     string
}

var (
	contract = regexp.MustCompile(`(?mi)^[ \t]*--[ \t]*contract:[ \t]*(\S.*?)\s*$`)
	down     = regexp.MustCompile(`(?m)^\s*--\s*\+goose\s+Down\b[\s\S]*`) // the way back, which nothing here ever runs
)

// Contract returns the author's explanation of why what the migration removes is no longer used, or "" if there is none.
func (m Migration) Contract() string {
	reason := contract.FindStringSubmatch(down.ReplaceAllString(m.SQL, ""))
	if reason == nil {
		return ""
	}
	return reason[1]
}

// Pending asks the release in app's image, in a container with these labels, which migrations it would run now.
func Pending(ctx context.Context, of *stack.Stack, labels ...string) ([]Migration, error) {
	args := []string{"run", "--rm", "--no-deps", "--no-TTY"}
	for _, label := range labels {
		args = append(args, "--label", label)
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	text, err := of.Compose(ctx, append(args, "migrate", "pending")...)
	if err != nil {
		return nil, fmt.Errorf("ask the release for its migrations: %w", err)
	}
	var ahead struct{ Migrations []Migration }
	if err := json.Unmarshal([]byte(text), &ahead); err != nil {
		return nil, fmt.Errorf("app pending: %w", err)
	}
	return ahead.Migrations, nil
}

// Judge tries the pending migrations of a release, given by the id of its image, and returns an error if the running release
// would not survive them. It only reads the site's MySQL. It reports what a migration costs at the real size of its tables.
func Judge(ctx context.Context, of *stack.Stack, image string, pending []Migration, say func(format string, args ...any)) (err error) {
	project, err := of.Project(ctx)
	if err != nil {
		return err
	}
	release, found := project.Services["migrate"]
	if !found {
		return errors.New("compose.yaml has no service migrate")
	}
	db, err := of.One(ctx, "db")
	if err != nil {
		return err
	}
	account := account{schema: release.Environment["MYSQL_DATABASE"], user: release.Environment["MYSQL_USER"], password: rand.Text()}
	live := live{Database: of.DatabaseIn(db.ID), schema: account.schema}
	read := make(chan error, 1)
	var copied copied
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // while the other MySQL starts
		var err error
		copied, err = live.read(reading, account)
		read <- err
	}()
	server, err := throwaway.Start(ctx, of, purpose, "--skip-networking=OFF", "--bind-address=127.0.0.1", "--skip-name-resolve")
	if err != nil {
		stop()
		<-read
		return err
	}
	defer func() { err = errors.Join(err, server.Remove()) }()
	if err := <-read; err != nil {
		return fmt.Errorf("copy the tables with a few rows: %w", err)
	}
	if err := copied.load(ctx, live, server, account); err != nil {
		return fmt.Errorf("load the tables with a few rows into a throw-away MySQL: %w", err)
	}

	first, err := Read(ctx, server, account.schema) // everything that the running release knows
	if err != nil {
		return err
	}
	before, objections, said := first, []string(nil), map[string]bool{}
	for _, m := range pending {
		if err := run(ctx, of, server, release, image, account, m); err != nil {
			return fmt.Errorf("%s fails, which was tried on a copy of the tables with a few rows; the site's are as they were:\n%w", m.File, err)
		}
		after, err := Read(ctx, server, account.schema)
		if err != nil {
			return err
		}
		for _, name := range Rebuilt(before, after) {
			size := copied.sizes[strings.ToLower(name)]
			say("%s rebuilds %s: %s written anew, which takes as much room again; who writes to it may wait for as long as that takes", m.File, name, size)
		}
		for _, what := range Compare(first, after) {
			if !said[what] && m.Contract() == "" {
				objections = append(objections, m.File+" "+what)
			}
			said[what] = true
		}
		before = after
	}
	if len(objections) > 0 {
		return fmt.Errorf("the running release would not survive this one:\n  %s\n%s", strings.Join(objections, "\n  "), howToSplit)
	}
	return nil
}

// account is the account that migrates.
type account struct{ schema, user, password string }

// run makes a release (app is its image) carry out its next migration. The container joins the throw-away server's network,
// which leads nowhere else, and has the service's settings from compose.yaml. The password goes to its standard input, and
// appears in no argument, file or log.
func run(ctx context.Context, of *stack.Stack, server *throwaway.Server, release stack.Service, app string, account account, m Migration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, runWithin, fmt.Errorf("it has not ended after %s", runWithin))
	defer cancel()
	project, err := of.Project(ctx)
	if err != nil {
		return err
	}
	environment := map[string]string{}
	for name, value := range release.Environment {
		environment[name] = value
	}
	environment["MYSQL_ADDRESS"], environment["MYSQL_PASSWORD_FILE"] = "127.0.0.1:3306", "/dev/stdin"
	memory := strconv.FormatInt(release.MemLimit, 10)
	args := slices.Concat([]string{"run", "--rm", "--interactive"}, docker.Confined, []string{"--label", throwaway.Label + "=" + project.Name, "--network", server.Network(),
		"--user", release.User, "--log-driver", "none", "--memory", memory, "--memory-swap", memory, "--pids-limit", "64"})
	for name, value := range environment {
		args = append(args, "--env", name+"="+value)
	}
	args = append(args, app)
	args = append(args, release.Command...)
	cmd := of.Command(ctx, append(args, strconv.FormatInt(m.Version, 10))...)
	cmd.Stdin = strings.NewReader(account.password)
	var said bytes.Buffer
	cmd.Stderr = &said // without the log, which goes to standard output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s (%w)", strings.TrimSpace(said.String()), err)
	}
	return nil
}

// quote returns a name as SQL writes it.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// text returns a string as SQL writes it.
func text(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(value) + "'"
}

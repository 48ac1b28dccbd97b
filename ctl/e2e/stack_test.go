package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var keep = flag.Bool("keep", false, "leave the test copy of the stack standing")

// copyOfStack is a running copy of the stack, identified by its project name.
type copyOfStack struct {
	project   string
	httpPort  string
	httpsPort string // the HTTP port with 4 as its third digit
	dnsPort   string
	subnet    string // the first three numbers of its /24
	env       []string
}

// site is the copy that all tests share. A test that needs a stack in a particular state describes another with newCopy.
var site = newCopy("oneserver-test", "18080", "11053", "172.28.1")

// copies lists every copy that newCopy has described, so that none is left behind.
var copies []*copyOfStack

// newCopy describes a copy. The settings of the machine, from its .env file or its environment, do not reach it.
func newCopy(project, httpPort, dnsPort, subnet string) *copyOfStack {
	httpsPort := httpPort[:2] + "4" + httpPort[3:]
	one := &copyOfStack{project: project, httpPort: httpPort, httpsPort: httpsPort, dnsPort: dnsPort, subnet: subnet, env: append(os.Environ(),
		"COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_FILE="+filepath.Join(root, "compose.yaml"),
		"COMPOSE_PROJECT_NAME="+project, "DOMAIN=foobar.com", "SERVER_IP=8.8.8.8", "BIND=127.0.0.1",
		"HTTP_PORT="+httpPort, "HTTPS_PORT="+httpsPort, "ACME=", "ACME_EMAIL=", "ACME_EAB_KID=", "ACME_EAB_KEY=", "ACME_PROFILE=",
		"WRITES_A_DAY=", "TEXT_A_DAY=", "POSTS_PER_ACCOUNT=", "ACCOUNTS_A_DAY=", "DISK_RESERVE=", "DNS_PORT="+dnsPort,
		"SUBNET="+subnet, "TRUSTED_PROXIES="+subnet+".90 "+subnet+".92 "+subnet+".94 198.51.100.0/24 2001:db8:1::/48")}
	copies = append(copies, one)
	return one
}

// with returns the same copy with these variables added to the environment of its commands.
func (c *copyOfStack) with(variables ...string) *copyOfStack {
	changed := *c
	changed.env = append(slices.Clone(c.env), variables...)
	return &changed
}

// scratch is a folder for files that several tests use; it is removed after the run.
var scratch string

// root is the repository's root; tests run in their package's folder.
var root = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("integration tests skipped: -short")
		return
	}
	os.Exit(run(m))
}

// running ends when the tests are interrupted or run out of time; every command that a test runs ends with it.
var running, stopRunning = context.WithCancel(context.Background())

// run starts a fresh copy for the tests and removes it afterwards, even after Ctrl-C.
func run(m *testing.M) int {
	interrupted, stop := signal.NotifyContext(running, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(interrupted, stopRunning)
	if limit := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration); limit > 0 {
		defer time.AfterFunc(limit-2*time.Minute, stopRunning).Stop() // go test's own timeout cleans nothing up
	}

	var err error
	if scratch, err = os.MkdirTemp("", "oneserver-test"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)

	removeCopies := func() error {
		var errs []error
		for _, one := range copies {
			errs = append(errs, one.remove())
		}
		return errors.Join(errs...)
	}
	if err := removeCopies(); err != nil { // left by a run that was killed
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if *keep {
			fmt.Printf("left standing: docker compose -p %s ps; remove it with docker compose -p %[1]s down -v\n", site.project)
			return
		}
		if err := removeCopies(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()

	// As a person would, so that the images come from the same place as theirs.
	if out, err := site.output(running, "go", "build", "-C", "ctl", "-o", tool(), "."); err != nil {
		fmt.Fprintf(os.Stderr, "build ctl: %v\n%s", err, out)
		return 1
	}
	if out, err := site.output(running, tool(), "images"); err != nil {
		fmt.Fprintf(os.Stderr, "make the images: %v\n%s", err, out)
		return 1
	}
	begun := time.Now()
	if out, err := site.compose(running, "up", "--detach", "--wait"); err != nil {
		fmt.Fprintf(os.Stderr, "start the test copy: %v\n%s\n%s", err, out, site.logs())
		return 1
	}
	fmt.Printf("the test copy became healthy %.1f s after a start with nothing but images\n", time.Since(begun).Seconds())
	code := m.Run()
	sayWhereEvidenceIs()
	if running.Err() != nil {
		fmt.Fprintln(os.Stderr, "interrupted, or out of time: removing the test copy")
	}
	return code
}

// tool is the path of ctl, compiled once, so that it runs even in tests that take everything off the PATH.
func tool() string { return filepath.Join(scratch, "ctl") }

// command prepares a program to run in the repository's root with the copy's settings. When ctx ends, the program is
// interrupted rather than killed, since a killed Compose would leave half a stack behind.
func (c *copyOfStack) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = root, c.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs a program against the copy, stopping it when the tests end, and returns what it printed on both streams; an
// error includes that too.
func (c *copyOfStack) output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	return combined(c.command(ctx, name, args...))
}

func combined(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

func (c *copyOfStack) compose(ctx context.Context, args ...string) (string, error) {
	return c.output(ctx, "docker", append([]string{"compose"}, args...)...)
}

// remove deletes the copy and its data, whatever state it is in.
func (c *copyOfStack) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := combined(c.command(ctx, "docker", "compose", "down", "--volumes", "--remove-orphans", "--timeout", "5"))
	// Compose does not remove the container that records an interrupted restart of MySQL, as it belongs to no service.
	_, noted := combined(c.command(ctx, "docker", "rm", "--force", "--volumes", c.project+"-db-before"))
	if noted != nil && strings.Contains(strings.ToLower(noted.Error()), "no such container") {
		noted = nil
	}
	names, failed := c.keptReleases(ctx)
	if failed == nil && len(names) > 0 {
		_, failed = combined(c.command(ctx, "docker", append([]string{"image", "rm"}, names...)...))
	}
	return errors.Join(err, noted, failed)
}

// keptReleases returns the names of the images kept for rolling the copy back.
func (c *copyOfStack) keptReleases(ctx context.Context) (names []string, err error) {
	out, err := combined(c.command(ctx, "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "oneserver-app"))
	for name := range strings.FieldsSeq(out) {
		if strings.HasPrefix(name, "oneserver-app:"+c.project+".") {
			names = append(names, name)
		}
	}
	return names, err
}

// logs returns the last lines logged by these services, or by all if none is named.
func (c *copyOfStack) logs(services ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := combined(c.command(ctx, "docker", append([]string{"compose", "logs", "--no-color", "--tail", "40"}, services...)...))
	if err != nil {
		return err.Error()
	}
	return out
}

// container is the part of `docker inspect` that the tests use.
type container struct {
	ID    string
	State struct {
		Status string
		Pid    int
		Health *struct {
			Status string
			Log    []struct{ Output string }
		}
	}
	RestartCount int
	Config       struct {
		User   string
		Labels map[string]string
	}
	HostConfig struct {
		ReadonlyRootfs bool
		Privileged     bool
		CapAdd         []string
		CapDrop        []string
		SecurityOpt    []string
		Memory         int64
		MemorySwap     int64
		PidsLimit      *int64
		LogConfig      struct{ Config map[string]string }
		RestartPolicy  struct{ Name string }
		PortBindings   map[string][]struct{ HostIP, HostPort string }
	}
	Mounts []struct {
		Destination string
		RW          bool
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

// containers returns the copy's containers by service, including those that have exited.
func (c *copyOfStack) containers(ctx context.Context) (map[string]container, error) {
	ids, err := c.output(ctx, "docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+c.project)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(ids) == "" {
		return nil, errors.New("the project " + c.project + " has no container")
	}
	out, err := c.output(ctx, "docker", append([]string{"inspect"}, strings.Fields(ids)...)...)
	if err != nil {
		return nil, err
	}
	var list []container
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("docker inspect: %w", err)
	}
	byService := make(map[string]container, len(list))
	for _, one := range list {
		byService[one.Config.Labels["com.docker.compose.service"]] = one
	}
	return byService, nil
}

// sql runs one statement under a database account, over TCP inside db, and returns its rows, tab-separated.
func (c *copyOfStack) sql(ctx context.Context, account, statement string) (string, error) {
	client := "mysql --host 127.0.0.1 --user " + account
	if account == "root" {
		client = "mysql --user root" // over the socket, the only way root may connect
	}
	out, err := c.compose(ctx, "exec", "--no-TTY", "db", "sh", "-c",
		`export MYSQL_PWD="$(cat /run/secrets/mysql_`+account+`_password)"; exec `+client+` --batch --skip-column-names -e "$0"`, statement)
	return strings.TrimSpace(out), err
}

// inWeb runs a script in web and returns what it printed.
func (c *copyOfStack) inWeb(t *testing.T, script string) string {
	t.Helper()
	out, err := c.compose(t.Context(), "exec", "--no-TTY", "web", "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

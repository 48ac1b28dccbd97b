package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// threeServers is the cluster of the tests: nested servers a, b and c, at .11, .12 and .13 of this subnet.
const threeServers, serversSubnet = "oneserver-test-cluster", "172.26.0"

// clusterTool runs a command of the tool on that cluster.
func clusterTool(ctx context.Context, command string, args ...string) (string, error) {
	return combined(site.command(ctx, tool(), append([]string{command, "--name", threeServers}, args...)...))
}

// removeServers removes the nested servers and their data.
func removeServers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := clusterTool(ctx, "cluster-down", "--yes")
	if err != nil && strings.Contains(err.Error(), "there is no cluster here") {
		return nil
	}
	return err
}

// withServers removes what an earlier run left, and at the end of the test what this one leaves. If the test fails, it shows
// what the servers say.
func withServers(t *testing.T) {
	t.Helper()
	if err := removeServers(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			for _, server := range []string{"a", "b", "c"} {
				log, err := on(ctx, server, "", "sh", "-c", "docker ps --all; docker logs --tail 30 oneserver-db-1 2>&1")
				t.Logf("server %s, %v:\n%s", server, err, log)
			}
		}
		if err := removeServers(); err != nil {
			t.Error(err)
		}
	})
}

// on runs a program on one of the servers and returns its standard output.
func on(ctx context.Context, server, input string, words ...string) (string, error) {
	args := []string{"exec", "--interactive", threeServers + "-" + server}
	cmd := site.command(ctx, "docker", append(args, words...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// memberSQL runs statements as root in a server's database.
func memberSQL(ctx context.Context, server, statements string) (string, error) {
	return on(ctx, server, statements, "docker", "exec", "--interactive", "oneserver-db-1", "bash", "-c",
		`MYSQL_PWD=$(</run/secrets/mysql_root_password) exec mysql --user=root --batch --skip-column-names foobar`)
}

// writeOn inserts a row into the server's database, and fails unless that is acknowledged.
func writeOn(server, title string) action {
	return func(ctx context.Context, _ *copyOfStack) error {
		_, err := memberSQL(ctx, server, "INSERT INTO posts (title, body, created_at) VALUES ('"+title+"', 'Written by a test.', UTC_TIMESTAMP(6))")
		return err
	}
}

// killMySQL kills mysqld on a server as the kernel would.
func killMySQL(server string) action {
	return func(ctx context.Context, _ *copyOfStack) error {
		_, err := on(ctx, server, "", "sh", "-c", `for p in /proc/[0-9]*; do if [ "$(cat "$p/comm")" = mysqld ]; then kill -9 "${p#/proc/}" && killed=1; fi; done; [ "$killed" ]`)
		return err
	}
}

// killServers kills whole servers with everything on them.
func killServers(servers ...string) action {
	return func(ctx context.Context, c *copyOfStack) error {
		args := []string{"kill"}
		for _, server := range servers {
			args = append(args, threeServers+"-"+server)
		}
		_, err := c.output(ctx, "docker", args...)
		return err
	}
}

// isOnAll: the row is in the databases of all three servers.
func isOnAll(title string) check {
	return check{"the row " + title + " is on all servers", nil, func(ctx context.Context, _ *copyOfStack) error {
		for _, server := range []string{"a", "b", "c"} {
			if got, err := memberSQL(ctx, server, "SELECT COUNT(*) FROM posts WHERE title = '"+title+"'"); err != nil || got != "1" {
				return fmt.Errorf("server %s has %q of it, %v", server, got, err)
			}
		}
		return nil
	}}
}

// servesOn: the site of a server serves the row.
func servesOn(server, address, title string) check {
	return check{"server " + server + " shows the post " + title, nil, func(ctx context.Context, c *copyOfStack) error {
		out, err := c.output(ctx, "curl", "--silent", "--show-error", "--fail", "--max-time", "4", "--noproxy", "*",
			"--resolve", "www.foobar.com:80:"+address, "http://www.foobar.com/api/v1/posts")
		if err == nil && !strings.Contains(out, `"`+title+`"`) {
			err = fmt.Errorf("it is not in %s", out)
		}
		return err
	}}
}

// status is the part of cluster-status that the tests use.
type clusterStatus struct {
	State, Primary string
	Servers        []struct {
		Server                  string
		Errors                  []string
		Member                  *struct{ State, Role string }
		SiteCertificateDays     *int `json:"site_certificate_days"`
		DatabaseCertificateDays *int `json:"database_certificate_days"`
	}
}

// statusSays: cluster-status describes this state, and its exit code is that of it.
func statusSays(description string, holds func(clusterStatus) bool) check {
	return check{"cluster-status says that " + description, nil, func(ctx context.Context, _ *copyOfStack) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second) // of its own: it waits 15 s for a server that is gone
		defer cancel()
		cmd := site.command(ctx, tool(), "cluster-status", "--name", threeServers, "--json")
		out, failed := cmd.Output()
		var status clusterStatus
		if err := json.Unmarshal(out, &status); err != nil {
			return fmt.Errorf("it prints %q, %w", out, errors.Join(err, failed))
		}
		if !holds(status) || (failed == nil) != (status.State == "complete") {
			return fmt.Errorf("it prints %s, %v", out, failed)
		}
		return nil
	}}
}

func complete(s clusterStatus) bool {
	for _, one := range s.Servers {
		if one.DatabaseCertificateDays == nil || *one.DatabaseCertificateDays < 3600 || one.SiteCertificateDays == nil {
			return false
		}
	}
	return s.State == "complete"
}

func TestLongThreeServersLoseOneAndThenAllAndNoWrite(t *testing.T) {
	withServers(t)
	up := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		begun := time.Now()
		if out, err := clusterTool(ctx, "cluster", "--subnet", serversSubnet); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("make cluster (%.1f s)", time.Since(begun).Seconds())
	}
	up()
	s := newScenario(t, site)
	s.Then(30*time.Second, statusSays("all is complete", complete))
	s.When("a row is written on the primary", writeOn("a", "first")).
		Then(10*time.Second, isOnAll("first"), servesOn("a", serversSubnet+".11", "first"), servesOn("b", serversSubnet+".12", "first"))

	s.When("mysqld is killed on a secondary", killMySQL("b")).
		When("a row is written meanwhile", writeOn("a", "second")).
		Then(4*time.Minute, statusSays("all is complete again", complete), isOnAll("second"))

	s.When("mysqld is killed on the primary", killMySQL("a"))
	next := ""
	s.Then(60*time.Second, statusSays("another is the primary", func(status clusterStatus) bool {
		next = strings.TrimPrefix(status.Primary, "db-")
		return next == "b" || next == "c"
	}))
	s.When("a row is written on the new primary", writeOn(next, "third"))
	former := map[string]string{"b": "c", "c": "b"}[next]
	s.When("one of the others refuses writes, as it must", func(ctx context.Context, c *copyOfStack) error {
		if err := writeOn(former, "never")(ctx, c); err == nil {
			return errors.New("it accepts them")
		}
		return nil
	})
	s.Then(90*time.Second, isOnAll("third"), statusSays("all databases are in the group", func(status clusterStatus) bool {
		for _, one := range status.Servers {
			if one.Member == nil || one.Member.State != "ONLINE" {
				return false
			}
		}
		return true
	}))
	up() // the applications follow the primary
	s.Then(10*time.Second, statusSays("all is complete", complete), servesOn("a", serversSubnet+".11", "third"))

	s.When("a whole server is killed", killServers(former)).
		Then(60*time.Second, statusSays("one server is missing", func(status clusterStatus) bool {
			for _, one := range status.Servers {
				if (one.Server == former) != (len(one.Errors) > 0) {
					return false
				}
			}
			return status.State == "degraded" && status.Primary == "db-"+next
		}))
	s.When("a row is written without it", writeOn(next, "fourth"))
	s.When("the other two are killed", killServers("a", next))
	s.Then(30*time.Second, statusSays("nothing is there", func(status clusterStatus) bool { return status.State == "cannot write" && status.Primary == "" }))
	s.When("the group is formed again", func(ctx context.Context, _ *copyOfStack) error {
		out, err := clusterTool(ctx, "cluster-recover")
		if err == nil && !strings.Contains(out, "has every transaction") {
			err = errors.New(out)
		}
		return err
	})
	s.Then(30*time.Second, isOnAll("first"), isOnAll("second"), isOnAll("third"), isOnAll("fourth"))
	up()
	s.Then(30*time.Second, statusSays("all is complete", complete))

	s.When("it is removed", func(context.Context, *copyOfStack) error { return removeServers() })
	for what, list := range map[string][]string{
		"a container": {"ps", "--all", "--format", "{{.Names}}"},
		"a volume":    {"volume", "ls", "--format", "{{.Name}}"},
		"a network":   {"network", "ls", "--format", "{{.Name}}"},
	} {
		out, err := site.output(t.Context(), "docker", list...)
		if err != nil || strings.Contains(out, threeServers) {
			t.Errorf("%s is left: %v\n%s", what, err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "cluster", threeServers)); !os.IsNotExist(err) {
		t.Errorf("its folder is left: %v", err)
	}
}

// The servers are those of the other test, made by the same command, which is interrupted as soon as they run.
func TestLongThreeServersAreReachedOverSSH(t *testing.T) {
	withServers(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	making := site.command(ctx, tool(), "cluster", "--name", threeServers, "--subnet", serversSubnet)
	said, err := making.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := making.Start(); err != nil {
		t.Fatal(err)
	}
	run := false
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.Contains(lines.Text(), "started three servers") {
			run = true
			cancel()
		}
	}
	if err := making.Wait(); !run {
		t.Fatalf("there are no servers: %v", err)
	}

	dir, err := os.MkdirTemp("", "s") // a short name, for ssh's sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if _, err := site.output(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"config": "Host *\nIdentityFile " + dir + "/key\nUserKnownHostsFile " + dir + "/known\nStrictHostKeyChecking accept-new\n",
		"ssh":    "#!/bin/sh\nPATH=${PATH#*:}\nexec ssh -F " + dir + "/config \"$@\"\n", // the user's own settings stay out of it
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, server := range []string{"a", "b", "c"} {
		if _, err := on(t.Context(), server, read(t, filepath.Join(dir, "key.pub")), "sh", "-c",
			"mkdir -p -m 700 /root/.ssh && cat >/root/.ssh/authorized_keys && ssh-keygen -A && mkdir -p /run/sshd && /usr/sbin/sshd"); err != nil {
			t.Fatal(err)
		}
	}
	const name = threeServers + "-ssh"
	over := func(command string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Minute)
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		mine := site.with("PATH="+dir+":"+os.Getenv("PATH"), "XDG_RUNTIME_DIR="+dir)
		return combined(mine.command(ctx, tool(), append([]string{command, "--name", name}, args...)...))
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(filepath.Join(root, "cluster", name)); err != nil {
			t.Error(err)
		}
	})
	hosts := []string{"root@" + serversSubnet + ".11", "root@" + serversSubnet + ".12", "root@" + serversSubnet + ".13"}
	if out, err := over("cluster", "nobody@"+serversSubnet+".11", hosts[1], hosts[2]); err == nil || !strings.Contains(out, "An ssh key must open it without a question") {
		t.Errorf("a server that does not let us in: %v", err)
	}
	if _, err := on(t.Context(), "b", "services: {}\n", "sh", "-c", "cat >/srv/oneserver/compose.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, err := over("cluster", hosts...); err == nil || !strings.Contains(err.Error(), "server b has a stack of its own") {
		t.Errorf("a server with another stack: %v", err)
	}
	if _, err := over("cluster-down", "--yes"); err != nil {
		t.Error(err)
	}
	if _, err := on(t.Context(), "b", "", "rm", "/srv/oneserver/compose.yaml"); err != nil {
		t.Errorf("the other stack's file is gone: %v", err)
	}
	begun := time.Now()
	if _, err := over("cluster", hosts...); err != nil {
		t.Fatal(err)
	}
	t.Logf("make cluster over ssh (%.1f s)", time.Since(begun).Seconds())
	if out, err := over("cluster-status"); err != nil || strings.Count(out, "ONLINE") != 3 {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := over("cluster", hosts[1], hosts[0], hosts[2]); err == nil || !strings.Contains(err.Error(), "has the servers") {
		t.Errorf("hosts in another order: %v", err)
	}
	if _, err := over("cluster-down", "--yes"); err != nil {
		t.Fatal(err)
	}
	if left, err := on(t.Context(), "a", "", "docker", "ps", "--all", "--quiet"); err != nil || left != "" {
		t.Errorf("containers are left: %q, %v", left, err)
	}
}

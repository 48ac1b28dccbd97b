package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ctl runs the tool behind the Makefile's targets, with the copy's settings and others that override them.
func (c *copyOfStack) ctl(ctx context.Context, settings []string, args ...string) (string, error) {
	return c.with(settings...).output(ctx, tool(), args...)
}

// Settings that cannot work are refused before anything starts, with the setting's name and what to do.
func TestBadSettingsGetAClearError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	tests := []struct {
		name     string
		settings []string
		says     []string
	}{
		{"a port in use, and by whom", []string{"HTTP_PORT=" + port}, []string{"HTTP_PORT", "taken by", fmt.Sprintf("pid %d", os.Getpid())}},
		{"a domain with a space", []string{"DOMAIN=foo bar.com"}, []string{"DOMAIN", "foo bar.com"}},
		{"a domain of one word", []string{"DOMAIN=foobar"}, []string{"DOMAIN"}},
		{"an invalid address", []string{"SERVER_IP=8.8.8.888"}, []string{"SERVER_IP", "8.8.8.888"}},
		{"a host name instead of an address", []string{"SERVER_IP=example.com"}, []string{"SERVER_IP"}},
		{"an invalid port", []string{"DNS_PORT=66000"}, []string{"DNS_PORT"}},
		{"an address of another machine", []string{"BIND=192.0.2.1"}, []string{"BIND"}},
		{"an invalid subnet", []string{"SUBNET=172.28"}, []string{"SUBNET"}},
		{"everybody as a trusted proxy", []string{"TRUSTED_PROXIES=0.0.0.0/0"}, []string{"TRUSTED_PROXIES", "everybody"}},
		{"a subnet that another network has", []string{"COMPOSE_PROJECT_NAME=oneserver-test-other", "HTTP_PORT=18099", "HTTPS_PORT=18499", "DNS_PORT=11099", "SUBNET=" + site.subnet}, []string{"SUBNET", site.project}},
		{"no Docker", []string{"PATH=" + t.TempDir()}, []string{"docker", "https://docs.docker.com"}},
		{"Docker not running", []string{"DOCKER_HOST=unix://" + filepath.Join(t.TempDir(), "docker.sock")}, []string{"engine does not answer", "start"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, command := range []string{"doctor", "up"} {
				out, err := site.ctl(t.Context(), test.settings, command)
				if err == nil {
					t.Errorf("%s says that all is well:\n%s", command, out)
				}
				for _, words := range test.says {
					if !strings.Contains(out, words) {
						t.Errorf("%s does not say %q:\n%s", command, words, out)
					}
				}
			}
		})
	}
}

// Even if Compose cannot read a setting, the doctor recognizes the running stack as its own.
func TestARunningStackIsNotInItsOwnWay(t *testing.T) {
	t.Parallel()
	out, err := site.ctl(t.Context(), []string{"HTTP_PORT=eighty"}, "doctor")
	if err == nil || !strings.Contains(out, "eighty") {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(out, site.project) || strings.Contains(out, "overlaps") {
		t.Errorf("it complains about the stack itself:\n%s", out)
	}
}

// Plain `docker compose up`, which does not run the doctor first, refuses bad settings too: the service that they concern
// says why.
func TestBadSettingsAreRefusedByTheirOwnService(t *testing.T) {
	t.Parallel()
	for setting, value := range map[string]string{"DOMAIN": "foo_bar", "SERVER_IP": "8.8.8.888", "SUBNET": "172.28"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			args := []string{"run", "--rm", "--network", "none"}
			for name, good := range map[string]string{"DOMAIN": "foobar.com", "SERVER_IP": "8.8.8.8", "SUBNET": "172.28.0"} {
				if name == setting {
					good = value
				}
				args = append(args, "--env", name+"="+good)
			}
			out, err := site.output(t.Context(), "docker", append(args, "oneserver-dns")...)
			if err == nil || !strings.Contains(out, setting) || !strings.Contains(out, value) || !strings.Contains(out, ".env") {
				t.Errorf("dns with %s=%s: %v: %s", setting, value, err, out)
			}
		})
	}
}

// An invalid value never makes web trust anybody: Nginx does not start, and the log names the setting.
func TestABadTrustedProxyIsRefusedByWeb(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"proxy.example.com", "203.0.113.7,203.0.113.8", "0.0.0.0/0", "::/00", "0.0.0.0/1 128.0.0.0/1", "2000::/3", "2.0.0.0/7", "fc00::/7 10.0.0.0/8", "10.1.2.3;allow", "*", "$SUBNET", "cafe", "10.1.2", "10.1.2.3/33", "", "203.0.113.7 2001:db8::/32"} {
		good := map[string]bool{"": true, "fc00::/7 10.0.0.0/8": true, "203.0.113.7 2001:db8::/32": true}
		first, _, _ := strings.Cut(value, " ")
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			out, err := site.output(t.Context(), "docker", "run", "--rm", "--network", "none", "--user", "101:101", "--read-only",
				"--tmpfs", "/run/nginx:uid=101,gid=101", "--tmpfs", "/run/nginx-body:uid=101,gid=101", "--tmpfs", "/run/nginx-cache:uid=101,gid=101", "--tmpfs", "/run/nginx-files:uid=101,gid=101",
				"--volume", filepath.Join(root, "services/web-init/trusted-proxies.sh")+":/docker-entrypoint.d/15-trusted-proxies.sh:ro",
				"--volume", filepath.Join(root, "services/web-init/routing.sh")+":/docker-entrypoint.d/16-routing.sh:ro", "--volume", filepath.Join(root, "nginx.conf")+":/etc/nginx/templates/nginx.conf.template:ro",
				"--env", "NGINX_ENVSUBST_OUTPUT_DIR=/run/nginx", "--env", "NGINX_ENVSUBST_FILTER=^(DOMAIN|SUBNET|HTTPS_PORT)$", "--env", "HTTPS_PORT="+site.httpsPort, "--env", "DOMAIN=foobar.com", "--env", "SUBNET="+site.subnet,
				"--env", "TRUSTED_PROXIES="+value, "nginx:1.30", "nginx", "-t", "-c", "/run/nginx/nginx.conf")
			if refused := err != nil && strings.Contains(out, first) && strings.Contains(out, "trusted-proxies"); refused == good[value] {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// If the database's first start is cut off, it leaves a volume that the image takes for complete at the next start. The
// stack does not.
func TestAHalfInitialisedVolumeIsNotTakenForAWholeOne(t *testing.T) {
	tests := []struct {
		name  string
		fault func(*testing.T, *scenario)
	}{
		{"killed while it creates the system tables", func(_ *testing.T, s *scenario) {
			s.When("an empty database is started", compose("up", "--detach", "db")).
				Then(time.Minute, initialising()).
				When("db is killed", killNine("db"))
		}},
		{"an error in db-init", func(t *testing.T, s *scenario) {
			broken := t.TempDir()
			override := filepath.Join(t.TempDir(), "override.yaml")
			if err := errors.Join(
				os.CopyFS(broken, os.DirFS(filepath.Join(root, "db-init"))),
				os.WriteFile(filepath.Join(broken, "50-error.sql"), []byte("SELECT nonsense;\n"), 0o600),
				os.WriteFile(override, []byte("services: { db: { volumes: ["+broken+":/docker-entrypoint-initdb.d:ro] } }\n"), 0o600),
				os.Chmod(broken, 0o755), os.Chmod(filepath.Join(broken, "50-error.sql"), 0o644), // the container's user must be able to read them
			); err != nil {
				t.Fatal(err)
			}
			s.When("an empty database is started with the error", compose("-f", "compose.yaml", "-f", override, "up", "--detach", "db")).
				Then(time.Minute, unhealthyBecause("db", "cut off before it was complete", "make reset"))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Cleanup(func() {
				if err := half.remove(); err != nil {
					t.Error(err)
				}
			})
			s := newScenario(t, half)
			test.fault(t, s)
			s.When("the stack is stopped", compose("stop"))
			for _, command := range []string{"doctor", "up"} {
				out, err := half.ctl(t.Context(), nil, command)
				if err == nil || !strings.Contains(out, "never") || !strings.Contains(out, "make reset") {
					t.Errorf("%s: %v\n%s", command, err, out)
				}
			}
		})
	}
}

// half is a copy whose database never completes its first start.
var half = newCopy("oneserver-test-half", "18081", "11054", "172.28.3")

// initialising: the system tables exist, but db-init is not finished.
func initialising() check {
	return check{"db is in the middle of its first start", []string{"db"}, func(ctx context.Context, c *copyOfStack) error {
		_, err := c.compose(ctx, "exec", "--no-TTY", "db", "sh", "-c", "test -d /var/lib/mysql/mysql && test ! -e /var/lib/mysql/stack_id")
		return err
	}}
}

// unhealthyBecause: the last health check printed all of these words.
func unhealthyBecause(service string, says ...string) check {
	return check{service + " reports what is wrong with it", []string{service}, func(ctx context.Context, c *copyOfStack) error {
		containers, err := c.containers(ctx)
		if err != nil {
			return err
		}
		health := containers[service].State.Health
		if health == nil || len(health.Log) == 0 {
			return errors.New("no health check has run yet")
		}
		last := health.Log[len(health.Log)-1].Output
		for _, words := range says {
			if !strings.Contains(last, words) {
				return fmt.Errorf("its last health check says %q", last)
			}
		}
		return nil
	}}
}

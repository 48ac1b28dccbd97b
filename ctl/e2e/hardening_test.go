package e2e

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// safety is the part of the engine's description of a container that limits what the container may do.
type safety struct {
	User         string
	ReadOnlyRoot bool
	Privileged   bool
	CapDrop      []string
	CapAdd       []string
	SecurityOpt  []string
	Memory       string // without any swap
	Processes    int64
	Log          map[string]string
	Restart      string
	Networks     []string // with the address, if it is fixed
	Published    []string
	Writable     []string // volumes
}

// What each container may do is checked as the engine reports it, not as compose.yaml states it.
func TestContainersAreHardened(t *testing.T) {
	t.Parallel()
	network := site.project + "_default"
	want := map[string]safety{
		"dns": hardened(safety{User: "10053:10053", Memory: "64 MiB", Networks: []string{network + " " + site.subnet + ".53"},
			Published: []string{"53/tcp 127.0.0.1:" + site.dnsPort, "53/udp 127.0.0.1:" + site.dnsPort}}),
		"web": hardened(safety{User: "101:101", Memory: "128 MiB", Networks: []string{network + " " + site.subnet + ".80"},
			Published: []string{"443/tcp 127.0.0.1:" + site.httpsPort, "443/udp 127.0.0.1:" + site.httpsPort, "80/tcp 127.0.0.1:" + site.httpPort}}),
		"certs":   hardened(safety{User: "10443:101", Memory: "32 MiB", Networks: []string{network}, Writable: []string{"/tls", "/var/lib/certs"}}),
		"app":     hardened(safety{User: "10001:10001", Memory: "192 MiB", Networks: []string{network}}),
		"db":      hardened(safety{User: "999:999", Memory: "544 MiB", Processes: 256, Networks: []string{network}, Writable: []string{"/run/disk", "/tmp", "/var/lib/mysql"}}),
		"secrets": hardened(safety{User: "0:0", CapAdd: []string{"CHOWN"}, Memory: "64 MiB", Restart: "no", Networks: []string{"none"}, Writable: []string{"/run/secrets"}}),
		"migrate": hardened(safety{User: "10002:10002", Memory: "64 MiB", Restart: "no", Networks: []string{network}}),
	}
	containers, err := site.containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(containers)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("the stack has the containers %v", got)
	}
	for service, container := range containers {
		if got := safetyOf(container); !reflect.DeepEqual(got, want[service]) {
			t.Errorf("%s is\n%+v\nwant\n%+v", service, got, want[service])
		}
	}
}

// hardened fills in the values that most containers share.
func hardened(s safety) safety {
	s.ReadOnlyRoot = true
	s.CapDrop = []string{"ALL"}
	s.SecurityOpt = []string{"no-new-privileges:true"}
	s.Log = map[string]string{"max-size": "10m", "max-file": "3"}
	if s.Processes == 0 {
		s.Processes = 64
	}
	if s.Restart == "" {
		s.Restart = "unless-stopped"
	}
	return s
}

func safetyOf(c container) safety {
	s := safety{
		User:         c.Config.User,
		ReadOnlyRoot: c.HostConfig.ReadonlyRootfs,
		Privileged:   c.HostConfig.Privileged,
		CapDrop:      c.HostConfig.CapDrop,
		SecurityOpt:  c.HostConfig.SecurityOpt,
		Memory:       fmt.Sprint(c.HostConfig.MemorySwap>>20, " MiB"), // the limit of memory and swap together
		Log:          c.HostConfig.LogConfig.Config,
		Restart:      c.HostConfig.RestartPolicy.Name,
	}
	for _, capability := range c.HostConfig.CapAdd {
		s.CapAdd = append(s.CapAdd, strings.TrimPrefix(capability, "CAP_")) // newer engines report the full name
	}
	if c.HostConfig.Memory != c.HostConfig.MemorySwap {
		s.Memory += fmt.Sprint(", of which memory ", c.HostConfig.Memory>>20)
	}
	if c.HostConfig.PidsLimit != nil {
		s.Processes = *c.HostConfig.PidsLimit
	}
	for name, network := range c.NetworkSettings.Networks {
		if strings.HasSuffix(network.IPAddress, ".53") || strings.HasSuffix(network.IPAddress, ".80") {
			name += " " + network.IPAddress
		}
		s.Networks = append(s.Networks, name)
	}
	for port, bindings := range c.HostConfig.PortBindings {
		for _, binding := range bindings {
			s.Published = append(s.Published, port+" "+binding.HostIP+":"+binding.HostPort)
		}
	}
	slices.Sort(s.Published)
	for _, mount := range c.Mounts {
		if mount.RW {
			s.Writable = append(s.Writable, mount.Destination)
		}
	}
	slices.Sort(s.Writable)
	return s
}

// Every database account has exactly these grants, as MySQL reports them. An account that is not listed here also fails the
// test.
func TestDatabaseAccountsHaveLeastPrivilege(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"app@%":            {"GRANT USAGE ON *.*", "GRANT SELECT, INSERT, UPDATE, DELETE ON `foobar`.*"},
		"migrate@%":        {"GRANT USAGE ON *.*", "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER ON `foobar`.*"},
		"backup@%":         {"GRANT USAGE ON *.*", "GRANT SELECT, SHOW VIEW ON `foobar`.*"},
		"health@127.0.0.1": {"GRANT USAGE ON *.*", "GRANT SELECT ON `oneserver`.`initialised`"},
		"root@localhost":   nil, // everything
	}
	accounts, err := site.sql(t.Context(), "root", "SELECT CONCAT(user, '@', host) FROM mysql.user WHERE account_locked = 'N' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(accounts); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("MySQL has the accounts %v", got)
	}
	for account, grants := range want {
		if grants == nil {
			continue
		}
		user, host, _ := strings.Cut(account, "@")
		shown, err := site.sql(t.Context(), "root", fmt.Sprintf("SHOW GRANTS FOR '%s'@'%s'", user, host))
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for line := range strings.Lines(shown) {
			grant, _, _ := strings.Cut(strings.TrimSpace(line), " TO ")
			got = append(got, grant)
		}
		if !slices.Equal(got, grants) {
			t.Errorf("%s has\n%s\nwant\n%s", account, strings.Join(got, "\n"), strings.Join(grants, "\n"))
		}
	}
}

// Accounts also try what they may not do, and are refused.
func TestDatabaseRefusesWhatAccountsMayNotDo(t *testing.T) {
	t.Parallel()
	for account, statements := range map[string][]string{
		"app":     {"DROP TABLE foobar.posts", "ALTER TABLE foobar.posts ADD hole INT", "TRUNCATE foobar.posts", "CREATE TABLE foobar.hole (id INT)", "SELECT * FROM mysql.user", "UPDATE oneserver.initialised SET stack_id = ''"},
		"migrate": {"CREATE DATABASE hole", "DROP TABLE oneserver.initialised", "SELECT * FROM mysql.user", "CREATE USER hole@'%'"},
		"backup":  {"DELETE FROM foobar.posts", "INSERT INTO foobar.posts (title, body) VALUES ('', '')", "DROP TABLE foobar.posts"},
		"health":  {"SELECT * FROM foobar.posts", "UPDATE oneserver.initialised SET stack_id = ''"},
	} {
		for _, statement := range statements {
			if out, err := site.sql(t.Context(), account, statement); err == nil || !strings.Contains(out, "denied") {
				t.Errorf("%s: %s: %q (%v); want it denied", account, statement, out, err)
			}
		}
	}
	// root cannot sign in over the network
	if out, err := site.compose(t.Context(), "exec", "--no-TTY", "db", "sh", "-c",
		`MYSQL_PWD="$(cat /run/secrets/mysql_root_password)" exec mysql --host 127.0.0.1 --user root -e "SELECT 1"`); err == nil || !strings.Contains(out, "denied") {
		t.Errorf("root over TCP: %q (%v); want it denied", out, err)
	}
}

// The settings that durability depends on are in effect, wherever they are set.
func TestDatabaseIsDurable(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"innodb_flush_log_at_trx_commit": "1", "sync_binlog": "1", "innodb_doublewrite": "ON", "log_bin": "1",
		"gtid_mode": "ON", "enforce_gtid_consistency": "ON", "binlog_format": "ROW",
	} {
		got, err := site.sql(t.Context(), "root", "SELECT @@GLOBAL."+setting)
		if err != nil {
			t.Error(err)
		} else if got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
}

// Each password is readable only by the users that need it.
func TestSecretsAreReadableByTheirOwnersOnly(t *testing.T) {
	t.Parallel()
	for _, forbidden := range []struct{ user, file string }{
		{"10001:10001", "mysql_root_password"}, {"10001:10001", "mysql_migrate_password"}, {"10001:10001", "mysql_backup_password"},
		{"10002:10002", "mysql_app_password"}, {"10002:10002", "mysql_root_password"}, {"101:101", "mysql_app_password"},
	} {
		out, err := site.output(t.Context(), "docker", "run", "--rm", "--network", "none", "--user", forbidden.user, "--volume", site.project+"_secrets:/run/secrets:ro",
			"--entrypoint", "cat", "nginx:1.30", "/run/secrets/"+forbidden.file)
		if err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("user %s reads %s: %v", forbidden.user, forbidden.file, err)
		}
	}
}

// A password must not appear in a log, in the environment or on a command line.
func TestSecretsAreNotShownAnywhere(t *testing.T) {
	t.Parallel()
	shown, err := site.compose(t.Context(), "logs", "--no-color")
	if err != nil {
		t.Fatal(err)
	}
	containers, err := site.containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, container := range containers {
		inspected, err := site.output(t.Context(), "docker", "inspect", container.ID)
		if err != nil {
			t.Fatal(err)
		}
		shown += inspected
	}
	secrets, err := site.compose(t.Context(), "exec", "--no-TTY", "db", "sh", "-c", "for file in /run/secrets/mysql_*_password; do cat $file; echo; done")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(secrets)
	if len(words) != 5 {
		t.Fatalf("%d secrets to look for", len(words))
	}
	for _, word := range words {
		if len(word) < 32 {
			t.Errorf("a password of %d characters", len(word))
		}
		if strings.Contains(shown, word) {
			t.Errorf("a password is in a log or in the output of docker inspect")
		}
	}
}

package cluster

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/binlog"
	"oneserver/ctl/internal/stack"
)

const uuid, other = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"

func three() *Cluster {
	c := &Cluster{Name: "test", Group: uuid}
	for i, letter := range letters {
		c.Servers = append(c.Servers, Server{Letter: letter, PrivateIP: "10.0.0.1" + string(rune('1'+i))})
	}
	return c
}

func set(t *testing.T, text string) binlog.Set {
	t.Helper()
	s, err := binlog.ParseSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each case gives, for a, b and c, what a database has executed and received; "-" for one that does not answer, and "new" for
// one that has never been in the group, whose own transactions count for nothing.
func TestTheGroupIsFormedAgainOnlyByWhoHasEverything(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		executed [3]string
		received [3]string
		without  string
		want     string // the server, or a part of the error
	}{
		{"all have the same", [3]string{uuid + ":1-9", uuid + ":1-9", uuid + ":1-9"}, [3]string{}, "", "a"},
		{"one has more", [3]string{uuid + ":1-9", uuid + ":1-12", uuid + ":1-9"}, [3]string{}, "", "b"},
		{"one has received more", [3]string{uuid + ":1-9", uuid + ":1-9", uuid + ":1-8"}, [3]string{"", "", uuid + ":9-12"}, "", "c"},
		{"two have what the other lacks", [3]string{uuid + ":1-9:11", uuid + ":1-10", uuid + ":1-9"}, [3]string{}, "", "b lacks 1 transactions that db-a has"},
		{"of another source", [3]string{uuid + ":1-9", uuid + ":1-9," + other + ":1", uuid + ":1-9"}, [3]string{}, "", "b"},
		{"one has an empty disk", [3]string{"new " + other + ":1-90", uuid + ":1-9", uuid + ":1-8"}, [3]string{}, "", "b"},
		{"all have empty disks", [3]string{"new", "new", "new"}, [3]string{}, "", "make cluster forms it"},
		{"one is missing", [3]string{uuid + ":1-9", "-", uuid + ":1-9"}, [3]string{}, "", "--without b"},
		{"one is given up", [3]string{uuid + ":1-8", "-", uuid + ":1-9"}, [3]string{}, "b", "c"},
		{"one that is there is given up", [3]string{uuid + ":1-8", uuid + ":1-8", uuid + ":1-9"}, [3]string{}, "b", "db-b answers, so it must not be left out"},
		{"two are given up", [3]string{uuid + ":1-8", "-", "-"}, [3]string{}, "b,c", "at most one"},
	} {
		c := three()
		found, silent := map[string]facts{}, map[string]error{}
		for i, letter := range letters {
			text, fresh := strings.CutPrefix(test.executed[i], "new")
			if text == "-" {
				silent[letter] = errors.New("no route to host")
				continue
			}
			found[letter] = facts{State: "OFFLINE", Fresh: fresh, Executed: set(t, text), Received: set(t, test.received[i])}
		}
		var without []string
		if test.without != "" {
			without = strings.Split(test.without, ",")
		}
		got, err := choose(c.Servers, found, silent, without)
		if said := got.Letter; err != nil && !strings.Contains(err.Error(), test.want) || err == nil && said != test.want {
			t.Errorf("%s: %q, %v; want %s", test.name, said, err, test.want)
		}
	}
}

func TestAFirstGroupIsFormedOnlyFromDatabasesThatHaveNeverBeenInOne(t *testing.T) {
	t.Parallel()
	fresh, former := facts{State: "OFFLINE", Fresh: true}, facts{State: "OFFLINE"}
	for _, test := range []struct {
		name string
		abc  [3]facts
		may  bool
		says string
	}{
		{"all new", [3]facts{fresh, fresh, fresh}, true, ""},
		{"one came back with an empty disk", [3]facts{fresh, former, former}, false, "make cluster-recover"},
		{"one is still in it", [3]facts{fresh, {State: "ONLINE"}, fresh}, false, ""},
		{"one is joining", [3]facts{fresh, fresh, {State: "RECOVERING"}}, false, ""},
	} {
		may, err := mayForm(three().Servers, map[string]facts{"a": test.abc[0], "b": test.abc[1], "c": test.abc[2]})
		if may != test.may || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %t, %v", test.name, may, err)
		}
	}
}

// A primary that was cut off goes on saying that it is one, in an older view.
func TestTheLatestViewIsBelieved(t *testing.T) {
	t.Parallel()
	member := func(letter, state, role string) memberView { return memberView{"db-" + letter, state, role} }
	old := facts{State: "ONLINE", View: "17331234567890123:9", Writable: true,
		Members: []memberView{member("a", "ONLINE", "PRIMARY"), member("b", "UNREACHABLE", "SECONDARY"), member("c", "UNREACHABLE", "SECONDARY")}}
	new := facts{State: "ONLINE", View: "17331234567890123:10", Members: []memberView{member("c", "ONLINE", "SECONDARY"), member("b", "ONLINE", "PRIMARY")}}
	if g := latest(map[string]facts{"a": old, "b": new, "c": new}); g.Primary != "db-b" || !g.quorum() || g.Members[0].Host != "db-b" {
		t.Errorf("the group is %+v", g)
	}
	if g := latest(map[string]facts{"a": old}); g.quorum() {
		t.Errorf("one of three is taken for a majority: %+v", g)
	}
	if g := latest(map[string]facts{"a": {State: "ERROR", View: "17331234567890123:11"}}); g.View != "" {
		t.Errorf("the view of one outside the group counts: %+v", g)
	}
}

func TestWhatADatabaseSaysIsRead(t *testing.T) {
	t.Parallel()
	f, err := readFacts([][]string{{"self", "ONLINE", "0", uuid + ":1-5,\\n" + other + ":1"}, {}})
	if err == nil {
		t.Errorf("rows of another form are read as %+v", f)
	}
	f, err = readFacts([][]string{
		{"self", "ONLINE", "0", uuid + ":1-5", "1"}, {"received", uuid + ":1-7"}, {"stats", "1:2", "3"},
		{"member", "db-a", "ONLINE", "PRIMARY"}, {"member", "db-b", "RECOVERING", "SECONDARY"},
	})
	if err != nil || f.State != "ONLINE" || !f.Writable || f.Fresh || f.View != "1:2" || f.Queue != 3 || len(f.Members) != 2 {
		t.Errorf("it is read as %+v, %v", f, err)
	}
	if all := f.has(); all.Count() != 7 {
		t.Errorf("it has %s", all)
	}
	if f, err := readFacts(nil); err == nil {
		t.Errorf("no answer is read as %+v", f)
	}
}

func TestEachServerGetsItsOwnSettings(t *testing.T) {
	t.Parallel()
	c := three()
	config, err := c.groupConfig(c.Servers[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"server-id = 2", "report-host = db-b", "loose-group-replication-group-name = " + uuid,
		"loose-group-replication-local-address = db-b:3306", "loose-group-replication-group-seeds = db-a:3306,db-b:3306,db-c:3306"} {
		if !slices.Contains(strings.Split(config, "\n"), line) {
			t.Errorf("group.cnf lacks the line %q:\n%s", line, config)
		}
	}
	env := c.environment(c.Servers[1], stack.Settings{"DOMAIN": "it's.example", "HTTP_PORT": "8080", "GOPROXY": "https://user:secret@proxy"}, c.Servers[2])
	for _, line := range []string{"PEER_1='db-a:10.0.0.11'", "PEER_2='db-c:10.0.0.13'", "PRIMARY='db-c'", "DATABASE='db-b'", "PRIVATE_IP='10.0.0.12'", "HTTP_PORT='80'"} {
		if !slices.Contains(strings.Split(env, "\n"), line) {
			t.Errorf(".env lacks the line %q:\n%s", line, env)
		}
	}
	if strings.Contains(env, "secret") || strings.Count(env, "'")%2 != 0 {
		t.Errorf(".env is\n%s", env)
	}
}

func TestAGroupThatTheServersHaveIsTakenOver(t *testing.T) {
	t.Parallel()
	c := three()
	of := func(i int, group string) string {
		c := three()
		c.Group = group
		config, err := c.groupConfig(c.Servers[i])
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	for _, test := range []struct {
		configs []string
		want    string
		says    string
	}{
		{[]string{"", "", ""}, "", ""},
		{[]string{"", of(1, other), ""}, other, ""},
		{[]string{of(0, other), of(1, other), of(2, other)}, other, ""},
		{[]string{of(0, other), of(1, uuid), ""}, "", "another cluster"},
		{[]string{"", notOurs + "\n", ""}, "", "server b has a stack of its own"},
		{[]string{of(1, other), of(0, other), ""}, "", "the server a has been b until now"},
	} {
		got, err := groupOf(c.Servers, test.configs)
		if got != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q, %v; want %q, %q", got, err, test.want, test.says)
		}
	}
}

func TestADatabasesCertificateIsCheckedByNameAndAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	signer, err := openAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openAuthority(dir)
	if err != nil || string(again.pem) != string(signer.pem) || !again.key.Equal(signer.key) {
		t.Fatalf("the second time there is another authority, %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "authority.key")); err != nil || info.Mode() != 0o600 {
		t.Errorf("its key has %v, %v", info, err)
	}
	certificate, key, err := again.issue("db-a")
	if err != nil || !strings.Contains(string(key), "PRIVATE KEY") {
		t.Fatal(err)
	}
	stranger, err := openAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !usable(certificate, signer.pem, "db-a") || usable(certificate, signer.pem, "db-b") || usable(certificate, stranger.pem, "db-a") || usable(nil, nil, "db-a") {
		t.Error("a certificate is usable only for its name, and with its authority")
	}
	block, _ := pem.Decode(certificate)
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil || time.Until(parsed.NotAfter) < 9*365*24*time.Hour {
		t.Errorf("it ends on %v, %v", parsed.NotAfter, err)
	}
}

func TestSecretsOfTwoSitesAreNotMixed(t *testing.T) {
	t.Parallel()
	one, two := map[string]secret{"stack_id": {content: []byte("one")}}, map[string]secret{"stack_id": {content: []byte("two")}}
	for _, test := range []struct {
		has  []map[string]secret
		want int
		says string
	}{
		{[]map[string]secret{nil, nil, nil}, -1, ""},
		{[]map[string]secret{nil, one, nil}, 1, ""},
		{[]map[string]secret{one, one, one}, 0, ""},
		{[]map[string]secret{one, nil, two}, -1, "the servers a and c have different secrets"},
	} {
		got, err := sharedSet(three().Servers, test.has)
		if got != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v: %d, %v", test.has, got, err)
		}
	}
}

func TestADatabaseIsNotOpenedToEverybody(t *testing.T) {
	t.Parallel()
	const own = "127.0.0.1 10.0.0.1 8.8.4.4 "
	for _, test := range []struct {
		address string
		given   bool
		says    string
	}{
		{"10.0.0.1", false, ""},
		{"10.0.0.2", true, "has no address 10.0.0.2"},
		{"8.8.4.4", false, "a public address"},
		{"8.8.4.4", true, ""}, // whoever writes it down has a firewall, or a reason
		{"", false, "is no IPv4 address"},
	} {
		err := judgeAddress("one", test.address, own, test.given)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v, want %q", test.address, err, test.says)
		}
	}
}

func TestWhatAServerLacksIsSaid(t *testing.T) {
	t.Parallel()
	good := map[string]string{"system": "debian 13", "engine": "26.1.5+dfsg1", "compose": "2.26.1", "folder": "writable"}
	if err := judgeHost("one", good); err != nil {
		t.Errorf("a server that has everything: %v", err)
	}
	for fact, wrong := range map[string]string{"system": "fedora 42", "engine": "Cannot connect to the Docker daemon", "compose": "2.20.0", "folder": "me may not write to /srv"} {
		facts := map[string]string{}
		for name, value := range good {
			facts[name] = value
		}
		facts[fact] = wrong
		if err := judgeHost("one", facts); err == nil || !strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %q: %v", fact, wrong, err)
		}
	}
}

func TestTheStatusIsOneScreen(t *testing.T) {
	t.Parallel()
	c := three()
	well := map[string]string{"dns": "healthy", "certs": "healthy", "web": "healthy", "app": "healthy", "db": "healthy"}
	days := 3649
	seen := func() []ServerStatus {
		var all []ServerStatus
		for _, one := range c.Servers {
			all = append(all, ServerStatus{Server: one.Letter, Address: one.PrivateIP, Release: "0123456789ab", Services: well, Uses: "db-a", SiteCertificateDays: &days, DatabaseCertificateDays: &days})
		}
		return all
	}
	members := []memberView{{"db-a", "ONLINE", "PRIMARY"}, {"db-b", "ONLINE", "SECONDARY"}, {"db-c", "ONLINE", "SECONDARY"}}
	fact := func(executed string) *facts {
		return &facts{State: "ONLINE", View: "1:3", Members: members, Executed: set(t, executed)}
	}
	status := judge(c, seen(), []*facts{fact(uuid + ":1-9"), fact(uuid + ":1-7"), fact(uuid + ":1-9")})
	var text strings.Builder
	if err := status.Print(&text); err != nil {
		t.Fatal(err)
	}
	const want = `test is complete: writes go to db-a

server  address    dns      certs    web      app      db       uses  certificate  release
a       10.0.0.11  healthy  healthy  healthy  healthy  healthy  db-a  3649 days    0123456789ab
b       10.0.0.12  healthy  healthy  healthy  healthy  healthy  db-a  3649 days    0123456789ab
c       10.0.0.13  healthy  healthy  healthy  healthy  healthy  db-a  3649 days    0123456789ab

member  state   role       lag  queue  certificate
db-a    ONLINE  PRIMARY    0    0      3649 days
db-b    ONLINE  SECONDARY  2    0      3649 days
db-c    ONLINE  SECONDARY  0    0      3649 days
`
	if text.String() != want || status.Err() != nil {
		t.Errorf("%v\n%s\nwant\n%s", status.Err(), text.String(), want)
	}

	gone := seen()
	gone[2] = ServerStatus{Server: "c", Address: "10.0.0.13", Errors: []string{"it does not answer"}}
	status = judge(c, gone, []*facts{fact(uuid + ":1"), fact(uuid + ":1"), nil})
	text.Reset()
	if err := status.Print(&text); err != nil || status.State != Degraded || status.Err() == nil ||
		!strings.Contains(text.String(), "\nc       10.0.0.13  -        -        -        -        -        -     -            -\n") || !strings.Contains(text.String(), "\nserver c: it does not answer\n") {
		t.Errorf("with one gone it is %s, %v\n%s", status.State, err, text.String())
	}

	elsewhere := seen()
	elsewhere[1].Uses = "db-c"
	text.Reset()
	status = judge(c, elsewhere, []*facts{fact(uuid + ":1"), fact(uuid + ":1"), fact(uuid + ":1")})
	if err := status.Print(&text); err != nil || status.State != Degraded || !strings.Contains(text.String(), "The application of server b uses db-c, which only reads: make cluster\n") {
		t.Errorf("with an application that cannot write it is %s, %v\n%s", status.State, err, text.String())
	}

	alone := &facts{State: "ERROR"}
	if status = judge(c, seen(), []*facts{alone, nil, nil}); status.State != NoPrimary || status.Primary != "" {
		t.Errorf("with no group it is %+v", status)
	}
}

func TestOnlyWhatIsMountedFromTheRepositoryIsSent(t *testing.T) {
	t.Parallel()
	project := func(volumes ...string) stack.Project {
		var service stack.Service
		for _, source := range volumes {
			service.Volumes = append(service.Volumes, struct{ Type, Source string }{"bind", source})
		}
		service.Volumes = append(service.Volumes, struct{ Type, Source string }{"volume", "data"})
		return stack.Project{Services: map[string]stack.Service{"web": service}}
	}
	got, err := sources("/repo", project("/repo/nginx.conf", "/repo/services/web", "/repo/nginx.conf", "/repo/group.cnf"))
	if want := []string{"compose.cluster.yaml", "compose.yaml", "nginx.conf", "services/web"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("it sends %q, %v; want %q", got, err, want)
	}
	if got, err := sources("/repo", project("/etc/passwd")); err == nil {
		t.Errorf("it sends %q", got)
	}
}

// cluster-down removes the folder that the name leads to.
func TestANameLeadsToNoOtherFolder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "../..", "a/b", `a\b`, "-a", "A", "a b", strings.Repeat("a", 60)} {
		if _, err := Open(stack.New(t.TempDir()), name); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "--name takes") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := Open(stack.New(t.TempDir()), DefaultName); !errors.Is(err, ErrNone) {
		t.Errorf("%q: %v", DefaultName, err)
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
)

// TestMain lets the test binary act as the name server itself, on a port that the test chooses.
func TestMain(m *testing.M) {
	if port := os.Getenv("TEST_DNS_PORT"); port != "" {
		dnsserver.Port = port
		main()
	}
	os.Exit(m.Run())
}

// server is the real program with the repository's own Corefile and zone file, in a separate folder and on a separate
// port. The stack's own network is 127.28.0.0/24, so that a test can ask from inside it.
type server struct {
	folder, port string
	metrics      string // host:port
	command      *exec.Cmd
	log          *buffer
	exited       chan struct{}
}

const settingsOfTests = "DOMAIN=foobar.com SERVER_IP=8.8.8.8 SUBNET=127.28.0 HTTPS_PORT=443"

// prepare sets up the folder in which the program runs, and the command with its environment.
func prepare(t *testing.T, env string, args ...string) *server {
	t.Helper()
	s := &server{folder: t.TempDir(), port: freePort(t), metrics: "127.0.0.1:" + freePort(t), log: new(buffer), exited: make(chan struct{})}
	s.write(t, "corefile", s.corefile(t))
	s.write(t, "zone/site.zone", read(t, "zone/site.zone"))
	s.command = exec.Command(os.Args[0], args...)
	s.command.Dir = s.folder
	s.command.Env = append(strings.Fields(env), "TEST_DNS_PORT="+s.port)
	s.command.Stdout, s.command.Stderr = s.log, s.log
	return s
}

// corefile returns the repository's own Corefile, with a port for the metrics that no other test uses, and with the
// marker of a public certificate in the server's folder.
func (s *server) corefile(t *testing.T) string {
	return strings.NewReplacer("prometheus :9153", "prometheus "+s.metrics, "/tls/public", "public").Replace(read(t, "../../corefile"))
}

// start starts the server, with settings in place of those in settingsOfTests, and waits until it answers.
func start(t *testing.T, settings ...string) *server {
	t.Helper()
	s := prepare(t, settingsOfTests, "serve")
	s.command.Env = append(s.command.Env, settings...)
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.command.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.command.Process.Kill()
		<-s.exited
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log)
		}
	})
	s.eventually(t, 10*time.Second, "answer", func() error {
		select {
		case <-s.exited:
			t.Fatal("the server exited")
		default:
		}
		return healthcheck(t.Context(), "127.0.0.1:"+s.port, "foobar.com.")
	})
	return s
}

// ask sends question from the address from, which may be empty, and returns the answer.
func (s *server) ask(network, from string, question *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: 3 * time.Second, Dialer: &net.Dialer{Timeout: 3 * time.Second}}
	switch ip := net.ParseIP(from); {
	case ip == nil:
	case network == "tcp":
		client.Dialer.LocalAddr = &net.TCPAddr{IP: ip}
	default:
		client.Dialer.LocalAddr = &net.UDPAddr{IP: ip}
	}
	answer, _, err := client.Exchange(question, "127.0.0.1:"+s.port)
	return answer, err
}

func (s *server) mustAsk(t *testing.T, network, from string, question *dns.Msg) *dns.Msg {
	t.Helper()
	answer, err := s.ask(network, from, question)
	if err != nil {
		t.Fatalf("ask %v over %s: %v", question.Question, network, err)
	}
	return answer
}

// write replaces a file in the server's folder in place, as `cat >` does.
func (s *server) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace replaces a file in the server's folder with another one, as most editors do.
func (s *server) replace(t *testing.T, name, text string) {
	t.Helper()
	s.write(t, name+"~", text)
	path := filepath.Join(s.folder, name)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until try succeeds.
func (s *server) eventually(t *testing.T, limit time.Duration, what string, try func() error) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the server did not %s within %v: %v", what, limit, err)
		case <-tick.C:
		}
	}
}

// underQueries sends a thousand queries a second over each network in tries, with a new connection for each, while do
// runs. It fails the test if a query is not answered within the number of tries for its network.
func (s *server) underQueries(t *testing.T, tries map[string]int, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var asked, lost atomic.Int64
	for network, tries := range tries {
		clients.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				asked.Add(1)
				answer, err := s.ask(network, "", question("www.foobar.com.", dns.TypeA))
				for try := 1; err != nil && try < tries; try++ {
					answer, err = s.ask(network, "", question("www.foobar.com.", dns.TypeA))
				}
				if err == nil && (answer.Rcode != dns.RcodeSuccess || len(answer.Answer) != 2) {
					err = fmt.Errorf("answered with %v", answer)
				}
				if err != nil {
					lost.Add(1)
					t.Logf("over %s: %v", network, err)
				}
			}
		})
	}
	do()
	stop()
	clients.Wait()
	if lost.Load() > 0 || asked.Load() < 100 {
		t.Errorf("%d of %d questions were lost; want 0 of at least 100", lost.Load(), asked.Load())
	}
}

// nextPort counts the ports that tests have chosen. freePort chooses below the range that the system gives to clients,
// so that no client takes a port before the test uses it.
var nextPort atomic.Int32

func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := 20000 + (os.Getpid()*97+int(nextPort.Add(1)))%10000
		address := fmt.Sprintf(":%d", port)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		listener.Close()
		packets, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		packets.Close()
		return address[1:]
	}
	t.Fatal("no port is free")
	return ""
}

func question(name string, kind uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, kind) }

// text returns records on one line, without their TTLs.
func text(records []dns.RR) string {
	lines := make([]string, len(records))
	for i, record := range records {
		fields := strings.Fields(record.String())
		lines[i] = strings.Join(append(fields[:1], fields[3:]...), " ")
	}
	return strings.Join(lines, ", ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// buffer is a bytes.Buffer that one goroutine may write while another one reads it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestStopsAtOnceAndInOrderOnSIGTERM(t *testing.T) {
	t.Parallel()
	s := start(t)
	connection, err := net.Dial("tcp", "127.0.0.1:"+s.port) // idle, so no reason to wait
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	asked := time.Now()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(10 * time.Second):
		t.Fatal("still running 10 s after SIGTERM")
	}
	if took := time.Since(asked); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	if code := s.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestRefusesToStartWithoutSoundFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		spoil  func(t *testing.T, s *server)
		reason string
	}{
		{"no corefile", func(t *testing.T, s *server) { s.remove(t, "corefile") }, "there is no corefile"},
		{"a directory where the corefile was", func(t *testing.T, s *server) {
			s.remove(t, "corefile")
			s.write(t, "corefile/x", "")
		}, "corefile is a directory"},
		{"an empty corefile", func(t *testing.T, s *server) { s.write(t, "corefile", "# nothing\n") }, "no server block"},
		{"a corefile cut short", func(t *testing.T, s *server) { s.write(t, "corefile", "{$DOMAIN} {\n errors\n") }, "corefile:"},
		{"a plugin that is not built in", func(t *testing.T, s *server) {
			s.write(t, "corefile", "{$DOMAIN} {\n forward . 127.0.0.1\n}\n")
		}, "forward"},
		{"no zone file", func(t *testing.T, s *server) { s.remove(t, "zone/site.zone") }, "zone/site.zone"},
		{"a wrong zone file", func(t *testing.T, s *server) { s.write(t, "zone/site.zone", "@ A nonsense\n") }, "zone/site.zone"},
	}
	for _, test := range tests {
		for _, command := range []string{"serve", "check"} {
			t.Run(test.name+", "+command, func(t *testing.T) {
				t.Parallel()
				s := prepare(t, settingsOfTests, command)
				test.spoil(t, s)
				s.wantFailure(t, test.reason)
			})
		}
	}
}

func TestRefusesToStartWithWrongSettings(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "check", "healthcheck"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			prepare(t, "DOMAIN=foo_bar.com SERVER_IP=::1 SUBNET=127.28.0", command).wantFailure(t, "write for example DOMAIN=foobar.com in .env")
		})
	}
}

// wantFailure runs the program and checks that it exits with status 1 and one line that contains reason.
func (s *server) wantFailure(t *testing.T, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.command.Process.Kill() })
	defer stop()
	err := s.command.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v, want exit status 1", err)
	}
	if said := s.log.String(); !strings.Contains(said, reason) || strings.Count(said, "\n") != 1 {
		t.Errorf("said %q; want one line with %q", said, reason)
	}
}

func (s *server) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.folder, name)); err != nil {
		t.Fatal(err)
	}
}

func TestCheckAcceptsTheFilesOfTheRepository(t *testing.T) {
	t.Parallel()
	s := prepare(t, settingsOfTests, "check")
	if err := s.command.Run(); err != nil {
		t.Errorf("%v: %s", err, s.log)
	}
}

func TestHelpIsNotAnErrorAndAWrongCommandIs(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{"--help": 0, "help": 0, "sevre": 2, "serve now": 2} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &stdout, &stderr); got != want {
			t.Errorf("dns %s: exit status %d, want %d", args, got, want)
		}
		out := &stdout
		if want != 0 {
			out = &stderr
		}
		if out.String() != usage {
			t.Errorf("dns %s printed %q and %q", args, &stdout, &stderr)
		}
	}
}

// The checksum tells an operator who has changed the Corefile whether the server has loaded it.
func TestCheckPrintsTheSumThatTheServerLogs(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, size := range []string{"1232", "900"} {
		s.write(t, "corefile", strings.ReplaceAll(s.corefile(t), "bufsize 1232", "bufsize "+size))
		check := prepare(t, settingsOfTests, "check")
		check.command.Dir = s.folder
		if err := check.command.Run(); err != nil {
			t.Fatalf("%v: %s", err, check.log)
		}
		_, sum, found := strings.Cut(strings.TrimSpace(check.log.String()), "SHA512 = ")
		if !found || len(sum) != 128 {
			t.Fatalf("check prints %s", check.log)
		}
		s.eventually(t, 5*time.Second, "log the sum", s.logs("Running configuration SHA512 = "+sum))
	}
}

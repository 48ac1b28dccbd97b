package server

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// SSH is a server that the system's ssh reaches. Whatever ssh needs to know of it, such as a port or a key, is in ssh's own
// configuration.
type SSH struct {
	Host string // as ssh takes it: name, or user@name
	Dir  string // where programs run there
}

// options make ssh ask nothing, notice within 20 s that the server is gone, and open one connection for all commands: a
// server admits few at a time that have not signed in yet (MaxStartups).
func (s SSH) options() []string {
	return []string{"-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
		"-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ControlPath=" + filepath.Join(controlDir(), "%C")}
}

// controlDir is a folder of this user alone, with a short name: the path of a socket has at most some hundred bytes.
func controlDir() string {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" {
		base = os.TempDir()
	}
	return filepath.Join(base, "oneserver-ssh-"+strconv.Itoa(os.Getuid()))
}

// Prepare makes what the connections need on this machine. It is called before Command.
func (s SSH) Prepare() error {
	if err := os.MkdirAll(controlDir(), 0o700); err != nil {
		return err
	}
	return os.Chmod(controlDir(), 0o700) // fails if it is somebody else's
}

// Command implements Server.
func (s SSH) Command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	return remote(ctx, func(ctx context.Context, words ...string) *exec.Cmd {
		return Local{}.Command(ctx, nil, "ssh", append(s.options(), "--", s.Host, quote(words))...)
	}, s.Dir, env, name, args...)
}

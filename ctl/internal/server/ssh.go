package server

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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

// controlDir is a folder in one that belongs to this user alone: whoever could put a socket into it would get every command
// and its input. Its name is short, since the path of a socket has at most some hundred bytes.
func controlDir() string {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" {
		var err error
		if base, err = os.UserCacheDir(); err != nil {
			return "" // PrepareSSH says so
		}
	}
	return filepath.Join(base, "oneserver", "ssh")
}

// PrepareSSH makes what connections over ssh need on this machine. It is called once, before the first command.
func PrepareSSH() error {
	if controlDir() == "" {
		return errors.New("ssh needs a folder for its connections, and this user has no home: set HOME or XDG_RUNTIME_DIR")
	}
	return os.MkdirAll(controlDir(), 0o700)
}

// Command implements Server.
func (s SSH) Command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	return remote(ctx, func(ctx context.Context, words ...string) *exec.Cmd {
		return Local{}.Command(ctx, nil, "ssh", append(s.options(), "--", s.Host, quote(words))...)
	}, s.Dir, env, name, args...)
}

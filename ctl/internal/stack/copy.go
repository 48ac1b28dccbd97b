package stack

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// Copy returns a second stack from the same files and an additional Compose file, as a separate project. Nobody else uses
// it, and the machine's own settings (.env, exported variables) do not reach it. The caller starts it.
func (s *Stack) Copy(project, composeFile string, settings ...string) *Stack {
	files := filepath.Join(s.Dir, "compose.yaml") + string(os.PathListSeparator) + filepath.Join(s.Dir, composeFile)
	return s.As(s.With(append([]string{"COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_PROJECT_NAME=" + project, "COMPOSE_FILE=" + files,
		"DOMAIN=foobar.com", "SERVER_IP=8.8.8.8", "BIND=127.0.0.1", "ACME=", "TRUSTED_PROXIES="}, settings...)...))
}

// Remove removes the project with its data, even if the caller's work was interrupted.
func (s *Stack) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := s.Compose(ctx, "down", "--volumes", "--remove-orphans", "--timeout", "5")
	return err
}

package stack

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// Copy returns a second stack from the same files and an additional Compose file, as a separate project. Nobody else uses
// it, and the machine's own settings (.env, exported variables) do not reach it. The caller starts it.
func (s *Stack) Copy(project, composeFile string, settings ...string) (*Stack, error) {
	defaults, err := s.Defaults()
	if err != nil {
		return nil, err
	}
	delete(defaults, "GOPROXY") // it is how this machine builds, and Go's own
	separator := string(os.PathListSeparator)
	variables := []string{"COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_PROJECT_NAME=" + project, "COMPOSE_PATH_SEPARATOR=" + separator,
		"COMPOSE_FILE=" + filepath.Join(s.Dir, "compose.yaml") + separator + filepath.Join(s.Dir, composeFile)}
	for name := range defaults {
		variables = append(variables, name+"=") // an empty setting takes its default
	}
	variables = append(variables, "DOMAIN=foobar.com", "SERVER_IP=8.8.8.8", "BIND=127.0.0.1")
	return s.As(s.With(append(variables, settings...)...)), nil
}

// Remove removes the project with its data, even if the caller's work was interrupted.
func (s *Stack) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := s.Compose(ctx, "down", "--volumes", "--remove-orphans", "--timeout", "5")
	return err
}

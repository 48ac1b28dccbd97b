package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Settings are the values that fill in compose.yaml, by name.
type Settings map[string]string

// inCompose matches ${NAME:-default}, the form that every setting has in compose.yaml.
var inCompose = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

// Defaults returns the settings in compose.yaml, with the default values that it gives them.
func (s *Stack) Defaults() (Settings, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, "compose.yaml"))
	if err != nil {
		return nil, err
	}
	settings := Settings{}
	for _, match := range inCompose.FindAllStringSubmatch(string(text), -1) {
		settings[match[1]] = match[2]
	}
	return settings, nil
}

// Settings asks Compose for the settings, including .env and the environment. It asks with a separate project,
// so that Compose answers even if a bad value makes it refuse compose.yaml itself.
func (s *Stack) Settings(ctx context.Context) (Settings, error) {
	defaults, err := s.Defaults()
	if err != nil {
		return nil, err
	}
	asked := Settings{}
	for name, value := range defaults {
		asked[name] = "${" + name + ":-" + value + "}"
	}
	type service struct {
		Image       string   `json:"image"`
		Environment Settings `json:"environment"`
	}
	type project struct {
		Name     string             `json:"name"`
		Services map[string]service `json:"services"`
	}
	question, err := json.Marshal(project{"settings", map[string]service{"all": {"none", asked}}})
	if err != nil {
		return nil, err
	}
	out, err := s.OutputFrom(ctx, strings.NewReader(string(question)), "compose", "--project-directory", ".", "--file", "-", "config", "--format", "json")
	if err != nil {
		return nil, err
	}
	var answer project
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return nil, fmt.Errorf("docker compose config: %w", err)
	}
	return answer.Services["all"].Environment, nil
}

// EnvironmentSettings returns what Settings would return without a .env file: all that can be known without Compose.
func (s *Stack) EnvironmentSettings() (Settings, error) {
	settings, err := s.Defaults()
	if err != nil {
		return nil, err
	}
	for name := range settings {
		if value := s.Getenv(name); value != "" {
			settings[name] = value
		}
	}
	return settings, nil
}

// Reach returns the address of this machine at which published ports can be reached: the loopback address if they are
// published on all addresses.
func (s Settings) Reach() (netip.Addr, error) {
	bind, err := netip.ParseAddr(s["BIND"])
	if err != nil {
		return netip.Addr{}, fmt.Errorf("BIND: %w", err)
	}
	if bind.IsUnspecified() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	return bind, nil
}

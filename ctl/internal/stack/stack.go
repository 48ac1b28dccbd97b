// Package stack reads the stack as Docker Compose sees it: the project that compose.yaml describes, the settings that
// fill it in, and its containers.
package stack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"oneserver/ctl/internal/docker"
)

// RootMySQL is the shell command, in db, that runs statements as root of the database, over the socket inside. It prints
// rows without their names, tab-separated.
const RootMySQL = `MYSQL_PWD="$(cat /run/secrets/mysql_root_password)" mysql --user root --default-character-set utf8mb4 --batch --skip-column-names`

// FindRoot returns the nearest folder at or above dir that has a compose.yaml.
func FindRoot(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "compose.yaml")); err == nil {
			return at, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no compose.yaml in %s or above it: run this inside the repository", dir)
		}
	}
}

// Project is what `docker compose config` says, as far as this tool asks.
type Project struct {
	Name     string
	Services map[string]Service
	Networks map[string]struct{ Name string }
	Volumes  map[string]struct{ Name string }
}

// Service is one service of a project.
type Service struct {
	Image       string
	Command     []string
	Environment map[string]string
	Build       *struct{ Context, Dockerfile string } // nil where others made the image
	User        string
	Restart     string
	MemLimit    int64 `json:"mem_limit,string"` // bytes
}

// ReadProject asks Compose for the project with all its settings filled in.
func ReadProject(ctx context.Context, cli docker.CLI) (Project, error) {
	var project Project
	out, err := cli.Output(ctx, "compose", "config", "--format", "json")
	if err != nil {
		return Project{}, err
	}
	if err := json.Unmarshal([]byte(out), &project); err != nil {
		return Project{}, fmt.Errorf("docker compose config: %w", err)
	}
	return project, nil
}

// Images returns the images that the services run, each once, in order.
func (p Project) Images() []string {
	names := map[string]bool{}
	for _, service := range p.Services {
		names[service.Image] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Settings are the values that fill in compose.yaml, by name.
type Settings map[string]string

// inCompose finds ${NAME:-default}, the form that every setting has in compose.yaml.
var inCompose = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

// Defaults returns the settings that compose.yaml knows, with the values it gives them.
func Defaults(cli docker.CLI) (Settings, error) {
	text, err := os.ReadFile(filepath.Join(cli.Dir, "compose.yaml"))
	if err != nil {
		return nil, err
	}
	settings := Settings{}
	for _, match := range inCompose.FindAllStringSubmatch(string(text), -1) {
		settings[match[1]] = match[2]
	}
	return settings, nil
}

// ReadSettings asks Compose what the settings are, .env and the environment included. They are put to it in a project
// of their own, so that it answers where a bad value makes it refuse compose.yaml itself.
func ReadSettings(ctx context.Context, cli docker.CLI) (Settings, error) {
	defaults, err := Defaults(cli)
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
	cmd := cli.Command(ctx, "compose", "--project-directory", ".", "--file", "-", "config", "--format", "json")
	cmd.Stdin = bytes.NewReader(question)
	out, err := cli.OutputOf(cmd)
	if err != nil {
		return nil, err
	}
	var answer project
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return nil, fmt.Errorf("docker compose config: %w", err)
	}
	return answer.Services["all"].Environment, nil
}

// EnvironmentSettings is what ReadSettings would say without a .env file: all that can be known without Compose.
func EnvironmentSettings(cli docker.CLI) (Settings, error) {
	settings, err := Defaults(cli)
	if err != nil {
		return nil, err
	}
	for name := range settings {
		if value := cli.Getenv(name); value != "" {
			settings[name] = value
		}
	}
	return settings, nil
}

// Container is one line of `docker ps`.
type Container struct {
	Name    string
	Project string // of Compose; empty if it has none
	Service string
	Status  string // as docker ps shows it: Up 2 hours (healthy)
	Ports   string // as docker ps shows them: 127.0.0.1:80->80/tcp, ...
}

// Running returns all running containers of the engine, other projects' included.
func Running(ctx context.Context, cli docker.CLI) ([]Container, error) {
	out, err := cli.Output(ctx, "ps", "--format",
		`{{.Names}}	{{.Label "com.docker.compose.project"}}	{{.Label "com.docker.compose.service"}}	{{.Status}}	{{.Ports}}`)
	if err != nil {
		return nil, err
	}
	var list []Container
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 5 {
			return nil, fmt.Errorf("docker ps prints %q where five fields were asked for", lines.Text())
		}
		list = append(list, Container{fields[0], fields[1], fields[2], fields[3], fields[4]})
	}
	return list, nil
}

// LookInto runs a shell script in a throw-away container that can read the volumes, mounted as /data and /secrets, as
// the database's user, and can do nothing else. An empty name leaves a volume out: mounting one that is not there would
// make it. It returns what the script prints.
func LookInto(ctx context.Context, cli docker.CLI, project Project, image, data, secrets, script string) (string, error) {
	run := []string{"run", "--rm", "--pull", "never", "--network", "none", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--user", project.Services["db"].User, "--entrypoint", "sh"}
	for destination, source := range map[string]string{"/data": data, "/secrets": secrets} {
		if source != "" {
			run = append(run, "--mount", "type=volume,readonly,volume-nocopy,source="+source+",destination="+destination)
		}
	}
	return cli.Output(ctx, append(run, image, "-c", script)...)
}

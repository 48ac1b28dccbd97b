package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Usage is what a container uses.
type Usage struct {
	CPU    time.Duration // since it started, which `docker stats` does not show
	Memory int64         // bytes, without cached files that nobody has used lately, like `docker stats`
}

// A meter asks the engine what a container uses. It connects through the docker command, and so reaches the same engine as
// every other command. The engine knows both versions of control groups.
type meter struct {
	id  string // of the container
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// newMeter opens a connection to the engine, to query the container with that id.
func newMeter(ctx context.Context, cli CLI, id string) (*meter, error) {
	cmd := cli.Command(ctx, "system", "dial-stdio")
	in, out, err := StartPiped(cmd)
	if err != nil {
		return nil, err
	}
	return &meter{id, cmd, in, bufio.NewReader(out)}, nil
}

// Meters holds the meters of several services, one for each container.
type Meters map[string][]*meter

// Add adds a meter for a container, under the name of its service.
func (m Meters) Add(ctx context.Context, cli CLI, c Container) (err error) {
	one, err := newMeter(ctx, cli, c.ID)
	if err == nil {
		m[c.Service()] = append(m[c.Service()], one)
	}
	return err
}

// Read returns what each service uses.
func (m Meters) Read() (map[string]Usage, error) {
	var mu sync.Mutex // guards used
	used := map[string]Usage{}
	var reading errgroup.Group
	for service, containers := range m {
		for _, one := range containers {
			reading.Go(func() error {
				uses, err := one.read()
				if err != nil {
					return fmt.Errorf("what %s uses: %w", service, err)
				}
				mu.Lock()
				defer mu.Unlock()
				used[service] = Usage{used[service].CPU + uses.CPU, used[service].Memory + uses.Memory}
				return nil
			})
		}
	}
	return used, reading.Wait()
}

// Close ends the connections.
func (m Meters) Close() error {
	var errs []error
	for service, containers := range m {
		for _, one := range containers {
			errs = append(errs, one.in.Close(), one.cmd.Wait())
		}
		delete(m, service)
	}
	return errors.Join(errs...)
}

// StartPiped starts a command and returns pipes to its input and from its output.
func StartPiped(cmd *exec.Cmd) (io.WriteCloser, io.Reader, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return in, out, cmd.Start()
}

// read returns what the container uses. The engine takes readings once a second; one-shot avoids the wait for a second reading.
func (m *meter) read() (Usage, error) {
	ended := time.AfterFunc(30*time.Second, func() { m.cmd.Process.Kill() }) // the read below then ends too
	defer ended.Stop()
	request, err := http.NewRequest(http.MethodGet, "http://docker/containers/"+m.id+"/stats?stream=false&one-shot=true", nil)
	if err != nil {
		return Usage{}, err
	}
	if err := request.Write(m.in); err != nil {
		return Usage{}, fmt.Errorf("ask the engine: %w", err)
	}
	response, err := http.ReadResponse(m.out, request)
	if err != nil {
		return Usage{}, fmt.Errorf("hear the engine: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return Usage{}, fmt.Errorf("hear the engine: %w", err)
	}
	var stats struct {
		Message string // the engine's error message
		CPU     struct {
			Usage struct {
				Total time.Duration `json:"total_usage"` // nanoseconds
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
		Memory struct {
			Usage int64
			Stats struct {
				V1 int64 `json:"total_inactive_file"` // of control groups, version 1
				V2 int64 `json:"inactive_file"`
			}
		} `json:"memory_stats"`
	}
	if err := json.Unmarshal(body, &stats); err != nil {
		return Usage{}, fmt.Errorf("container statistics: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return Usage{}, fmt.Errorf("container statistics: %s: %s", response.Status, stats.Message)
	}
	cached := stats.Memory.Stats.V1
	if cached == 0 {
		cached = stats.Memory.Stats.V2
	}
	return Usage{stats.CPU.Usage.Total, stats.Memory.Usage - cached}, nil
}

package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"time"
)

// A Meter asks the engine what `docker stats` does not show: the CPU time that a container has used since it started. It
// speaks to it through docker's own command, and so reaches whichever engine that does; and the engine knows both
// versions of control groups.
type Meter struct {
	id  string // of the container
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// NewMeter begins to ask for the container with that id.
func NewMeter(ctx context.Context, cli CLI, id string) (*Meter, error) {
	cmd := cli.Command(ctx, "system", "dial-stdio")
	in, out, err := StartPiped(cmd)
	if err != nil {
		return nil, err
	}
	return &Meter{id, cmd, in, bufio.NewReader(out)}, nil
}

// StartPiped starts a command to speak to.
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

// Read returns the CPU time so far. The engine reads once a second, for all that ask; one-shot spares a second reading.
func (m *Meter) Read() (time.Duration, error) {
	ended := time.AfterFunc(30*time.Second, func() { m.cmd.Process.Kill() }) // the reading below then ends too
	defer ended.Stop()
	request, err := http.NewRequest(http.MethodGet, "http://docker/containers/"+m.id+"/stats?stream=false&one-shot=true", nil)
	if err != nil {
		return 0, err
	}
	if err := request.Write(m.in); err != nil {
		return 0, fmt.Errorf("ask the engine: %w", err)
	}
	response, err := http.ReadResponse(m.out, request)
	if err != nil {
		return 0, fmt.Errorf("hear the engine: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, fmt.Errorf("hear the engine: %w", err)
	}
	var stats struct {
		Message string // what is wrong
		CPU     struct {
			Usage struct {
				Total time.Duration `json:"total_usage"` // nanoseconds
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
	}
	if err := json.Unmarshal(body, &stats); err != nil {
		return 0, fmt.Errorf("container statistics: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("container statistics: %s: %s", response.Status, stats.Message)
	}
	return stats.CPU.Usage.Total, nil
}

// Close ends the conversation.
func (m *Meter) Close() error {
	m.in.Close()
	return m.cmd.Wait()
}

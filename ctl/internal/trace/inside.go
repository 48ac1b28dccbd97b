package trace

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

// wellFormedID matches ids as Nginx makes them. The id becomes an argument of commands below, so nothing else may pass.
var wellFormedID = regexp.MustCompile(`^[0-9A-Za-z_-]{8,64}$`)

// WebLog is the request's line in Nginx's access log (log_format in nginx.conf). The upstream fields are empty for a request
// that Nginx answered by itself, and have several values, separated by commas, if it tried several times.
type WebLog struct {
	RequestID    string  `json:"request_id"`
	RemoteAddr   string  `json:"remote_addr"`
	Status       int     `json:"status"`
	Bytes        int     `json:"bytes"`        // header and body
	RequestTime  float64 `json:"request_time"` // seconds
	Upstream     string  `json:"upstream_addr"`
	UpstreamSaid string  `json:"upstream_status"`
	UpstreamTime string  `json:"upstream_response_time"` // seconds
	Cache        string  `json:"cache"`                  // HIT, MISS, STALE; empty if nothing may be cached
}

// tail is how many lines of the log are read: more than a busy machine writes in the meantime.
const tail = "5000"

// readWebLog waits until the log has the request: Nginx writes the line after the answer, and the engine a bit later.
func readWebLog(ctx context.Context, s *stack.Stack, id string) (*WebLog, error) {
	const patience = 10 * time.Second // a busy machine takes seconds to run docker
	var line *WebLog
	err := wait.Until(ctx, patience, wait.Often, func(ctx context.Context) error {
		log, err := s.Output(ctx, "compose", "logs", "--no-color", "--no-log-prefix", "--tail", tail, "web")
		if ctx.Err() == nil && err != nil {
			return wait.Final(fmt.Errorf("its log cannot be read: %w", err))
		}
		if line = findLine(strings.NewReader(log), id); line == nil {
			return errors.New("its log does not have the request")
		}
		return nil
	})
	return line, err
}

// findLine returns the last line of Nginx's log about the request with that id, or nil.
func findLine(log io.Reader, id string) *WebLog {
	var found *WebLog
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if !strings.Contains(lines.Text(), id) {
			continue // most lines; they need not be parsed as JSON
		}
		line := new(WebLog)
		if err := json.Unmarshal(lines.Bytes(), line); err == nil && line.RequestID == id {
			found = line
		}
	}
	return found
}

// AppEntry says what a replica of app did for the request (`app request ID`).
type AppEntry struct {
	Container      string      `json:"container"`
	Replica        string      `json:"replica"`
	Method         string      `json:"method"`
	Route          string      `json:"route"`
	Status         int         `json:"status"`
	DurationMS     float64     `json:"duration_ms"`
	DatabaseMS     float64     `json:"db_ms"`
	Statements     []Statement `json:"statements"`
	StatementCount int         `json:"statement_count"` // Statements holds only the first of them
}

// Statement is one statement, with placeholders for its values.
type Statement struct {
	SQL        string  `json:"sql"`
	AtMS       float64 `json:"at_ms"` // since the application received the request
	DurationMS float64 `json:"duration_ms"`
}

// readAppEntry asks a replica for the request. It returns nil if the replica does not know it.
func readAppEntry(ctx context.Context, s *stack.Stack, container, id string) (*AppEntry, error) {
	out, err := s.Output(ctx, slices.Concat([]string{"exec", container}, site.Explain, []string{id})...)
	switch {
	case err != nil && strings.Contains(err.Error(), "no request with that id"):
		return nil, nil
	case err != nil:
		return nil, err
	}
	entry := &AppEntry{Container: container}
	if err := json.Unmarshal([]byte(out), entry); err != nil {
		return nil, fmt.Errorf("app request: %w", err)
	}
	return entry, nil
}

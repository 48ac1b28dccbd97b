package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// A line of the file is a JSON object with one member, whose name says what the line holds.
type line struct {
	Run     *Run     `json:"run,omitempty"`
	Request *Request `json:"request,omitempty"`
	Action  *Action  `json:"action,omitempty"`
}

// Write writes the history, one JSON object a line. Each has one member, whose name says what the line holds: "run" (the
// first line), "request" or "action".
func (h History) Write(w io.Writer) error {
	buffer := bufio.NewWriter(w)
	lines := json.NewEncoder(buffer)
	err := lines.Encode(line{Run: &h.Run})
	for i := 0; i < len(h.Requests) && err == nil; i++ {
		err = lines.Encode(line{Request: &h.Requests[i]})
	}
	for i := 0; i < len(h.Actions) && err == nil; i++ {
		err = lines.Encode(line{Action: &h.Actions[i]})
	}
	if err == nil {
		err = buffer.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	return nil
}

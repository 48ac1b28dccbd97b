// Package report shows what a drill found: on the terminal, as a picture, and as a self-contained page.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"oneserver/ctl/internal/drill/check"
	"oneserver/ctl/internal/drill/history"
	"oneserver/ctl/internal/drill/usl"
)

// Scale is one curve of a drill that raises the load in steps.
type Scale struct {
	Name  string       `json:"name"` // such as "2 replicas"
	Steps []check.Step `json:"steps"`
	Model *usl.Model   `json:"model,omitempty"` // nil if the steps support none
}

// Section is one drill's part of a report.
type Section struct {
	Result  check.Result    `json:"result"`
	History history.History `json:"-"`
	Scales  []Scale         `json:"scales,omitempty"` // of a drill of steps, which has several runs; nil for the others
}

// Names of the files in a report's folder.
const (
	pageFile    = "report.html"
	summaryFile = "summary.json"
)

// maxSummary is the largest size that ReadSummary accepts, in bytes.
const maxSummary = 16 << 20

// Write writes report.html, summary.json and the pictures of all sections (NAME.svg for a run's name, and
// NAME-scale.svg if there are Scales) to dir, which it creates. The caller writes the raw requests there
// (History.Write).
func Write(dir string, sections ...Section) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	write := func(name string, content []byte) error {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		return nil
	}
	summary, err := json.MarshalIndent(sections, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report's summary: %w", err)
	}
	if err := write(summaryFile, append(summary, '\n')); err != nil {
		return err
	}
	var shown []pageSection
	for _, s := range sections {
		pictures, err := drawSection(s)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", s.Result.Run.Name, err)
		}
		for _, p := range pictures {
			if err := write(p.file, p.svg); err != nil {
				return err
			}
		}
		shown = append(shown, newPageSection(s, pictures))
	}
	page, err := renderPage(shown)
	if err != nil {
		return fmt.Errorf("writing the report's page: %w", err)
	}
	return write(pageFile, page)
}

// ReadSummary reads dir/summary.json.
func ReadSummary(dir string) ([]Section, error) {
	path := filepath.Join(dir, summaryFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	if info.Size() > maxSummary {
		return nil, fmt.Errorf("reading a report: %s has more than %d bytes", path, maxSummary)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	var sections []Section
	if err := json.Unmarshal(content, &sections); err != nil {
		return nil, fmt.Errorf("reading a report: %s: %w", path, err)
	}
	if len(sections) == 0 {
		return nil, errors.New("reading a report: " + path + " has no results")
	}
	return sections, nil
}

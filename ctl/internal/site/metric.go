package site

import (
	"fmt"
	"strconv"
	"strings"
)

// Metric adds up a metric's samples that have a label, in Prometheus' text format. An empty label means all of them.
func Metric(text, metric, label string) (sum float64, err error) {
	found := false
	for line := range strings.Lines(text) {
		labels, is := strings.CutPrefix(strings.TrimSpace(line), metric)
		if !is || !strings.HasPrefix(labels, "{") && !strings.HasPrefix(labels, " ") || !strings.Contains(labels, label) {
			continue
		}
		value, err := strconv.ParseFloat(labels[strings.LastIndexByte(labels, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", metric, err)
		}
		sum += value
		found = true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s with %q", metric, label)
	}
	return sum, nil
}

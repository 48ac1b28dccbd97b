package abuse

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Print writes a line for each abuse, and the broken bounds below.
func Print(out io.Writer, outcomes []Outcome) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "abuse\tvisitor failed\tmedian\tcontrol's\tp99\tcontrol's\tprocessors\tcontrol's\tdisk\tbounds")
	for _, o := range outcomes {
		holds := "hold"
		if o.Wrong() != "" {
			holds = "BROKEN"
		}
		if o.Before != nil {
			holds += fmt.Sprintf(" (once more, after %s beside %s)", milliseconds(o.Before.Visitor.Median), milliseconds(o.Before.Control.Visitor.Median))
		}
		fmt.Fprintf(table, "%s\t%d of %d\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%+d MB\t%s\n", o.Name, o.Visitor.Failed, total(o.Visitor.Answers),
			milliseconds(o.Visitor.Median), milliseconds(o.Control.Visitor.Median), milliseconds(o.Visitor.P99), milliseconds(o.Control.Visitor.P99), o.CPU, o.Control.CPU, o.Disk>>20, holds)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, o := range outcomes {
		if wrong := o.Wrong(); wrong != "" {
			if _, err := fmt.Fprintf(out, "%s (%s): %s\n", o.Name, o.Says, wrong); err != nil {
				return err
			}
		}
	}
	return nil
}

// Broken reports whether any abuse broke a bound.
func Broken(outcomes []Outcome) bool {
	for _, o := range outcomes {
		if o.Wrong() != "" {
			return true
		}
	}
	return false
}

func total(answers map[string]int) int {
	sum := 0
	for _, count := range answers {
		sum += count
	}
	return sum
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// Package terminal shows what is being done, as far as the tool's output can show it.
package terminal

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// Is reports whether a line on out can be overwritten.
func Is(out *os.File) bool { return term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb" }

// Colour reports whether output on out may have colours: on a terminal, unless NO_COLOR is set (https://no-color.org).
func Colour(out *os.File) bool { return Is(out) && os.Getenv("NO_COLOR") == "" }

// Count says how many of something there are: no day, 1 day, 2 days.
func Count(n int, of string) string {
	switch n {
	case 0:
		return "no " + of
	case 1:
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// Package terminal says what the place that the tool prints to can show, and tells there what is being done.
package terminal

import (
	"os"

	"golang.org/x/term"
)

// Is says whether a line on out can be written over.
func Is(out *os.File) bool { return term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb" }

// Colour says whether what is printed on out may have colours: on a terminal, and not where NO_COLOR is set
// (https://no-color.org).
func Colour(out *os.File) bool { return Is(out) && os.Getenv("NO_COLOR") == "" }

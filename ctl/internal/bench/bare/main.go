// Command bare holds what app is compared with, and the load: the page of posts with nothing but database/sql and net/http
// (bare), the page with GORM opened for each request (dial), and the load on either (load).
package main

import (
	"fmt"
	"log"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) == 1 {
		switch args[0] {
		case "bare":
			return serve(fromPool, true)
		case "dial":
			return serve(fromItsOwn, false)
		case "load":
			return visitors(os.Stdin, os.Stdout)
		}
	}
	return fmt.Errorf("bare, dial or load, not %q", args)
}

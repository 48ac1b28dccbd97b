// Command bare is what app is measured against, and the load: what app does, with nothing but database/sql and net/http
// (bare), the page of posts with GORM opened for each request (dial), and the load on either (load).
package main

import (
	"fmt"
	"log"
	"net/http"
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
			return bare()
		case "dial":
			return dial()
		case "load":
			return visitors(os.Stdin, os.Stdout)
		}
	}
	return fmt.Errorf("bare, dial or load, not %q", args)
}

// bare keeps connections for the next request.
func bare() error {
	config, err := database()
	if err != nil {
		return err
	}
	db, err := pool(config)
	if err != nil {
		return err
	}
	list, err := fromPool(db)
	if err != nil {
		return err
	}
	http.HandleFunc("GET /api/v1/posts", answer(http.StatusOK, pageOf(list)))
	http.HandleFunc("GET /api/v1/search", answer(http.StatusOK, search(db)))
	http.HandleFunc("PUT /api/v1/session", answer(http.StatusOK, signIn(db)))
	http.HandleFunc("POST /api/v1/posts", answer(http.StatusCreated, write(db)))
	return serve(true)
}

// dial closes each connection after its request.
func dial() error {
	config, err := database()
	if err != nil {
		return err
	}
	http.HandleFunc("GET /api/v1/posts", answer(http.StatusOK, pageOf(fromItsOwn(config))))
	return serve(false)
}

// Command bare holds the programs that app is compared with, and the one that sends the load. bare does what app does with
// only database/sql and net/http; dial serves the page of posts, and opens GORM for each request; load sends the requests.
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

// bare serves requests over database connections that it keeps open.
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

// dial serves requests, and opens a database connection for each.
func dial() error {
	config, err := database()
	if err != nil {
		return err
	}
	http.HandleFunc("GET /api/v1/posts", answer(http.StatusOK, pageOf(fromItsOwn(config))))
	return serve(false)
}

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// poolSize is that of app (services/app/mysql/db.go).
const poolSize = 10

// database reads where it is from the environment that app is given too.
func database() (*mysql.Config, error) {
	password, err := os.ReadFile(os.Getenv("MYSQL_PASSWORD_FILE"))
	if err != nil {
		return nil, err
	}
	dsn := mysql.NewConfig()
	dsn.Net, dsn.Addr, dsn.DBName = "tcp", os.Getenv("MYSQL_ADDRESS"), os.Getenv("MYSQL_DATABASE")
	dsn.User, dsn.Passwd = os.Getenv("MYSQL_USER"), strings.TrimSpace(string(password))
	dsn.ParseTime, dsn.InterpolateParams = true, true
	dsn.Timeout, dsn.ReadTimeout, dsn.WriteTimeout = 2*time.Second, 5*time.Second, 5*time.Second
	return dsn, nil
}

// A source gives a handler its pool, and a function that takes it back.
type source func() (*sql.DB, func(), error)

// fromPool keeps connections for the next request, each set up as app's are.
func fromPool(config *mysql.Config) (source, error) {
	config.ClientFoundRows, config.RejectReadOnly = true, true
	config.Params = map[string]string{"time_zone": "'+00:00'", "max_execution_time": "4000",
		"innodb_lock_wait_timeout": "4", "transaction_isolation": "'READ-COMMITTED'"}
	if err := config.Apply(mysql.Charset("utf8mb4", "utf8mb4_0900_ai_ci")); err != nil {
		return nil, err
	}
	db, err := open(config)
	return func() (*sql.DB, func(), error) { return db, func() {}, nil }, err
}

// fromItsOwn opens and closes for each request, as beginners' examples do (docker/awesome-compose, nginx-golang-mysql),
// and as there nothing is set on the connection, which would take further round trips.
func fromItsOwn(config *mysql.Config) (source, error) {
	return func() (*sql.DB, func(), error) {
		db, err := open(config)
		if err != nil {
			return nil, nil, err
		}
		return db, func() { db.Close() }, nil
	}, nil
}

func open(config *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	db.SetConnMaxLifetime(3 * time.Minute)
	return db, nil
}

// serve answers for the page of posts on the port that app has.
func serve(from func(*mysql.Config) (source, error)) error {
	config, err := database()
	if err != nil {
		return err
	}
	source, err := from(config)
	if err != nil {
		return err
	}
	http.HandleFunc("GET /api/v1/posts", func(w http.ResponseWriter, r *http.Request) {
		answer, err := page(r, source)
		if err != nil {
			log.Print(err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		w.Write(answer)
	})
	server := http.Server{
		Addr:              os.Getenv("LISTEN"),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       90 * time.Second,
	}
	return server.ListenAndServe()
}

type author struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
}

type post struct {
	ID        uint64  `json:"id"`
	Author    *author `json:"author"`
	Title     string  `json:"title"`
	Body      string  `json:"body"`
	Excerpt   bool    `json:"excerpt"`
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`
}

type posts struct {
	Posts []post `json:"posts"`
	Next  string `json:"next,omitempty"`
}

// listPosts is app's own statement (services/app/mysql/posts.go).
const listPosts = `SELECT id, COALESCE(user_id, 0) AS author_id,
 COALESCE((SELECT name FROM users WHERE users.id = posts.user_id), '') AS author, title, created_at,
 COALESCE(updated_at, created_at) AS updated_at, LEFT(body, 500) AS body, CHAR_LENGTH(body) > 500 AS cut
 FROM posts WHERE id < ? ORDER BY id DESC LIMIT ?`

const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// page is what GET /api/v1/posts?limit=20&before=<id> answers. `ctl bench` sees to it that app answers the same.
func page(r *http.Request, source source) ([]byte, error) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil {
		return nil, fmt.Errorf("limit: %w", err)
	}
	before := uint64(math.MaxUint64)
	if text := r.FormValue("before"); text != "" {
		if before, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, fmt.Errorf("before: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	db, done, err := source()
	if err != nil {
		return nil, err
	}
	defer done()
	rows, err := db.QueryContext(ctx, listPosts, before, limit+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	answer := posts{Posts: make([]post, 0, limit)}
	for rows.Next() {
		if len(answer.Posts) == limit {
			answer.Next = fmt.Sprintf("/api/v1/posts?limit=%d&before=%d", limit, answer.Posts[limit-1].ID)
			break
		}
		var one post
		var by author
		var created, updated time.Time
		if err := rows.Scan(&one.ID, &by.ID, &by.Name, &one.Title, &created, &updated, &one.Body, &one.Excerpt); err != nil {
			return nil, err
		}
		if by.ID != 0 {
			one.Author = &by
		}
		one.CreatedAt, one.UpdatedAt = created.Format(timeFormat), updated.Format(timeFormat)
		answer.Posts = append(answer.Posts, one)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

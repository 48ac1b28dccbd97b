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
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
)

// poolSize is the same as in app (services/app/mysql/db.go).
const poolSize = 10

// database reads the database's address from the same environment as app.
func database() (*mysql.Config, error) {
	password, err := os.ReadFile(os.Getenv("MYSQL_PASSWORD_FILE"))
	if err != nil {
		return nil, err
	}
	dsn := mysql.NewConfig()
	dsn.Net, dsn.Addr, dsn.DBName = "tcp", os.Getenv("MYSQL_ADDRESS"), os.Getenv("MYSQL_DATABASE")
	dsn.User, dsn.Passwd = os.Getenv("MYSQL_USER"), strings.TrimSpace(string(password))
	dsn.ParseTime = true
	return dsn, dsn.Apply(mysql.Charset("utf8mb4", ""))
}

// A row holds what listPosts reads about a post.
type row struct {
	ID, AuthorID         uint64
	Author, Title        string
	CreatedAt, UpdatedAt time.Time
	Body                 string
	Cut                  bool
}

// A source reads posts, the newest first, and passes them on one by one.
type source func(ctx context.Context, before uint64, limit int, each func(row)) error

// pool returns a connection pool with the same settings as app's, also for each connection.
func pool(config *mysql.Config) (*sql.DB, error) {
	config.ClientFoundRows, config.RejectReadOnly, config.InterpolateParams = true, true, true
	config.Timeout, config.ReadTimeout, config.WriteTimeout = 2*time.Second, 5*time.Second, 5*time.Second
	config.Params = map[string]string{"time_zone": "'+00:00'", "max_execution_time": "4000",
		"innodb_lock_wait_timeout": "4", "transaction_isolation": "'READ-COMMITTED'"}
	if err := config.Apply(mysql.Charset("utf8mb4", "utf8mb4_0900_ai_ci")); err != nil {
		return nil, err
	}
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

// fromPool returns a source that prepares its statement once, as app does.
func fromPool(db *sql.DB) (source, error) {
	list, err := db.Prepare(listPosts)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, before uint64, limit int, each func(row)) error {
		rows, err := list.QueryContext(ctx, before, limit)
		if err != nil {
			return err
		}
		return scan(rows, each)
	}, nil
}

func scan(rows *sql.Rows, each func(row)) error {
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.ID, &r.AuthorID, &r.Author, &r.Title, &r.CreatedAt, &r.UpdatedAt, &r.Body, &r.Cut); err != nil {
			return err
		}
		each(r)
	}
	return rows.Err()
}

// fromItsOwn returns a source that opens and closes a connection for each request, as nginx-golang-mysql in
// docker/awesome-compose does. It uses GORM as GORM's introduction does:
// https://gorm.io/docs/connecting_to_the_database.html#MySQL.
func fromItsOwn(config *mysql.Config) source {
	dsn := config.FormatDSN()
	return func(ctx context.Context, before uint64, limit int, each func(row)) error {
		db, err := gorm.Open(gormmysql.Open(dsn), &gorm.Config{})
		if err != nil {
			return err
		}
		pool, err := db.DB()
		if err != nil {
			return err
		}
		defer pool.Close()
		var all []row
		if err := db.WithContext(ctx).Raw(listPosts, before, limit).Scan(&all).Error; err != nil {
			return err
		}
		for _, r := range all {
			each(r)
		}
		return nil
	}
}

// answer returns an HTTP handler that writes what handle returns, as JSON.
func answer(status int, handle func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		content, err := handle(r)
		var text []byte
		if err == nil {
			text, err = json.Marshal(content)
		}
		if err != nil {
			log.Print(err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		w.Write(text)
	}
}

// serve serves HTTP on app's port. It keeps each connection open for further requests or, without keepAlive, closes it.
func serve(keepAlive bool) error {
	server := http.Server{
		Addr:              os.Getenv("LISTEN"),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       90 * time.Second,
	}
	server.SetKeepAlivesEnabled(keepAlive)
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
const (
	postsInList = `SELECT posts.id, COALESCE(posts.user_id, 0) AS author_id, COALESCE(users.name, '') AS author, title, posts.created_at,
 COALESCE(updated_at, posts.created_at) AS updated_at, LEFT(body, 500) AS body, CHAR_LENGTH(body) > 500 AS cut FROM `
	before      = `LEFT JOIN users FORCE INDEX FOR JOIN (PRIMARY) ON users.id = posts.user_id WHERE users.deleted_at IS NULL AND posts.id < ?`
	newestFirst = ` ORDER BY posts.id DESC LIMIT ?`
	listPosts   = postsInList + "posts " + before + newestFirst
)

const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// pageOf returns the handler of GET /api/v1/posts?limit=20&before=<id>. `oneserver bench` checks that app answers the same.
func pageOf(source source) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
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
		ctx, cancel := context.WithTimeout(r.Context(), handleLimit)
		defer cancel()
		answer := posts{Posts: make([]post, 0, limit)}
		err = source(ctx, before, limit+1, func(r row) {
			if len(answer.Posts) == limit {
				answer.Next = fmt.Sprintf("/api/v1/posts?limit=%d&before=%d", limit, answer.Posts[limit-1].ID)
				return
			}
			answer.Posts = append(answer.Posts, show(r))
		})
		return answer, err
	}
}

// handleLimit is how long one request may take.
const handleLimit = 10 * time.Second

func show(r row) post {
	one := post{ID: r.ID, Title: r.Title, Body: r.Body, Excerpt: r.Cut,
		CreatedAt: r.CreatedAt.Format(timeFormat), UpdatedAt: r.UpdatedAt.Format(timeFormat)}
	if r.AuthorID != 0 {
		one.Author = &author{ID: r.AuthorID, Name: r.Author}
	}
	return one
}

package api

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"oneserver/app"
)

// timeFormat is RFC 3339 with all six digits of a microsecond, so that every time has the same length and sorts as text.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

type post struct {
	ID        uint64 `json:"id"`
	Title     string `json:"title"`
	Body      string `json:"body"`
	CreatedAt string `json:"created_at"`
}

func showPost(p app.Post) post {
	return post{ID: p.ID, Title: p.Title, Body: p.Body, CreatedAt: p.CreatedAt.UTC().Format(timeFormat)}
}

type postPage struct {
	Posts []post `json:"posts"`
	Next  string `json:"next,omitempty"` // the path of the next page; absent on the last
}

// listPosts answers GET /api/v1/posts?limit=20&before=<id>.
func (s *Server) listPosts(c *gin.Context) error {
	page, err := decodePage(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	posts, more, err := s.posts.List(c.Request.Context(), page)
	if err != nil {
		return err
	}
	shown := postPage{Posts: make([]post, len(posts))} // an empty list is [], not null
	for i, p := range posts {
		shown.Posts[i] = showPost(p)
	}
	if more {
		shown.Next = fmt.Sprintf("/api/v1/posts?limit=%d&before=%d", page.Size, posts[len(posts)-1].ID)
	}
	return s.ok(c, shown)
}

// getPost answers GET /api/v1/posts/{id}. An id that is not a number names no post, as any other that does not exist.
func (s *Server) getPost(c *gin.Context) error {
	id, valid := parsePositive(c.Param("id"))
	if !valid {
		return &app.Error{Code: app.NotFound, Message: "There is no such post."}
	}
	found, err := s.posts.Get(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return s.ok(c, showPost(found))
}

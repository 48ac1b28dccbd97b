package api

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"oneserver/app"
)

// timeFormat is RFC 3339 with all six digits of a microsecond, so that every time has the same length and sorts as text.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

type author struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
}

type post struct {
	ID        uint64  `json:"id"`
	Author    *author `json:"author" doc:"null for the posts that the site came with."`
	Title     string  `json:"title"`
	Body      string  `json:"body" doc:"Plain text, paragraphs separated by an empty line; in a list its first 500 characters."`
	Excerpt   bool    `json:"excerpt" doc:"Whether the body is cut short."`
	CreatedAt string  `json:"created_at" format:"date-time"`
	UpdatedAt string  `json:"updated_at" format:"date-time"`
}

// TransformSchema declares that an author may be null, for which huma has no tag.
func (post) TransformSchema(_ huma.Registry, schema *huma.Schema) *huma.Schema {
	ref := schema.Properties["author"]
	schema.Properties["author"] = &huma.Schema{
		Description: ref.Description,
		OneOf:       []*huma.Schema{{Ref: ref.Ref}, {Type: "null"}},
	}
	return schema
}

func showPost(p app.Post) post {
	shown := post{ID: p.ID, Title: p.Title, Body: p.Body, Excerpt: p.Cut, CreatedAt: p.CreatedAt.UTC().Format(timeFormat)}
	shown.UpdatedAt = shown.CreatedAt
	if !p.UpdatedAt.Equal(p.CreatedAt) { // formatting every timestamp twice was a tenth of a page's cost
		shown.UpdatedAt = p.UpdatedAt.UTC().Format(timeFormat)
	}
	if p.AuthorID != 0 {
		shown.Author = &author{ID: p.AuthorID, Name: p.Author}
	}
	return shown
}

type postPage struct {
	Posts []post `json:"posts" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"The path of the next page; absent on the last."`
}

func showPage(posts []app.Post, next string) postPage {
	shown := postPage{Posts: make([]post, len(posts)), Next: next} // an empty list is [], not null
	for i, p := range posts {
		shown.Posts[i] = showPost(p)
	}
	return shown
}

func (s *Server) listPosts(c *call) (any, error) {
	page := c.page()
	posts, more, err := s.Posts.List(c.Context(), page)
	if err != nil {
		return nil, err
	}
	var next string
	if more {
		next = fmt.Sprintf("/api/v1/posts?limit=%d&before=%d", page.Size, posts[len(posts)-1].ID)
	}
	return showPage(posts, next), nil
}

func (s *Server) searchPosts(c *call) (any, error) {
	page, words := c.page(), tidy(c.gin.Query("q"))
	done, err := s.oneSearch(c)
	if err != nil {
		return nil, err
	}
	defer done()
	posts, more, err := s.Posts.Search(c.Context(), words, page)
	if is(err, app.Invalid) { // only the store knows which words it can look for
		return nil, refused(http.StatusBadRequest, app.FieldError{Field: "q", Detail: app.AsError(err).Message})
	}
	if err != nil {
		return nil, err
	}
	var next string
	if more {
		next = fmt.Sprintf("/api/v1/search?q=%s&limit=%d&before=%d", url.QueryEscape(words), page.Size, posts[len(posts)-1].ID)
	}
	return showPage(posts, next), nil
}

func (s *Server) getPost(c *call) (any, error) {
	found, err := s.Posts.Get(c.Context(), c.id())
	if err != nil {
		return nil, err
	}
	return showPost(found), nil
}

// draft is an app.Draft with JSON names that must never change, because every release computes the digests of requests
// from them.
type draft struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

func (d *draft) fields() fields {
	return fields{
		{name: "title", into: &d.Title, least: 1, most: app.MaxTitle, tidy: tidy, check: checkTitle, doc: "One line."},
		{name: "body", into: &d.Body, least: 1, most: app.MaxBody, tidy: norm.NFC.String, check: checkBody,
			doc: "Plain text, paragraphs separated by an empty line."},
	}
}

func (s *Server) createPost(c *call) (any, error) {
	var written draft
	if err := c.read(written.fields()); err != nil {
		return nil, err
	}
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	once, err := c.once(fmt.Sprintf("user %d", session.User.ID), written)
	if err != nil {
		return nil, err
	}
	made, err := s.Posts.Create(c.Context(), once, session.User.ID, app.Draft(written))
	if err != nil {
		return nil, err
	}
	c.gin.Header("Location", fmt.Sprintf("/api/v1/posts/%d", made.ID))
	return showPost(made), nil
}

func (s *Server) updatePost(c *call) (any, error) {
	var written draft
	if err := c.read(written.fields()); err != nil {
		return nil, err
	}
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	changed, err := s.Posts.Update(c.Context(), session.User.ID, c.id(), app.Draft(written))
	if err != nil {
		return nil, err
	}
	return showPost(changed), nil
}

func (s *Server) deletePost(c *call) (any, error) {
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	return nil, s.Posts.Delete(c.Context(), session.User.ID, c.id())
}

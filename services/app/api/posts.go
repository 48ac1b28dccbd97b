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
	Excerpt   bool    `json:"excerpt" doc:"Whether the body goes on."`
	CreatedAt string  `json:"created_at" format:"date-time"`
	UpdatedAt string  `json:"updated_at" format:"date-time"`
}

// TransformSchema says that an author may be null, for which huma has no tag.
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
	if !p.UpdatedAt.Equal(p.CreatedAt) { // formatting every time twice was a tenth of what a page costs
		shown.UpdatedAt = p.UpdatedAt.UTC().Format(timeFormat)
	}
	if p.AuthorID != 0 {
		shown.Author = &author{ID: p.AuthorID, Name: p.Author}
	}
	return shown
}

type postPage struct {
	Posts []post `json:"posts"`
	Next  string `json:"next,omitempty" doc:"The path of the next page; absent on the last."`
}

func showPage(posts []app.Post, next string) *postPage {
	shown := postPage{Posts: make([]post, len(posts)), Next: next} // an empty list is [], not null
	for i, p := range posts {
		shown.Posts[i] = showPost(p)
	}
	return &shown
}

// PageInput is embedded in the input of a list. Like every such type it is exported, as huma passes over others.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Posts on a page."`
	Before uint64 `query:"before" minimum:"1" doc:"Only posts with a smaller id: the next page."`
}

func (in PageInput) page() app.Page { return app.Page{Before: in.Before, Size: in.Limit} }

func (s *Server) listPosts(c *call, in *PageInput) (*postPage, error) {
	posts, more, err := s.Posts.List(c.Context(), in.page())
	if err != nil {
		return nil, err
	}
	var next string
	if more {
		next = fmt.Sprintf("/api/v1/posts?limit=%d&before=%d", in.Limit, posts[len(posts)-1].ID)
	}
	return showPage(posts, next), nil
}

type searchInput struct {
	Q string `query:"q" required:"true" minLength:"1" maxLength:"100" doc:"Words that all occur in a post."`
	PageInput
}

func (s *Server) searchPosts(c *call, in *searchInput) (*postPage, error) {
	done, err := s.oneSearch(c)
	if err != nil {
		return nil, err
	}
	defer done()
	text := tidy(in.Q)
	posts, more, err := s.Posts.Search(c.Context(), text, in.page())
	if is(err, app.Invalid) { // only the store knows which words it can look for
		return nil, refused(http.StatusBadRequest, app.FieldError{Field: "q", Detail: app.AsError(err).Message})
	}
	if err != nil {
		return nil, err
	}
	var next string
	if more {
		next = fmt.Sprintf("/api/v1/search?q=%s&limit=%d&before=%d", url.QueryEscape(text), in.Limit, posts[len(posts)-1].ID)
	}
	return showPage(posts, next), nil
}

// PostID is embedded in the input of an operation on one post. An id that is not a number names no post, as any other
// that does not exist.
type PostID struct {
	ID uint64 `path:"id" minimum:"1"`
}

func (s *Server) getPost(c *call, in *PostID) (*post, error) {
	found, err := s.Posts.Get(c.Context(), in.ID)
	if err != nil {
		return nil, err
	}
	shown := showPost(found)
	return &shown, nil
}

type draft struct {
	Title string `json:"title" minLength:"1" maxLength:"200" doc:"One line."`
	Body  string `json:"body" minLength:"1" maxLength:"20000" doc:"Plain text, paragraphs separated by an empty line."`
}

func (d *draft) check() []error {
	d.Title, d.Body = tidy(d.Title), norm.NFC.String(d.Body)
	return wrong("title", checkTitle(d.Title), "body", checkBody(d.Body))
}

type createPostInput struct {
	Idempotent
	Body draft
}

func (in *createPostInput) Resolve(huma.Context) []error { return in.Body.check() }

func (s *Server) createPost(c *call, in *createPostInput) (*post, error) {
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	once, err := c.once(fmt.Sprintf("user %d", session.User.ID), in.Body)
	if err != nil {
		return nil, err
	}
	made, err := s.Posts.Create(c.Context(), once, session.User.ID, app.Draft(in.Body))
	if err != nil {
		return nil, err
	}
	c.gin.Header("Location", fmt.Sprintf("/api/v1/posts/%d", made.ID))
	shown := showPost(made)
	return &shown, nil
}

type updatePostInput struct {
	PostID
	Body draft
}

func (in *updatePostInput) Resolve(huma.Context) []error { return in.Body.check() }

func (s *Server) updatePost(c *call, in *updatePostInput) (*post, error) {
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	changed, err := s.Posts.Update(c.Context(), session.User.ID, in.ID, app.Draft(in.Body))
	if err != nil {
		return nil, err
	}
	shown := showPost(changed)
	return &shown, nil
}

func (s *Server) deletePost(c *call, in *PostID) (*nothing, error) {
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	return &nothing{}, s.Posts.Delete(c.Context(), session.User.ID, in.ID)
}

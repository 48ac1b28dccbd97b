// Package app is the domain of the site: what a post is, which rules hold, and what the domain needs from the
// outside, as interfaces. It imports nothing but the standard library. The packages below it are each named for
// what they adapt: mysql keeps the posts, api shows them over HTTP, and cmd/app wires both together.
package app

import (
	"context"
	"time"
)

// Limits of one page of posts.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
)

// Post is one entry of the site.
type Post struct {
	ID        uint64 // given by the store, from 1 upwards in the order of writing
	Title     string
	Body      string    // plain text; paragraphs are separated by an empty line
	CreatedAt time.Time // UTC, to the microsecond
}

// Page asks for one page of posts, newest first.
type Page struct {
	Before uint64 // only posts with a smaller ID; 0 begins with the newest
	Size   int    // 1 to MaxPageSize
}

// PostStore keeps posts. Every method answers with an *Error of code Unavailable while the store cannot be reached.
type PostStore interface {
	// List returns a page of posts, newest first, and whether older ones follow.
	List(ctx context.Context, page Page) (posts []Post, more bool, err error)

	// Get returns one post, or an *Error of code NotFound.
	Get(ctx context.Context, id uint64) (Post, error)
}

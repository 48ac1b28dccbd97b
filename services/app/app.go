// Package app is the domain of the site: accounts and their posts, the rules for both, and, as interfaces, what the
// domain needs from the outside. It imports nothing but the standard library. The packages below it are named for what
// they adapt: mysql stores the data, api serves it over HTTP, and cmd/app wires them together.
package app

import (
	"context"
	"time"
)

// Limits on what a person writes, in characters (Unicode code points) unless stated otherwise.
const (
	MaxEmail    = 254 // RFC 5321, section 4.5.3.1.3
	MaxName     = 50
	MinPassword = 8 // as the OWASP Authentication Cheat Sheet recommends
	MaxPassword = 256
	MaxTitle    = 200
	MaxBody     = 20_000
	MaxSearch   = 100
)

// Limits on one page of posts.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
	ExcerptLength   = 500 // of a post's body in a list; it bounds the size of a page
)

// How long a session lasts.
const (
	SessionIdle     = 7 * 24 * time.Hour  // without a request
	SessionAbsolute = 30 * 24 * time.Hour // since the sign-in, however much it is used
)

// Limits on the browsers that are remembered for an account. When there are too many, the oldest is dropped.
const (
	MaxSessions = 20
	MaxDevices  = 20
	DeviceLife  = 180 * 24 * time.Hour // since the last sign-in with that browser
)

// User is a person with an account.
type User struct {
	ID           uint64
	Email        string // compared without regard to case
	Name         string // shown beside what the user writes; not unique
	PasswordHash string // in the PHC string format; never shown
	CreatedAt    time.Time
}

// Session is a browser that a user has signed in with.
type Session struct {
	User      User
	TokenHash Digest
	Browser   string // the kind of browser, in words that may be shown; empty if unknown
	CreatedAt time.Time
	UsedAt    time.Time // accurate to a few minutes
	ExpiresAt time.Time // the absolute end
}

// SignIn holds the tokens that a browser gets at a sign-in, and those that they replace. The digests are of random
// tokens, which only the browser has.
type SignIn struct {
	Token     Digest // of the new session
	OldToken  Digest // of the session that the new one ends; the zero Digest if there is none
	Device    Digest // identifies the browser at its next sign-in, whether it is still signed in or not
	OldDevice Digest // replaced by Device
	Browser   string // as in Session
}

// Post is one entry of the site.
type Post struct {
	ID        uint64    // assigned by the store, from 1 upwards in the order of creation
	AuthorID  uint64    // 0 for the posts that the site came with
	Author    string    // the author's current name; empty for AuthorID 0
	Title     string    // one line
	Body      string    // plain text, paragraphs separated by an empty line; in a list only its first ExcerptLength characters
	Cut       bool      // whether Body is only the beginning
	CreatedAt time.Time // UTC, to the microsecond
	UpdatedAt time.Time // like CreatedAt, and equal to it until the first edit
}

// Draft is the part of a post that its author writes.
type Draft struct {
	Title string
	Body  string
}

// Page asks for one page of posts, newest first.
type Page struct {
	Before uint64 // only posts with a smaller ID; 0 begins with the newest
	Size   int    // 1 to MaxPageSize
}

// Digest is a SHA-256.
type Digest [32]byte

// Once ensures that a request which creates something takes effect once, however often it arrives
// (draft-ietf-httpapi-idempotency-key-header). The zero Once ensures nothing.
type Once struct {
	Key     Digest // of the Idempotency-Key and of who sent it
	Request Digest // of the request itself: the same Key with a different Request is refused (KeyReused)
}

// PostStore keeps posts. If the store is down, every method waits for it as long as ctx and the store's own limit
// allow, and then returns an *Error of code Unavailable.
type PostStore interface {
	// List returns a page of posts, newest first, and reports whether older ones follow.
	List(ctx context.Context, page Page) (posts []Post, more bool, err error)

	// Search is List restricted to the posts that contain every word of text.
	Search(ctx context.Context, text string, page Page) (posts []Post, more bool, err error)

	// Get returns one post, or an *Error of code NotFound.
	Get(ctx context.Context, id uint64) (Post, error)

	// Create stores a new post. A second call with the same once returns the first answer. It fails with TooMany if a
	// quota is used up, Forbidden if the author has reached the limit on posts, or Full if the disk has no room.
	Create(ctx context.Context, once Once, author uint64, draft Draft) (Post, error)

	// Update changes one of the author's posts. It fails with NotFound if there is no such post, Forbidden if it is
	// somebody else's, TooMany if a quota is used up, or Full if the post would grow and the disk has no room.
	Update(ctx context.Context, author, id uint64, draft Draft) (Post, error)

	// Delete removes one of the author's posts. It fails with NotFound if there is no such post, or Forbidden if it is
	// somebody else's.
	Delete(ctx context.Context, author, id uint64) error
}

// AccountStore keeps accounts and their sessions. If the store is down, it waits as a PostStore does.
type AccountStore interface {
	// CreateUser creates an account. It fails with Conflict if the address already has one.
	CreateUser(ctx context.Context, once Once, user User) error

	// UserByEmail returns the user with that address, or an *Error of code NotFound.
	UserByEmail(ctx context.Context, email string) (User, error)

	// Rename changes a user's name. It fails with TooMany if a quota is used up.
	Rename(ctx context.Context, user uint64, name string) error

	// ChangePassword replaces oldHash with newHash. The session with the token in.OldToken continues under in.Token;
	// all others end, and all browsers but this one are forgotten. It fails with Conflict if the hash is no longer
	// oldHash.
	ChangePassword(ctx context.Context, user uint64, oldHash, newHash string, in SignIn) error

	// DeleteUser removes a user, with all their sessions and posts, if hash is still the hash of their password. They
	// disappear for everybody immediately, and the address becomes free; removing the rows may take longer. It fails with
	// Conflict if the hash differs.
	DeleteUser(ctx context.Context, user uint64, hash string) error

	// StartSession signs in a user whose password hash is still passwordHash (Conflict otherwise). A browser has one
	// session, and gets a new token at each sign-in.
	StartSession(ctx context.Context, user uint64, passwordHash string, in SignIn) error

	// KnowsDevice reports whether the user has signed in before from the browser with that token.
	KnowsDevice(ctx context.Context, user uint64, device Digest) (bool, error)

	// Session returns the session with that token and records that it was used, or an *Error of code NotFound if there
	// is none or it has expired.
	Session(ctx context.Context, token Digest) (Session, error)

	// Sessions returns a user's active sessions, the most recently used first.
	Sessions(ctx context.Context, user uint64) ([]Session, error)

	// EndSession removes the session with that token, if there is one.
	EndSession(ctx context.Context, token Digest) error
}

// Bucket limits how often something may happen: Burst times in a row, and then once per Interval.
type Bucket struct {
	Name     string // such as "sign-in network 203.0.113.7"; the store keeps only a digest of it
	Burst    int
	Interval time.Duration
	Weight   int // how many times one attempt counts, at most Burst; 0 means once
}

// Throttle counts attempts across all replicas.
type Throttle interface {
	// Take counts one attempt in every bucket, before its outcome is known. If a bucket is full, it counts nothing and
	// returns how long to wait.
	Take(ctx context.Context, buckets ...Bucket) (wait time.Duration, err error)

	// Return undoes one call of Take, for an attempt that turned out not to count.
	Return(ctx context.Context, buckets ...Bucket) error
}

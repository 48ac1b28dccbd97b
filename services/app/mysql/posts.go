package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// The columns and joins of the statements that read posts. The join with users supplies the author's name, and hides
// the posts of a deleted user until they are removed too (erase.go). It is a left join that names its index: otherwise,
// on a site with few users, MySQL would read all users into a hash table and sort the posts, instead of walking along
// the primary key and looking up one author per row.
const (
	postHead = "SELECT posts.id, COALESCE(posts.user_id, 0) AS author_id, COALESCE(users.name, '') AS author, " +
		"title, posts.created_at, COALESCE(updated_at, posts.created_at) AS updated_at, "
	withAuthors = "LEFT JOIN users FORCE INDEX FOR JOIN (PRIMARY) ON users.id = posts.user_id WHERE users.deleted_at IS NULL AND "
	wholePost   = postHead + "body FROM posts " + withAuthors + "posts.id = ?"
)

// The parts of the statement that reads a page of posts. The first page asks for the posts before an id that will never
// be reached, so that every page uses the same statement with the same plan: a walk down the primary key from where the
// page begins.
var (
	postsInList = postHead + fmt.Sprintf("LEFT(body, %d) AS body, CHAR_LENGTH(body) > %[1]d AS cut FROM ", app.ExcerptLength)
	before      = withAuthors + "posts.id < ?"
	listPosts   = postsInList + "posts " + before + newestFirst
)

const newestFirst = " ORDER BY posts.id DESC LIMIT ?"

// List implements app.PostStore. A page far down costs no more than the first one.
func (db *DB) List(ctx context.Context, page app.Page) (posts []app.Post, more bool, err error) {
	return db.page(ctx, "list posts", page, listPosts)
}

// page reads a page of posts. Its statement takes the id before which the page begins, then args, then the number of
// posts.
func (db *DB) page(ctx context.Context, doing string, page app.Page, statement string, args ...any) (posts []app.Post, more bool, err error) {
	from := page.Before
	if from == 0 {
		from = math.MaxUint64
	}
	args = append(append([]any{from}, args...), page.Size+1) // one more than shown, to see whether there is a next page
	err = db.run(ctx, doing, func(tx *gorm.DB) error {
		posts = make([]app.Post, 0, page.Size+1)
		rows, err := tx.Raw(statement, args...).Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() { // by hand: with GORM's reflection this call would cost 60% more than with database/sql alone; this way, 20%
			var p app.Post
			if err := rows.Scan(&p.ID, &p.AuthorID, &p.Author, &p.Title, &p.CreatedAt, &p.UpdatedAt, &p.Body, &p.Cut); err != nil {
				return err
			}
			posts = append(posts, p)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, false, err
	}
	if len(posts) > page.Size {
		return posts[:page.Size], true, nil
	}
	return posts, false, nil
}

// Get implements app.PostStore.
func (db *DB) Get(ctx context.Context, id uint64) (post app.Post, err error) {
	err = db.run(ctx, "get post", func(tx *gorm.DB) error {
		post, err = readPost(tx, wholePost, id)
		return err
	})
	return post, err
}

func readPost(tx *gorm.DB, statement string, id uint64) (app.Post, error) {
	var post app.Post
	err := tx.Raw(statement, id).Take(&post).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return app.Post{}, &app.Error{Code: app.NotFound, Message: "There is no such post."}
	}
	return post, err
}

// newPost is a row of the table posts as it is first written.
type newPost struct {
	ID        uint64
	UserID    *uint64
	Title     string
	Body      string
	CreatedAt time.Time
}

// TableName implements GORM's schema.Tabler.
func (newPost) TableName() string { return "posts" }

// firstAnswer is the part of the first answer that a second request with the same key does not itself contain. Its
// members are some of those of an app.Post, so this release and the previous one, which stores whole posts, can read
// each other's answers.
type firstAnswer struct {
	ID                   uint64
	Author               string
	CreatedAt, UpdatedAt time.Time
}

// Create implements app.PostStore. An *app.Error of code Unauthorized means that the author no longer exists.
func (db *DB) Create(ctx context.Context, once app.Once, author uint64, draft app.Draft) (post app.Post, err error) {
	now := db.gorm.NowFunc()
	err = db.transaction(ctx, "create post", once != (app.Once{}), func(tx *gorm.DB, _ bool) error {
		post = app.Post{AuthorID: author, Title: draft.Title, Body: draft.Body, CreatedAt: now, UpdatedAt: now}
		if done, err := begin(tx, once, now, &post); done || err != nil {
			return err
		}
		if err := db.room(); err != nil {
			return err
		}
		row := newPost{Title: post.Title, Body: post.Body, CreatedAt: now}
		if author > 0 {
			user, err := lockUser(tx, author, "FOR SHARE")
			if err != nil {
				return err
			}
			if err := db.countWrite(tx, user, draft, now); err != nil {
				return err
			}
			row.UserID, post.Author = &author, user.Name
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		post.ID = row.ID
		index := searchable(post.ID, draft, nil)
		if err := tx.Create(&index).Error; err != nil {
			return err
		}
		return finish(tx, once, author, firstAnswer{post.ID, post.Author, post.CreatedAt, post.UpdatedAt})
	})
	if err != nil {
		return app.Post{}, err
	}
	return post, nil
}

// Update implements app.PostStore.
func (db *DB) Update(ctx context.Context, author, id uint64, draft app.Draft) (post app.Post, err error) {
	now := db.gorm.NowFunc()
	err = db.transaction(ctx, "update post", true, func(tx *gorm.DB, _ bool) error {
		user, err := lockUser(tx, author, "FOR SHARE")
		if err != nil {
			return err
		}
		if post, err = readPostOf(tx, author, id); err != nil {
			return err
		}
		if len(draft.Title)+len(draft.Body) > len(post.Title)+len(post.Body) {
			if err := db.room(); err != nil {
				return err
			}
		}
		if err := db.countEdit(tx, user, len(draft.Title)+len(draft.Body), now); err != nil {
			return err
		}
		post.Title, post.Body, post.UpdatedAt = draft.Title, draft.Body, now
		if err := tx.Exec("UPDATE posts SET title = ?, body = ?, updated_at = ? WHERE id = ?", post.Title, post.Body, now, id).Error; err != nil {
			return err
		}
		return reindex(tx, searchable(id, draft, &now))
	})
	if err != nil {
		return app.Post{}, err
	}
	return post, nil
}

// Delete implements app.PostStore.
func (db *DB) Delete(ctx context.Context, author, id uint64) error {
	return db.transaction(ctx, "delete post", true, func(tx *gorm.DB, maybeDone bool) error {
		_, err := readPostOf(tx, author, id)
		if e, ok := errors.AsType[*app.Error](err); ok && e.Code == app.NotFound && maybeDone {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.Exec("DELETE FROM posts WHERE id = ?", id).Error
	})
}

// readPostOf reads and locks a post that its author is about to change.
func readPostOf(tx *gorm.DB, author, id uint64) (app.Post, error) {
	post, err := readPost(tx, wholePost+" FOR UPDATE OF posts", id)
	if err != nil {
		return app.Post{}, err
	}
	if author == 0 || post.AuthorID != author {
		return app.Post{}, &app.Error{Code: app.Forbidden, Message: "This post is somebody else's."}
	}
	return post, nil
}

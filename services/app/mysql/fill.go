package mysql

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// The previous release writes posts without a row in post_search: before this release, while both run, and after a
// rollback. Each replica therefore goes through all posts when it starts, and again after pauses that double for as
// long as it finds nothing to do. So the last posts of a release that is being replaced are indexed within minutes, and
// a site that runs for weeks spends almost nothing on this.
const (
	fillPause   = time.Minute
	longestFill = 24 * time.Hour
)

// How many posts are checked at a time, and how many bytes of text are written at a time. Writing fillBytes takes as
// long as writing a visitor's longest post.
const (
	fillLook  = 500
	fillBytes = 64 << 10
)

// fillUntilClosed keeps post_search complete until Close.
func (db *DB) fillUntilClosed() {
	for pause := time.Duration(0); ; {
		select {
		case <-db.life.Done():
			return
		case <-time.After(pause):
		}
		filled, err := db.fill(db.life)
		pause = min(2*pause, longestFill)
		if filled > 0 || err != nil || pause == 0 {
			pause = fillPause
		}
		switch {
		case errors.Is(err, context.Canceled):
		case err != nil:
			db.log.Warn("the search does not find all posts yet; the next try is in a minute", "filled", filled, "error", err.Error())
		case filled > 0:
			db.log.Info("the search finds all posts", "filled", filled)
		}
	}
}

// fill writes the rows of post_search that are missing or out of date, for the newest posts first, and returns how many
// it wrote. It may stop at any time: what it has written stays, and the next run finds the rest. It spends at most half
// of its time in the database, which leaves the other half to visitors.
func (db *DB) fill(ctx context.Context) (filled int, err error) {
	for from, more := uint64(1<<64-1), true; more; {
		began := time.Now()
		var behind [][]uint64
		if behind, from, more, err = db.behind(ctx, from); err != nil {
			return filled, err
		}
		for _, batch := range behind {
			if err := db.room(); err != nil {
				return filled, err
			}
			n := 0
			if err := db.transaction(ctx, "index posts", true, func(tx *gorm.DB, _ bool) (err error) {
				n, err = indexAgain(tx, batch)
				return err
			}); err != nil {
				return filled, err
			}
			filled += n
		}
		select {
		case <-ctx.Done():
			return filled, ctx.Err()
		case <-time.After(time.Since(began)):
		}
	}
	return filled, nil
}

// behind checks some of the posts with an id below from, the newest first. It returns those whose row in post_search is
// missing or out of date, in batches to be written together, and where to continue.
func (db *DB) behind(ctx context.Context, from uint64) (batches [][]uint64, next uint64, more bool, err error) {
	err = db.run(ctx, "look for posts to index", func(tx *gorm.DB) error {
		batches, next = nil, from
		rows, err := tx.Raw("SELECT posts.id, IF(post_id IS NULL OR NOT (as_of <=> posts.updated_at), LENGTH(title) + LENGTH(body), 0) "+
			"FROM posts LEFT JOIN post_search ON post_id = posts.id WHERE posts.id < ? ORDER BY posts.id DESC LIMIT ?", from, fillLook).Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		looked, room := 0, 0
		for ; rows.Next(); looked++ {
			var bytes int // of the post; 0 if its row is up to date
			if err := rows.Scan(&next, &bytes); err != nil {
				return err
			}
			if bytes == 0 {
				continue
			}
			if room -= bytes; room < 0 {
				batches, room = append(batches, nil), fillBytes-bytes
			}
			last := &batches[len(batches)-1]
			*last = append(*last, next)
		}
		more = looked == fillLook
		return rows.Err()
	})
	return batches, next, more, err
}

// indexAgain writes the rows of these posts. It skips a post that is being changed: if this release is changing it, the
// change also writes the row; if the previous release is, the next run finds the post.
func indexAgain(tx *gorm.DB, ids []uint64) (n int, err error) {
	var posts []struct {
		ID          uint64
		Title, Body string
		UpdatedAt   *time.Time
	}
	if err := tx.Raw("SELECT id, title, body, updated_at FROM posts WHERE id IN ? FOR UPDATE SKIP LOCKED", ids).Scan(&posts).Error; err != nil || len(posts) == 0 {
		return 0, err
	}
	rows := make([]postSearch, len(posts))
	for i, post := range posts {
		rows[i] = searchable(post.ID, app.Draft{Title: post.Title, Body: post.Body}, post.UpdatedAt)
	}
	return len(posts), reindex(tx, rows...)
}

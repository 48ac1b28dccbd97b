package mysql

import (
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// room returns an error if the disk has no room for anything new.
func (db *DB) room() error {
	if db.full() {
		return &app.Error{Code: app.Full, Message: "The site's disk is nearly full, so that nothing new can be kept at the moment. " +
			"Reading, signing in and deleting go on. Please try again later."}
	}
	return nil
}

// countWrite counts a new post towards its author's quotas and the site's. It runs in the transaction that creates the
// post, so a post that is not created is not counted.
func (db *DB) countWrite(tx *gorm.DB, author lockedUser, draft app.Draft, now time.Time) error {
	if author.ID == 0 {
		return &app.Error{Code: app.Unauthorized, Message: "This account has been deleted."}
	}
	if most := db.quotas.AccountPosts; most > 0 && !author.Unbounded {
		// The LIMIT bounds the count: even for an author with as many posts as allowed, it takes only about a
		// millisecond.
		var have int
		err := tx.Raw("SELECT COUNT(*) FROM (SELECT 1 FROM posts WHERE user_id = ? LIMIT ?) AS theirs", author.ID, most).Scan(&have).Error
		if err != nil {
			return err
		}
		if have >= most {
			return &app.Error{Code: app.Forbidden, Message: fmt.Sprintf("This account has %d posts, and may not have more. Delete one to write another.", have)}
		}
	}
	return db.countEdit(tx, author, len(draft.Title)+len(draft.Body), now)
}

// countEdit counts an edit or a renaming, of the given number of bytes, towards the author's quotas and the site's.
func (db *DB) countEdit(tx *gorm.DB, author lockedUser, bytes int, now time.Time) error {
	if author.ID == 0 {
		return &app.Error{Code: app.Unauthorized, Message: "This account has been deleted."}
	}
	if author.Unbounded {
		return nil
	}
	buckets := db.quotas.Writes(author.User, bytes, now)
	if len(buckets) == 0 {
		return nil
	}
	wait, fullest, err := take(tx, buckets)
	if err != nil || wait == 0 {
		return err
	}
	who := "This account has"
	if !strings.Contains(fullest.Name, " account ") {
		who = "All accounts of this site together have" // or all new ones
	}
	return &app.Error{Code: app.TooMany, Message: who + " written as much as may be kept for now. Please go on later.", RetryAfter: wait}
}

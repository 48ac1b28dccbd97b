package mysql

import (
	"context"

	"gorm.io/gorm"

	"oneserver/app"
)

// List implements app.PostStore. It reads along the primary key from where the page begins, so a page deep down costs
// what the first one does.
func (db *DB) List(ctx context.Context, page app.Page) (posts []app.Post, more bool, err error) {
	query := gorm.G[app.Post](db.gorm).Order("id DESC").Limit(page.Size + 1) // one more than shown: is there a next page?
	if page.Before > 0 {
		query = query.Where("id < ?", page.Before)
	}
	posts, err = query.Find(ctx)
	if err != nil {
		return nil, false, translate("list posts", err)
	}
	if len(posts) > page.Size {
		return posts[:page.Size], true, nil
	}
	return posts, false, nil
}

// Get implements app.PostStore.
func (db *DB) Get(ctx context.Context, id uint64) (app.Post, error) {
	post, err := gorm.G[app.Post](db.gorm).Where("id = ?", id).Take(ctx)
	if err != nil {
		return app.Post{}, translate("get post", err)
	}
	return post, nil
}

-- +goose Up
-- A post may have 20,000 characters, which are up to 80,000 bytes; text ends at 65,535. This copies the table, which is
-- small: before this release nobody could write a post.
ALTER TABLE posts MODIFY COLUMN body mediumtext NOT NULL, LOCK = SHARED;

-- +goose Up
-- A post may have 20,000 characters, which are up to 80,000 bytes; the type text holds 65,535. This copies the table,
-- which is still small: nobody could write a post before this release.
ALTER TABLE posts MODIFY COLUMN body mediumtext NOT NULL, LOCK = SHARED;

-- +goose Up
CREATE TABLE bookmarks (
  id              bigint unsigned NOT NULL AUTO_INCREMENT,
  name            varchar(200)    NOT NULL,
  address         varchar(2000)   NOT NULL,
  idempotency_key varbinary(100)  NULL,
  PRIMARY KEY (id),
  UNIQUE KEY idempotency_key (idempotency_key)
);

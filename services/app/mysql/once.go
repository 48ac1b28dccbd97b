package mysql

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// keyLife is the minimum time for which a key is remembered.
const keyLife = 24 * time.Hour

// begin records the key of once as the first step of a transaction. Another request with the same key, even on another
// replica, waits in begin until this transaction ends. If the key is already recorded, begin reports done, and reads
// the first answer into answer, unless that is nil. If the key belongs to a different request, begin returns an
// *app.Error of code KeyReused.
func begin(tx *gorm.DB, once app.Once, now time.Time, answer any) (done bool, err error) {
	if once == (app.Once{}) {
		return false, nil
	}
	err = tx.Exec("INSERT INTO idempotency_keys (digest, request, created_at) VALUES (?, ?, ?)", digest(once.Key), digest(once.Request), now).Error
	if !errors.Is(err, gorm.ErrDuplicatedKey) {
		return false, err
	}
	// FOR SHARE reads the current row, whatever this transaction has seen before.
	var first struct {
		Request digest
		Answer  []byte
	}
	err = tx.Raw("SELECT request, answer FROM idempotency_keys WHERE digest = ? FOR SHARE", digest(once.Key)).Take(&first).Error
	if err != nil {
		return false, fmt.Errorf("read the first answer: %w", err)
	}
	if first.Request != digest(once.Request) {
		return false, &app.Error{Code: app.KeyReused, Message: "This idempotency key came with another request before."}
	}
	if answer == nil {
		return true, nil
	}
	if err := json.Unmarshal(first.Answer, answer); err != nil {
		return false, fmt.Errorf("read the first answer: %w", err)
	}
	return true, nil
}

// finish records the answer for a later request with the same key, but only the parts that the request itself does not
// contain. The record is deleted with the user; 0 means that it belongs to nobody.
func finish(tx *gorm.DB, once app.Once, user uint64, answer any) error {
	if once == (app.Once{}) {
		return nil
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	return tx.Exec("UPDATE idempotency_keys SET answer = ?, user_id = NULLIF(?, 0) WHERE digest = ?", string(text), user, digest(once.Key)).Error
}

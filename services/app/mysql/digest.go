package mysql

import (
	"database/sql/driver"
	"fmt"

	"oneserver/app"
)

// digest is an app.Digest that is stored as a binary(32). (GORM would turn a []byte that follows a parenthesis into a
// list of numbers.)
type digest app.Digest

// Value implements driver.Valuer.
func (d digest) Value() (driver.Value, error) { return d[:], nil }

// Scan implements sql.Scanner.
func (d *digest) Scan(value any) error {
	bytes, ok := value.([]byte)
	if !ok || len(bytes) != len(d) {
		return fmt.Errorf("%T of %d bytes is no digest", value, len(bytes))
	}
	copy(d[:], bytes)
	return nil
}

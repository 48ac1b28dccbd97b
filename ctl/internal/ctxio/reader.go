// Package ctxio makes long reads interruptible.
package ctxio

import (
	"context"
	"io"
)

// Reader reads from an io.Reader until its context ends, and then returns the context's error.
type Reader struct {
	Context context.Context
	io.Reader
}

// Read implements io.Reader.
func (r Reader) Read(p []byte) (int, error) {
	if err := r.Context.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

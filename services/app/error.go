package app

import (
	"errors"
	"time"
)

// Code says what kind of failure an Error is, so that each adapter can translate it into its own terms.
type Code string

const (
	Invalid      Code = "invalid"      // the caller's input breaks a rule; the same call will fail again
	Unauthorized Code = "unauthorized" // nobody is signed in, or the password is wrong
	Forbidden    Code = "forbidden"    // the caller may not do that
	NotFound     Code = "not_found"    // the thing asked for does not exist
	Conflict     Code = "conflict"     // the call does not fit the current data, which may have changed meanwhile
	KeyReused    Code = "key_reused"   // an idempotency key was reused for a different request
	TooMany      Code = "too_many"     // too many attempts; after RetryAfter one more is allowed
	Full         Code = "full"         // there is no room for more; reading and removing still work
	Unavailable  Code = "unavailable"  // a part that is needed is down or busy; the same call may succeed later
	Internal     Code = "internal"     // an error on our side
)

// Error is a failure that can be reported to a client. Message and Fields are safe to show to anybody; Err is the
// cause, for the log only.
type Error struct {
	Code       Code
	Message    string
	Fields     []FieldError
	RetryAfter time.Duration // for TooMany and Unavailable
	Err        error
}

// FieldError says what is wrong with one field of the input.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + " " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// AsError returns the Error in err's chain. Any other error is unexpected: it is wrapped in an Error of code Internal,
// whose message reveals nothing.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Internal, Message: "Something went wrong on our side.", Err: err}
}

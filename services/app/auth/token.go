package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"oneserver/app"
)

const tokenBytes = 32 // 256 bits: impossible to guess, however many are tried

var encoding = base64.RawURLEncoding.Strict() // one spelling for each token

// NewToken returns a new session token: 43 characters, all of which are valid in a cookie.
func NewToken() string {
	var token [tokenBytes]byte
	rand.Read(token[:]) // never fails (crypto/rand)
	return encoding.EncodeToString(token[:])
}

// TokenHash returns the hash that is stored in place of a token, and whether text is a token at all. Since a token
// cannot be guessed, a plain SHA-256 is enough.
func TokenHash(text string) (hash app.Digest, valid bool) {
	if len(text) != encoding.EncodedLen(tokenBytes) {
		return hash, false
	}
	token, err := encoding.DecodeString(text)
	if err != nil || len(token) != tokenBytes {
		return hash, false
	}
	return sha256.Sum256(token), true
}

package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"oneserver/app"
)

const idempotencyKey = "Idempotency-Key"

// Limits on a key, in characters. Shorter keys might not be unique.
const (
	minKey = 16
	maxKey = 128
)

// parseKey reads the key from the values of the header.
func parseKey(values []string) (string, error) {
	wrong := func(detail string) (string, error) {
		return "", refused(http.StatusBadRequest, app.FieldError{Field: idempotencyKey, Detail: detail})
	}
	switch len(values) {
	case 0:
		return wrong(fmt.Sprintf("is missing: send a header with %d to %d characters that no other request has", minKey, maxKey))
	case 1:
	default:
		return wrong("is given more than once")
	}
	key := values[0]
	if inner, quoted := strings.CutPrefix(key, `"`); quoted { // a string of RFC 9651, section 3.3.3
		inner, closed := strings.CutSuffix(inner, `"`)
		inner, valid := unescape(inner)
		if !closed || !valid {
			return wrong("begins with a quote and is not a well-formed string")
		}
		key = inner
	}
	if len(key) < minKey || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return wrong(fmt.Sprintf("must have %d to %d printable ASCII characters", minKey, maxKey))
	}
	return key, nil
}

// unescape decodes the text between the quotes of a string.
func unescape(inner string) (text string, valid bool) {
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return "", false
		case '\\':
			if i++; i == len(inner) || inner[i] != '"' && inner[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(inner[i])
	}
	return b.String(), true
}

// once returns the two digests that identify a request. The digest of the key includes who, so that keys of different
// people never collide. content must not include a secret that could be guessed, because the digest of the request is
// quick to compute, and an attacker may know the key. As a further safeguard, that digest is keyed with the key, which
// is not stored.
func (c *call) once(who string, content any) (app.Once, error) {
	canonical, err := json.Marshal(content)
	if err != nil {
		return app.Once{}, fmt.Errorf("encode the request: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(c.key))
	fmt.Fprintf(mac, "%s\n%s", c.op.OperationID, canonical)
	return app.Once{
		Key:     sha256.Sum256([]byte(who + "\n" + c.key)),
		Request: app.Digest(mac.Sum(nil)),
	}, nil
}

package api

import (
	"os"
	"testing"
)

func TestDump(t *testing.T) {
	s, _ := newServer(t, newFake(0), nil)
	os.WriteFile(os.Getenv("DUMP"), []byte(body(t, ask(s, "GET", "/api/openapi.json"))), 0o600)
}

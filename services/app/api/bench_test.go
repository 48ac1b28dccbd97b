package api

import (
	"net/http/httptest"
	"testing"
)

// BenchmarkListPosts measures what the API itself adds to the cost of a page of posts, without the database and the
// network.
func BenchmarkListPosts(b *testing.B) {
	s, lines := newServer(b, newFake(100), nil)
	request := httptest.NewRequest("GET", "/api/v1/posts", nil)
	request.RemoteAddr = proxy + ":50000"
	b.ReportAllocs()
	for b.Loop() {
		s.http.Handler.ServeHTTP(httptest.NewRecorder(), request)
		lines.buf.Reset()
	}
}

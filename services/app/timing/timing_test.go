package timing

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func TestStatementsAreKeptInOrderAndWithinBounds(t *testing.T) {
	t.Parallel()
	ctx, r := Start(t.Context(), "the-request")
	for i := range MaxStatements + 10 {
		AddStatement(ctx, fmt.Sprintf("SELECT %d + ?", i), r.Begin().Add(time.Duration(i)*time.Millisecond), time.Second)
	}
	kept, total := r.Statements()
	if len(kept) != MaxStatements || total != MaxStatements+10 || r.StatementCount() != total {
		t.Fatalf("kept %d of %d (%d), want %d of %d", len(kept), total, r.StatementCount(), MaxStatements, MaxStatements+10)
	}
	for i, s := range kept {
		if want := (Statement{fmt.Sprintf("SELECT %d + ?", i), time.Duration(i) * time.Millisecond, time.Second}); s != want {
			t.Errorf("statement %d is %v, want %v", i, s, want)
		}
	}
}

func TestALongStatementIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	ctx, r := Start(t.Context(), "the-request")
	for shift := range 3 { // so that the cut falls into each byte of a character
		AddStatement(ctx, strings.Repeat("x", shift)+strings.Repeat("…", MaxSQL), time.Now(), 0)
	}
	kept, _ := r.Statements()
	for _, s := range kept {
		if len(s.SQL) > MaxSQL || !strings.HasSuffix(s.SQL, "… …") || !utf8.ValidString(s.SQL) {
			t.Errorf("kept %d bytes, ending in %q", len(s.SQL), s.SQL[len(s.SQL)-8:])
		}
	}
}

func TestStatementsOutsideARequestAreNobodys(t *testing.T) {
	t.Parallel()
	AddStatement(t.Context(), "SELECT 1", time.Now(), 0)
	AddDatabase(t.Context(), 0)
	if id := RequestID(t.Context()); id != "" {
		t.Errorf("the id is %q", id)
	}
}

func TestSeveralGoroutinesMayAddAndRead(t *testing.T) {
	t.Parallel()
	ctx, r := Start(t.Context(), "the-request")
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 10 {
				AddStatement(ctx, "SELECT ?", time.Now(), 0)
				r.Statements()
			}
		})
	}
	running.Wait()
	if _, total := r.Statements(); total != 40 {
		t.Errorf("%d statements, want 40", total)
	}
}

// BenchmarkRecord measures what it costs to record one request with two statements.
func BenchmarkRecord(b *testing.B) {
	sql := "SELECT `posts`.`id`,`posts`.`title`,`posts`.`body`,`posts`.`created_at` FROM `posts` ORDER BY id DESC LIMIT ?"
	b.ReportAllocs()
	for b.Loop() {
		ctx, _ := Start(context.Background(), "the-request")
		began := time.Now()
		AddStatement(ctx, sql, began, 0)
		AddStatement(ctx, sql, began, 0)
	}
}

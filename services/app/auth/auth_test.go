package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/trustelem/zxcvbn/frequency"

	"oneserver/app"
)

func TestPasswords(t *testing.T) {
	t.Parallel()
	p := NewPasswords()
	hash, err := p.Hash(t.Context(), "caf\u00e9 \u00e0 8")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("got %s, %v", hash, err)
	}
	if again, err := p.Hash(t.Context(), "caf\u00e9 \u00e0 8"); err != nil || again == hash {
		t.Errorf("the same password has the same hash: there is no salt (%v)", err)
	}
	for _, test := range []struct {
		name, password string
		right          bool
	}{
		{"the same", "caf\u00e9 \u00e0 8", true},
		{"the same, composed otherwise", "cafe\u0301 a\u0300 8", true},
		{"without accents", "cafe a 8", false},
		{"in capitals", "CAF\u00c9 \u00c0 8", false},
		{"with a space more", "caf\u00e9 \u00e0 8 ", false},
		{"empty", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			right, err := p.Verify(t.Context(), test.password, hash)
			if err != nil || right != test.right {
				t.Errorf("got %t, %v; want %t", right, err, test.right)
			}
		})
	}
	if err := p.VerifyNobody(t.Context(), "anything"); err != nil {
		t.Error(err)
	}
	real, _, _, err := argon2id.DecodeHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	if nobodys, _, _, err := argon2id.DecodeHash(p.nobodys); err != nil || *nobodys != *real {
		t.Errorf("nobody's hash costs %+v (%v), a user's %+v", nobodys, err, real)
	}
	if _, err := p.Verify(t.Context(), "anything", "no hash"); err == nil {
		t.Error("something that is not a hash was compared")
	}
}

func TestOnlySoManyHashAndWaitAtOnce(t *testing.T) {
	t.Parallel()
	p := NewPasswords()
	release := make(chan struct{})
	block := func() error { <-release; return nil }
	var all sync.WaitGroup
	started := func(n int) {
		for range n {
			all.Go(func() {
				if err := p.run(context.Background(), block); err != nil {
					t.Error(err)
				}
			})
		}
	}
	started(atOnce + waiting)
	for len(p.admitted) < atOnce+waiting || len(p.running) < atOnce {
		if t.Context().Err() != nil {
			return
		}
	}
	_, err := p.Hash(t.Context(), "one too many")
	e := app.AsError(err)
	if e.Code != app.Unavailable || e.RetryAfter <= 0 {
		t.Errorf("one too many gets %v, want Unavailable with a time to retry after", err)
	}
	close(release)
	all.Wait()
	if _, err := p.Hash(t.Context(), "later"); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestWhoWaitsCanLeave(t *testing.T) {
	t.Parallel()
	p := NewPasswords()
	for range atOnce {
		p.running <- struct{}{}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := p.Hash(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left gets %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if _, err := p.Hash(late, "x"); app.AsError(err).Code != app.Unavailable {
		t.Errorf("a request that has no time left gets %v, want Unavailable", err)
	}
	if n := len(p.admitted); n != 0 {
		t.Errorf("%d slots are lost", n)
	}
}

func TestPasswordsThatAreTriedFirstAreRefused(t *testing.T) {
	t.Parallel()
	personal := []string{"ada.lovelace@engines.example", "Ada Lovelace", "@foobar.com", "@www.foobar.com"}
	for want, passwords := range map[string][]string{
		isCommon: {
			"password", "Password", "PASSWORD1", "password123", "p@ssw0rd", "passw0rd", "qwertyuiop", "qwerty123", "iloveyou", "sunshine", "princess",
			"football", "baseball", "1q2w3e4r", "1qaz2wsx", "letmein1", "welcome1", "abcd1234", "trustno1", "superman", "michelle", "jennifer",
			"basketball", "changeme", "administrator", "zaq12wsx", "internet", "starwars", "password!", "monkey123", "asdfghjkl",
			"password ", "  password  ", "pass word", "ｐａｓｓｗｏｒｄ", "i love you", "PASS\u00a0WORD1",
		},
		isPattern: {
			"12345678", "123456789", "1234567890", "87654321", "9876543210", "11111111", "00000000", "aaaaaaaa", "        ", "😀😀😀😀😀😀😀😀",
			"12341234", "abcabcab", "abababab", "abcdefgh", "hgfedcba", "абвгдежз", "67890123",
			"1234567890123456", "12345678901234567890", "1 2 3 4 5 6 7 8", "１２３４５６７８", "9876543210987654", strings.Repeat(" ", 16),
		},
		isPersonal: {
			"ada.lovelace@engines.example", "ADA.LOVELACE@ENGINES.EXAMPLE", "ada.lovelace", "adalovelace", "Ada Lovelace", "ada-lovelace", "AdaLovelace1815!",
			"engines.example", "enginesexample", "foobar.com", "www.foobar.com", "FooBar.com", "foobar.com2026",
		},
		"": {
			"an engine of thought", "correct horse battery", "another horse battery", "a word 78", strings.Repeat("a", 64), strings.Repeat("1234", 4), "lovelace ada k.",
			"xk7 q92 m", "Übergrößenträger", "ключ от дома", "ädä lövelace", "😀🎉🚀🌍🍞🎸🦊🧀", "12435687 no",
		},
	} {
		for _, password := range passwords {
			if got := Weakness(password, personal...); got != want {
				t.Errorf("%q %q, want %q", password, got, want)
			}
		}
	}
	if got := Weakness("20010101", "20010101@example.com", ""); got != isPersonal {
		t.Errorf("an address of digits %q", got)
	}
	if got := Weakness("!!!???!!x?!?", "", "", "@"); got != "" {
		t.Errorf("when nothing is known about the user, a password %q", got)
	}

	// ASVS 5.0, 6.2.4: at least the 3,000 most common passwords that satisfy our minimum length.
	long := 0
	for _, word := range frequency.FrequencyLists["passwords"] {
		if len(word) >= app.MinPassword {
			long++
		}
	}
	if long < 3000 {
		t.Errorf("the list has %d passwords of %d characters or more, want 3000", long, app.MinPassword)
	}
}

func BenchmarkWeakness(b *testing.B) {
	for b.Loop() {
		Weakness("an engine of thought", "ada@example.com", "Ada")
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	token := NewToken()
	hash, valid := TokenHash(token)
	if !valid || len(token) != 43 || hash == (app.Digest{}) {
		t.Errorf("%q is no token", token)
	}
	if other := NewToken(); other == token {
		t.Error("two tokens are the same")
	}
	last := token[:42]
	for _, text := range []string{"", "x", token[:42], token + "A", token[:42] + "=", " " + token[:42], token[:41] + "\r\n", last + "\n", strings.Repeat("*", 43), strings.Repeat("_", 42) + "B"} {
		if _, valid := TokenHash(text); valid {
			t.Errorf("%q is a token", text)
		}
	}
}

func FuzzTokenHash(f *testing.F) {
	for _, seed := range []string{"", NewToken(), strings.Repeat("A", 43), strings.Repeat("_", 43), "a\x00b", strings.Repeat("A", 42) + "B"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hash, valid := TokenHash(text)
		if valid && len(text) != 43 || !valid && hash != (app.Digest{}) {
			t.Errorf("%q: %x, %t", text, hash, valid)
		}
	})
}

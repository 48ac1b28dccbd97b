package app

import (
	"strings"
	"testing"
	"time"
)

func TestAWriteIsCountedForItsAccountAndForTheSite(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old, fresh := User{ID: 7, CreatedAt: now.Add(-newcomer)}, User{ID: 8, CreatedAt: now.Add(-newcomer + time.Second)}
	all := Quotas{AccountWrites: 300, SiteText: 100_000, SiteAccounts: 1000}
	for _, test := range []struct {
		name   string
		quotas Quotas
		user   User
		bytes  int
		want   map[string]int // the burst for each beginning of a bucket's name
		weight int            // of the buckets that count text
	}{
		{"no quota", Quotas{}, old, 5000, nil, 0},
		{"writes alone", Quotas{AccountWrites: 300}, old, 5000, map[string]int{"writes account 7": 300}, 0},
		{"an account", all, old, 1, map[string]int{"writes account 7": 300, "text account 7": 1000, "text site ": 6250}, 2},
		{"a new account", all, fresh, 80_000, map[string]int{"writes account 8": 300, "text account 8": 1000, "text site ": 6250, "text newcomers ": 1562}, 81},
		{"a site of few words", Quotas{SiteText: 1}, fresh, 80_000, map[string]int{"text account 8": 1, "text site ": 1, "text newcomers ": 1}, 81},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			buckets := test.quotas.Writes(test.user, test.bytes, now)
			if len(buckets) != len(test.want) {
				t.Errorf("got %+v, want %v", buckets, test.want)
			}
			for _, b := range buckets {
				weight := 1
				if strings.HasPrefix(b.Name, "text ") {
					weight = test.weight
				}
				name := b.Name
				if !strings.Contains(name, " account ") {
					name = strings.TrimRight(name, "0123456789") // the number of the part, which is random
				}
				if again := b.Interval * time.Duration(b.Burst); b.Burst != test.want[name] || b.Weight != weight || again > 24*time.Hour || again < 24*time.Hour-time.Second {
					t.Errorf("%+v comes back in %s; want a burst of %d, a weight of %d, and a day", b, again, test.want[name], weight)
				}
			}
		})
	}
}

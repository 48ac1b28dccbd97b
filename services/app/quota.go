package app

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Quotas limit how much visitors can make the site store. The daily ones are buckets: the whole amount can be used at
// once, and is available again a day later. 0 means no limit.
type Quotas struct {
	AccountPosts  int // posts that one account may have
	AccountWrites int // posts, edits and renamings by one account in a day
	SiteText      int // thousands of bytes that all accounts together may write in a day
	SiteAccounts  int // sign-ups in a day
}

// Shares of the site-wide quotas. They keep one account, or any number of new ones, from using up what the other
// accounts may write, and one network from using up all sign-ups.
const (
	accountShare  = 100 // an account may write a hundredth of SiteText
	newcomerShare = 4   // all accounts younger than newcomer may together write a quarter
	newcomer      = 24 * time.Hour
	networkShare  = 10 // a network may create a tenth of SiteAccounts
)

// siteShards is the number of parts into which each site-wide bucket is divided. A write locks its buckets until it is
// on disk, so with a single bucket the site would write one post at a time. Each write picks a part at random; by the
// time some parts are full, only a few hundredths of the quota are left in the others.
const siteShards = 16

// writeWeight is the space that a write needs besides its text, in thousands of bytes: for its row, its index entries
// and its events in the binary log.
const writeWeight = 1

// Writes returns the buckets that count a write of that many bytes by an account.
func (q Quotas) Writes(user User, bytes int, now time.Time) []Bucket {
	var buckets []Bucket
	if q.AccountWrites > 0 {
		buckets = append(buckets, daily(fmt.Sprintf("writes account %d", user.ID), q.AccountWrites, 1))
	}
	if q.SiteText > 0 {
		weight := writeWeight + (bytes+999)/1000
		shard := rand.N(siteShards)
		site := func(who string, all int) Bucket {
			return daily(fmt.Sprintf("text %s %d", who, shard), max(all/siteShards, 1), weight)
		}
		buckets = append(buckets, daily(fmt.Sprintf("text account %d", user.ID), max(q.SiteText/accountShare, 1), weight), site("site", q.SiteText))
		if now.Sub(user.CreatedAt) < newcomer {
			buckets = append(buckets, site("newcomers", q.SiteText/newcomerShare))
		}
	}
	return buckets
}

// SignUps returns the buckets that count a sign-up. network is where it comes from, or "" if that is unknown.
func (q Quotas) SignUps(network string) []Bucket {
	if q.SiteAccounts == 0 {
		return nil
	}
	buckets := []Bucket{daily("accounts site", q.SiteAccounts, 1)}
	if network != "" {
		buckets = append(buckets, daily("accounts network "+network, max(q.SiteAccounts/networkShare, 1), 1))
	}
	return buckets
}

func daily(name string, burst, weight int) Bucket {
	return Bucket{Name: name, Burst: burst, Interval: 24 * time.Hour / time.Duration(burst), Weight: weight}
}

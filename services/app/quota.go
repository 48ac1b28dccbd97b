package app

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Quotas bound what visitors can make the site keep. Those for a day are buckets: so much at once, and as much again
// until the same time tomorrow. 0 is no bound.
type Quotas struct {
	AccountPosts  int // that one account may have
	AccountWrites int // posts, edits and new names of one account in a day
	SiteText      int // thousands of bytes of them in a day, all accounts together
	SiteAccounts  int // sign-ups in a day
}

// Shares of what the whole site may keep. One account cannot keep all others from writing, and neither can any number of
// new ones; nor can one network keep others from signing up.
const (
	accountShare  = 100 // an account may write a hundredth of SiteText
	newcomerShare = 4   // all accounts younger than newcomer together a quarter
	newcomer      = 24 * time.Hour
	networkShare  = 10 // a network may make a tenth of SiteAccounts
)

// siteShards is into how many buckets those of the whole site are divided. A write locks its buckets until it is on disk:
// with one for all, the site would write one post at a time. Each write takes one of them at random, so that what is left
// at the end, when some are full and some are not, is a few hundredths.
const siteShards = 16

// writeWeight is what a write takes beside its text, in thousands of bytes: its row, its place in each index and its
// events in the binary log.
const writeWeight = 1

// Writes returns the buckets in which an account's write of that many bytes is counted.
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

// SignUps returns the buckets in which a sign-up is counted. network is where it comes from, empty if that is not known.
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

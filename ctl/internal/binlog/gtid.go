package binlog

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A GTID names a transaction: by the server that committed it first, an optional tag, and a number.
type GTID struct {
	Source string // the server's UUID and, after a colon, the tag, if any
	Number int64
}

func (g GTID) String() string { return g.Source + ":" + strconv.FormatInt(g.Number, 10) }

// A Set is a set of GTIDs. For each source it holds sorted intervals that neither touch nor overlap. The zero value is
// empty.
type Set struct{ of map[string][]interval }

type interval struct{ first, last int64 }

var (
	uuids = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	tag   = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,31}$`)
)

// ParseSet reads a set as MySQL writes it: uuid[:tag]:first[-last][:first[-last]]..., separated by commas.
func ParseSet(text string) (Set, error) {
	var set Set
	wrong := fmt.Errorf("%q is no set of GTIDs", text)
	text = strings.TrimPrefix(text, "+") // as in a dump
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		uuid, rest, _ := strings.Cut(strings.ToLower(part), ":")
		source := uuid
		for field := range strings.SplitSeq(rest, ":") {
			low, high, ranged := strings.Cut(field, "-")
			first, err := strconv.ParseInt(low, 10, 64)
			if err != nil { // not a number, so it must be a tag
				if ranged || !tag.MatchString(field) {
					return set, wrong
				}
				source = uuid + ":" + field
				continue
			}
			last := first
			if ranged {
				if last, err = strconv.ParseInt(high, 10, 64); err != nil {
					return set, wrong
				}
			}
			if first < 1 || last < first || last == math.MaxInt64 {
				return set, wrong
			}
			set.add(source, interval{first, last})
		}
		if !uuids.MatchString(uuid) {
			return set, wrong
		}
	}
	return set, nil
}

// Add adds a GTID to the set.
func (s *Set) Add(g GTID) { s.add(g.Source, interval{g.Number, g.Number}) }

func (s *Set) add(source string, new interval) {
	if s.of == nil {
		s.of = map[string][]interval{}
	}
	all := s.of[source]
	if n := len(all); n > 0 && all[n-1].last+1 == new.first { // nearly always
		all[n-1].last = new.last
		return
	}
	all = append(all, new)
	slices.SortFunc(all, func(a, b interval) int { return int(min(max(a.first-b.first, -1), 1)) })
	merged := all[:1]
	for _, next := range all[1:] {
		if end := &merged[len(merged)-1]; next.first <= end.last+1 {
			end.last = max(end.last, next.last)
		} else {
			merged = append(merged, next)
		}
	}
	s.of[source] = merged
}

// AddAll adds all GTIDs of another set to this one.
func (s *Set) AddAll(other Set) {
	for source, all := range other.of {
		for _, one := range all {
			s.add(source, one)
		}
	}
}

// Clone returns an independent copy.
func (s Set) Clone() Set {
	var copied Set
	copied.AddAll(s)
	return copied
}

// Has reports whether a GTID is in the set.
func (s Set) Has(g GTID) bool {
	return slices.ContainsFunc(s.of[g.Source], func(one interval) bool { return one.first <= g.Number && g.Number <= one.last })
}

// Equal reports whether both sets hold the same GTIDs.
func (s Set) Equal(other Set) bool { return s.String() == other.String() }

// Subset reports whether the other set contains all GTIDs of this one.
func (s Set) Subset(other Set) bool {
	both := other.Clone()
	both.AddAll(s)
	return both.Equal(other)
}

// Count returns the number of GTIDs in the set.
func (s Set) Count() (n int64) {
	for _, all := range s.of {
		for _, one := range all {
			n += one.last - one.first + 1
		}
	}
	return n
}

// String returns the set in the form that MySQL accepts.
func (s Set) String() string {
	var parts []string
	for _, source := range slices.Sorted(maps.Keys(s.of)) {
		var text strings.Builder
		text.WriteString(source)
		for _, one := range s.of[source] {
			fmt.Fprintf(&text, ":%d", one.first)
			if one.last > one.first {
				fmt.Fprintf(&text, "-%d", one.last)
			}
		}
		parts = append(parts, text.String())
	}
	return strings.Join(parts, ",")
}

func formatUUID(raw []byte) string {
	h := hex.EncodeToString(raw)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

package images

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/stack"
)

// CacheBound is how many bytes of build cache our builds may leave behind: some twenty builds. Each leaves its compiled
// output twice, once from the step that compiled it and once as the layer of an image.
const CacheBound = 1_000_000_000

// mark is part of the compile command in each of our Dockerfiles, so the builder's record of that step contains it too.
const mark = "BUILT_FOR=oneserver "

// TrimCache removes our oldest builds from the engine's build cache until the rest fits into a bound. All builds of the
// engine share one cache, and no filter of `docker builder prune` tells one project from another, so TrimCache removes only
// records whose ids are known to be ours. It does not touch the caches that Go keeps: other builds share them, and Go trims
// them itself.
func TrimCache(ctx context.Context, s *stack.Stack, bound int64) error {
	cli, err := ForBuilds(ctx, s)
	if err != nil {
		return err
	}
	listed, err := cli.Output(ctx, "buildx", "du", "--verbose")
	if err != nil {
		return err
	}
	for _, id := range beyond(parseCache(listed), bound) {
		if _, err := cli.Output(ctx, "buildx", "prune", "--force", "--filter", "id="+id); err != nil {
			return fmt.Errorf("remove what old builds of the application have left: %w", err)
		}
	}
	return nil
}

// record is an entry of the build cache.
type record struct {
	id, description string
	created         time.Time
	size            int64 // bytes, to three digits
	shared          bool  // whether an image uses it too
}

// parseCache reads `docker buildx du --verbose`.
func parseCache(listed string) (all []record) {
	for block := range strings.SplitSeq(strings.ReplaceAll(listed, "\r\n", "\n"), "\n\n") {
		var r record
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			switch name {
			case "ID":
				r.id = value
			case "Created at":
				r.created, _ = time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", value) // without a valid time, it matches no build of ours
			case "Size":
				r.size = parseSize(value)
			case "Shared":
				r.shared = value == "true"
			case "Description":
				r.description = value
			}
		}
		if r.id != "" && !r.created.IsZero() {
			all = append(all, r)
		}
	}
	return all
}

var sizeParts = regexp.MustCompile(`^([0-9.]+)([kMGT]?)B$`)

func parseSize(text string) int64 {
	parts := sizeParts.FindStringSubmatch(text)
	if parts == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(parts[1], 64) // the pattern admits nothing else that matters
	return int64(n * map[string]float64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[parts[2]])
}

// copiedWithin is the longest time from the start of a compilation until its output is copied into an image.
const copiedWithin = 15 * time.Minute

// beyond returns the records of our builds that do not fit into a bound when the newest builds come first.
func beyond(all []record, bound int64) (ids []string) {
	slices.SortFunc(all, func(a, b record) int { return b.created.Compare(a.created) })
	var sum int64
	for _, compiled := range all {
		if !strings.Contains(compiled.description, mark) {
			continue
		}
		// The record of a COPY does not say which build it belongs to. This build's copy is the only record of that size
		// from that time; if there are several, it is unknown which.
		var copies []record
		for _, r := range all {
			near := r.size - compiled.size
			if r.description == "fileop target" && !r.created.Before(compiled.created) && r.created.Sub(compiled.created) < copiedWithin &&
				max(near, -near) < compiled.size/100 {
				copies = append(copies, r)
			}
		}
		build := []record{compiled}
		if len(copies) == 1 {
			build = append(build, copies[0])
		}
		for _, r := range build {
			sum += r.size
			if sum > bound && !r.shared {
				ids = append(ids, r.id)
			}
		}
	}
	return ids
}

package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Image is the result of `docker image inspect`.
type Image struct {
	ID           string `json:"Id"`
	Architecture string // as Go names it
	Size         int64  // bytes
	Config       struct {
		Labels map[string]string
	}
}

// Images returns those of the named images that the engine has, keyed by name.
func (c CLI) Images(ctx context.Context, names ...string) (map[string]Image, error) {
	here := map[string]Image{}
	for _, name := range names {
		out, err := c.Output(ctx, "image", "inspect", name)
		if err != nil {
			if strings.Contains(strings.ToLower(err.Error()), "no such image") {
				continue
			}
			return nil, err
		}
		var list []Image
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return nil, fmt.Errorf("docker image inspect %s: %w", name, err)
		}
		if len(list) > 0 {
			here[name] = list[0]
		}
	}
	return here, nil
}

// Absent returns the names that Images did not find, in their order.
func Absent(here map[string]Image, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, is := here[name]
		return is
	})
}

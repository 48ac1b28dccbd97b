package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Image is what `docker image inspect` says.
type Image struct {
	ID           string `json:"Id"`
	Architecture string // as Go names it
	Size         int64  // bytes
}

// Images returns those of the images that the engine has, by the names that were asked for.
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

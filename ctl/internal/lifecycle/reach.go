package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/doctor"
	"oneserver/ctl/internal/reach"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// answeredWithin is how long a stack whose containers are healthy may take to answer at its ports.
const answeredWithin = 10 * time.Second

// reachable sends a visitor's requests to the published ports of a healthy stack. If a container's port is dead, it restarts
// that container, once; the engine then opens the port again.
func reachable(ctx context.Context, s *stack.Stack, settings stack.Settings, out *os.File, tell *terminal.Teller) error {
	local, err := doctor.Local(ctx, s)
	if err != nil || !local {
		return err // the ports are on another machine
	}
	for mended := false; ; mended = true {
		answers, err := reach.Ask(ctx, settings, answeredWithin)
		if err != nil {
			return err
		}
		var dead, wrong []string
		for _, answer := range answers {
			if answer.Err == nil {
				continue
			}
			wrong = append(wrong, fmt.Sprintf("%s at %s: %v", answer.What, answer.Port, answer.Err))
			if answer.Dead && !slices.Contains(dead, answer.Service) {
				dead = append(dead, answer.Service)
			}
		}
		switch {
		case len(wrong) == 0:
			return nil
		case mended || len(dead) == 0:
			return errors.New("the containers are healthy, and yet a visitor is not answered: " + strings.Join(wrong, "; ") +
				"\nlook at make logs; what also stands in the way is a firewall of this machine, or another program that answers on this port")
		}
		tell.Say("%s, though it is healthy: starting %s anew", strings.Join(wrong, "; "), strings.Join(dead, " and "))
		if _, err := s.Compose(ctx, append([]string{"restart"}, dead...)...); err != nil {
			return fmt.Errorf("%w; make doctor says more", err)
		}
		if err := start(ctx, s, out); err != nil {
			return err
		}
	}
}

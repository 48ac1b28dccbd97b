package drill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

// spof is the first of the three issues: any part that stops takes down the site, or a piece of it. If a part is killed
// again within 10 s, the engine restarts it only after a pause. For that reason, the drill kills all parts together only at
// the end.
var spof = []action{
	kill("dns"), kill("web"), kill("app"), kill("db"),
	freeze("dns"), freeze("web"), freeze("app"), freeze("db"),
	killAll,
}

func kill(service string) action {
	return action{
		name:  "kill-" + service,
		title: "kill -9 " + service,
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			return d.stack.prepareKill(ctx, u, service)
		},
	}
}

var killAll = action{
	name:  "kill-all",
	title: "kill -9 everything",
	prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
		return d.stack.prepareKill(ctx, u, stack.Services...)
	},
}

// frozen is how long a part is frozen: longer than a visitor is willing to wait, but shorter than most of the other
// parts' time limits.
const frozen = 5 * time.Second

func freeze(service string) action {
	return action{
		name:  "freeze-" + service,
		title: fmt.Sprintf("freeze %s %.0f s", service, frozen.Seconds()),
		note:  "A part that hangs is restarted by nobody; the drill ended the pause.",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			victims, err := d.stack.Containers(ctx, service)
			if err != nil {
				return prepared{}, err
			}
			id := victims[0].ID
			thaw := func(ctx context.Context) error {
				victims, err := d.stack.Containers(ctx, service)
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(victims, func(c docker.Container) bool { return c.ID == id && c.State.Status == "paused" }) {
					return nil
				}
				_, err = d.stack.Output(ctx, "unpause", id)
				return err
			}
			u.later("unpause "+service, thaw)
			return prepared{run: func(ctx context.Context) error {
				if _, err := d.stack.Output(ctx, "pause", id); err != nil {
					return err
				}
				if err := wait.For(ctx, frozen); err != nil {
					return err
				}
				return thaw(ctx)
			}}, nil
		},
	}
}

// prepareKill prepares to end the main process of one container of each of these services as the kernel would: the signal
// comes from outside the container, and the engine does not know that it was deliberate (after `docker kill` it would not
// restart the container).
func (s *Stack) prepareKill(ctx context.Context, u *undo, victims ...string) (prepared, error) {
	all, err := s.Containers(ctx)
	if err != nil {
		return prepared{}, err
	}
	before := map[string]time.Time{} // when each was started, by id
	var pids []string
	for _, service := range victims {
		i := slices.IndexFunc(all, func(c docker.Container) bool { return c.Service() == service })
		if i < 0 || all[i].State.Pid == 0 {
			return prepared{}, fmt.Errorf("%s is not running", service)
		}
		before[all[i].ID] = all[i].State.StartedAt
		pids = append(pids, strconv.Itoa(all[i].State.Pid))
	}
	cmd := s.Command(ctx, slices.Concat([]string{"run", "--rm", "--interactive"}, docker.Confined, []string{"--pid", "host", "--network", "none",
		"--cap-add", "KILL", "--user", "0", "--entrypoint", "sh", s.project.Services["web"].Image,
		"-c", "echo ready; read -r go && kill -9 " + strings.Join(pids, " ") + " && echo killed"})...)
	trigger, stdout, err := docker.StartPiped(cmd)
	if err != nil {
		return prepared{}, err
	}
	u.later("end the killer", func(context.Context) error {
		_ = trigger.Close() // without its order, the process kills nothing
		_ = cmd.Wait()      // how its container ended does not matter
		return nil
	})
	said := bufio.NewReader(stdout)
	expect := func(word string) error {
		line, err := said.ReadString('\n')
		if strings.TrimSpace(line) != word {
			return fmt.Errorf("the container that sends the signal says %q: %w", line, errors.Join(err, ctx.Err()))
		}
		return nil
	}
	if err := expect("ready"); err != nil {
		return prepared{}, err
	}
	return prepared{
		run: func(context.Context) error {
			if _, err := trigger.Write([]byte("go\n")); err != nil {
				return err
			}
			return expect("killed")
		},
		recovered: func(now []docker.Container) error {
			for _, c := range now {
				if started, killed := before[c.ID]; killed && c.State.StartedAt.Equal(started) {
					return fmt.Errorf("%s was not started again", c.Service())
				}
			}
			return nil
		},
	}, nil
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/binlog"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/wait"
)

const (
	// cameBackWithin is how long a database may take to answer after its server has power again.
	cameBackWithin = 45 * time.Second
	// rejoinWithin is how long the others may take to join the group that was formed again.
	rejoinWithin = 3 * time.Minute
)

// Recover forms the group again after all its members were lost, from the one that has every transaction of all. It does so
// only if nobody is in the group and every server answers, or all but those that a person has given up (without).
func Recover(ctx context.Context, here *stack.Stack, name string, without []string, to *os.File) error {
	c, unlock, err := openLocked(here, name)
	if err != nil {
		return err
	}
	defer unlock()
	for _, letter := range without {
		if !slices.Contains(letters, letter) {
			return fmt.Errorf("--without takes a server, %s, and not %q", strings.Join(letters, " or "), letter)
		}
	}
	out := images.NewRunner(terminal.NewTeller(to))
	if c.Nested() {
		out.Begin("starting the servers that do not run")
		if err := c.makeNetwork(ctx); err != nil {
			return out.Fail(err)
		}
		if err := each(ctx, but(c.Servers, without), c.startServer); err != nil {
			return out.Fail(err)
		}
		out.End()
	}

	// After cluster-down there are none. What cannot be started does not answer below.
	_ = each(ctx, but(c.Servers, without), func(ctx context.Context, one Server) error {
		ctx, cancel := context.WithTimeout(ctx, mysqldWithin)
		defer cancel()
		_, err := c.on[one.Letter].Compose(ctx, "up", "--detach", "--no-recreate", "db")
		return err
	})
	out.Begin("asking the databases")
	var found map[string]facts
	var silent map[string]error
	standing := false
	err = wait.Until(ctx, cameBackWithin, time.Second, func(ctx context.Context) error {
		found, silent = c.askAll(ctx)
		if standing = latest(found).quorum(); standing {
			return nil
		}
		for _, one := range c.Servers {
			if err := silent[one.Letter]; err != nil && !slices.Contains(without, one.Letter) {
				return err
			}
			if state := found[one.Letter].State; state == "ONLINE" || state == "RECOVERING" {
				return fmt.Errorf("%s is %s and sees no majority; within 10 s it notices that", one.Database(), state)
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return out.Fail(err)
	}
	out.End()
	if standing {
		g := latest(found)
		_, err := fmt.Fprintf(to, "The group stands, with the primary %s: there is nothing to recover. A database that is not in it comes back by itself;\nmake cluster-status shows it.\n", g.Primary)
		return err
	}
	chosen, err := choose(c.Servers, found, silent, without)
	if err != nil {
		return err
	}
	out.Say("%s has every transaction that any of the databases has", chosen.Database())
	out.Begin("forming the group with %s", chosen.Database())
	if err := c.bootstrap(ctx, chosen); err != nil {
		return out.Fail(err)
	}
	out.Done("formed the group: %s accepts writes", chosen.Database())
	out.Begin("waiting for the others to join")
	if err := wait.Until(ctx, rejoinWithin, time.Second, func(ctx context.Context) error {
		found, silent := c.askAll(ctx)
		for _, one := range but(c.others(chosen), without) {
			if err := silent[one.Letter]; err != nil {
				return err
			}
			if state := found[one.Letter].State; state != "ONLINE" {
				return fmt.Errorf("%s is %s", one.Database(), state)
			}
		}
		return nil
	}); err != nil {
		return out.Fail(fmt.Errorf("%w; the group accepts writes, and make cluster-status shows its members", err))
	}
	out.Done("the others have joined")
	_, err = fmt.Fprintf(to, "The applications follow with: make cluster\n")
	return err
}

// but returns the servers that are not left out.
func but(servers []Server, without []string) []Server {
	return slices.DeleteFunc(slices.Clone(servers), func(one Server) bool { return slices.Contains(without, one.Letter) })
}

// choose returns the server whose database has everything that any database has. If there is none, or one of them cannot be
// asked, the error says what a person can decide.
func choose(servers []Server, found map[string]facts, silent map[string]error, without []string) (Server, error) {
	var asked []Server
	var errs []error
	for _, one := range servers {
		f, answers := found[one.Letter]
		switch {
		case slices.Contains(without, one.Letter):
			if answers {
				errs = append(errs, fmt.Errorf("%s answers, so it must not be left out: stop server %s first if what only it has may be lost", one.Database(), one.Letter))
			}
		case !answers:
			errs = append(errs, fmt.Errorf("%s does not answer: %w\nWhat only it has would be lost. Bring server %s back and try again; or, if it is gone for good:\n  bin/oneserver cluster-recover --without %[3]s",
				one.Database(), silent[one.Letter], one.Letter))
		case f.State == "ONLINE" || f.State == "RECOVERING":
			errs = append(errs, fmt.Errorf("%s says that it is %s: try again in half a minute", one.Database(), f.State))
		default:
			asked = append(asked, one)
		}
	}
	if len(errs) > 0 {
		return Server{}, fmt.Errorf("the group is not formed again: %w", errors.Join(errs...))
	}
	if len(without) > 1 {
		return Server{}, errors.New("the group is not formed again: two servers that cannot be asked may be a group that goes on, so at most one may be left out. " +
			"If both are gone for good, put empty servers in their place with make cluster, which ends by naming this command, and then run it without --without")
	}
	if !slices.ContainsFunc(asked, func(one Server) bool { return !found[one.Letter].Fresh }) {
		return Server{}, errors.New("none of the databases has ever been in the group: make cluster forms it")
	}
	var lack []string
	for _, one := range asked {
		its := found[one.Letter].has()
		complete := !found[one.Letter].Fresh
		for _, other := range asked {
			theirs := found[other.Letter].has()
			if all := union(its, theirs); !all.Equal(its) {
				complete = false
				lack = append(lack, fmt.Sprintf("%s lacks %d transactions that %s has", one.Database(), all.Count()-its.Count(), other.Database()))
			}
		}
		if complete {
			return one, nil
		}
	}
	return Server{}, fmt.Errorf("the group is not formed again: no database has everything.\n  %s\nA person must decide which of them to keep, and look at the others first "+
		"(docker compose exec db on each server). On the servers that lose, save what only they have, and then: docker compose down, docker volume rm %s, docker compose up --detach db. "+
		"Such a database counts as empty, and make cluster-recover goes on with the one that is left",
		strings.Join(lack, "\n  "), dataVolume)
}

func union(a, b binlog.Set) binlog.Set {
	all := a.Clone()
	all.AddAll(b)
	return all
}

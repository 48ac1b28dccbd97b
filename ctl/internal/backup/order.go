package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/binlog"
)

// inOrder compares two backups, for sorting. Backups of one server are sorted by their place in its binary log, because its
// clock may have been set back. Backups of different servers have no order, but each server's stay together.
func inOrder(a, b Backup) int {
	return cmp.Or(
		strings.Compare(a.ServerUUID, b.ServerUUID),
		cmp.Compare(a.Epoch, b.Epoch),
		a.Log.compare(b.Log),
		a.Taken.Compare(b.Taken))
}

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(number(p.File), number(q.File)), cmp.Compare(p.At, q.At))
}

// of returns the backups of one server, in the order of the list.
func of(all []Backup, uuid string) []Backup {
	return slices.DeleteFunc(slices.Clone(all), func(b Backup) bool { return b.ServerUUID != uuid })
}

// contradiction returns an error if two backups of one server, which are sorted, cannot belong to the same binary log.
func contradiction(ours []Backup) error {
	for i := 1; i < len(ours); i++ {
		a, b := ours[i-1], ours[i]
		if a.Epoch != b.Epoch {
			continue
		}
		why := ""
		within, err := subset(a.GTIDs, b.GTIDs)
		switch {
		case err != nil:
			return fmt.Errorf("%s or %s is damaged: %w", a.name(), b.name(), err)
		case !within:
			why = "lacks transactions of it"
		case a.Log.File == b.Log.File && !a.LogBegan.IsZero() && !b.LogBegan.IsZero() && !a.LogBegan.Equal(b.LogBegan):
			why = "is of another " + a.Log.File
		default:
			continue
		}
		return fmt.Errorf("the backups %s (%s) and %s (%s) contradict each other: by the binary log the second is the later one, and it %s. Either the binary log was begun anew between them (RESET BINARY LOGS), or they are of two servers with one UUID: keep one of them elsewhere, or say which is meant with FILE=…",
			a.name(), a.Log, b.name(), b.Log, why)
	}
	return nil
}

// setBack returns an error if, of two backups of one server, the binary log and the clock disagree about which one is later.
func setBack(ours []Backup) error {
	for i := 1; i < len(ours); i++ {
		if a, b := ours[i-1], ours[i]; b.Taken.Before(a.Taken) {
			return fmt.Errorf("the backup %s is later than %s by the binary log (%s, %s), and by the clock it is earlier (%s, %s): the clock was wrong or was set back. Say which is meant with FILE=…",
				b.name(), a.name(), b.Log, a.Log, stamp(b.Taken), stamp(a.Taken))
		}
	}
	return nil
}

func (p Position) String() string { return fmt.Sprintf("%s, position %d", p.File, p.At) }

// newest returns the last backup that is no newer than a moment, or the last one if no moment is given. If it is not clear
// which one that is, the error says why: a restore never guesses. here is the UUID of the running server.
func newest(all []Backup, here string, to time.Time) (Backup, error) {
	var found []Backup // the newest of each server
	for len(all) > 0 {
		ours := of(all, all[0].ServerUUID)
		all = all[len(ours):]
		if err := errors.Join(contradiction(ours), setBack(ours)); err != nil {
			return Backup{}, err
		}
		for _, b := range slices.Backward(ours) {
			if to.IsZero() || !to.Before(b.Taken) {
				found = append(found, b)
				break
			}
		}
	}
	switch len(found) {
	case 0:
		return Backup{}, errNone
	case 1:
		return found[0], nil
	}
	slices.SortFunc(found, func(a, b Backup) int { return b.Taken.Compare(a.Taken) })
	if found[0].ServerUUID == here {
		return found[0], nil
	}
	var names []string
	for _, b := range found {
		names = append(names, fmt.Sprintf("%s (server %s)", b.name(), b.ServerUUID))
	}
	return Backup{}, fmt.Errorf("there are backups of %d servers, and clocks alone say which is the newest: say which is meant with FILE=…: %s", len(found), strings.Join(names, ", "))
}

// Fresh returns why a folder has no undamaged backup of a server from the last day, or nil if it has one.
func Fresh(ctx context.Context, dir, uuid string) error {
	all, _, err := list(dir)
	if err != nil {
		return err
	}
	now, wrong := time.Now(), fmt.Errorf("%s has no backup of the last day", dir)
	for _, b := range slices.Backward(of(all, uuid)) {
		if b.Taken.After(now) || now.Sub(b.Taken) > 24*time.Hour {
			continue
		}
		if wrong = b.verify(ctx); wrong == nil {
			return nil
		}
	}
	return wrong
}

var errNone = errors.New("no backup is that old")

// subset reports whether one GTID set, as MySQL writes it, contains all transactions of another.
func subset(small, large string) (bool, error) {
	a, err := binlog.ParseSet(small)
	if err != nil {
		return false, err
	}
	b, err := binlog.ParseSet(large)
	return err == nil && a.Subset(b), err
}

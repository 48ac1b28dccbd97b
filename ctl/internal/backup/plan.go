package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"

	"oneserver/ctl/internal/binlog"
	"oneserver/ctl/internal/terminal"
)

// A plan says which transactions to replay after the dump: those before the chosen moment in the binary logs.
type plan struct {
	logs     []archived
	stop     *binlog.GTID // the first one to leave out; none if the logs end before the moment
	expected binlog.Set   // all transactions that must be there in the end, including those in the dump
	skipped  binlog.Set   // the expected ones that do not concern the site and are not carried out
	changes  int          // the number of transactions that are carried out
	defines  bool         // whether some of them may change the definitions of tables
}

// An archived pairs a binary log with the backup that contains it.
type archived struct {
	Log
	of Backup
}

func (l archived) open(ctx context.Context, identities []age.Identity) (io.ReadCloser, error) {
	return unseal(ctx, filepath.Join(l.of.Dir, l.File), identities, nil)
}

// chain returns the logs that follow a backup without a gap: its own and those of later backups of the same server. It also
// returns the time up to which they contain every change.
func chain(b Backup, all []Backup) (logs []archived, until time.Time, err error) {
	until = b.Taken
	next := number(b.Log.File)
	here, err := os.Stat(b.Dir)
	if err != nil {
		return nil, until, err
	}
	itself := func(c Backup) bool { // compares folders, since a path can be written in several ways
		there, err := os.Stat(c.Dir)
		return err == nil && os.SameFile(here, there)
	}
	follows := func(c Backup) bool {
		return itself(c) || c.ServerUUID == b.ServerUUID && c.Epoch == b.Epoch && b.Log.compare(c.Log) <= 0
	}
	if !slices.ContainsFunc(all, itself) {
		all = []Backup{b} // the backup is stored elsewhere
	}
	for _, c := range all {
		if !follows(c) {
			continue
		}
		kept, err := c.logs()
		if err != nil {
			return nil, until, err
		}
		for _, log := range kept.Files {
			switch n := number(log.Name); {
			case n > next:
				return nil, until, fmt.Errorf("the binary log before %s is missing: neither %s nor a later backup has it", log.Name, b.Dir)
			case n == next:
				logs, until = append(logs, archived{log, c}), kept.Until
				next++
			}
		}
		if number(c.Log.File) < next && kept.Until.After(until) { // the chain reaches this backup
			until = kept.Until
		}
	}
	return logs, until, nil
}

// prepare reads the logs after a backup, finds the moment in them, and decides what to carry out. It changes nothing. It
// keeps the transactions in the order of the log, whatever the clock said. If the log's order and the clock disagree about
// the moment, it returns an error.
func prepare(ctx context.Context, say *terminal.Teller, b Backup, all []Backup, to time.Time, identities []age.Identity) (plan, error) {
	var p plan
	logs, until, err := chain(b, all)
	if err != nil {
		return p, err
	}
	dumped, err := binlog.ParseSet(b.GTIDs)
	if err != nil {
		return p, fmt.Errorf("%s is damaged: %w", b.Dir, err)
	}
	if b.Taken.Before(b.LogBegan) {
		return p, fmt.Errorf("%s was taken at %s, and the binary log that it is of begins at %s: clocks contradict each other, and no moment can be found in it", b.name(), stamp(b.Taken), stamp(b.LogBegan))
	}
	s := scan{b: b, to: to, dumped: dumped, seen: dumped}
	s.plan.expected = dumped.Clone()
	say.Now("looking for %s in the binary logs (%d)", stamp(to), len(logs))
	for i, log := range logs {
		say.Show("%s", log.Name)
		if err := log.of.compare(ctx, log.File, log.SHA256); err != nil {
			return p, err
		}
		if err := s.read(ctx, log, i == 0, identities); err != nil {
			return p, fmt.Errorf("in the binary log %s of %s: %w", log.Name, log.of.name(), err)
		}
		if s.plan.stop == nil {
			s.plan.logs = logs[:i+1]
		}
	}
	if s.plan.stop != nil {
		s.plan.logs = logs[:s.last+1]
		return s.plan, nil
	}
	if len(logs) > 0 {
		if s.closed.IsZero() {
			return p, fmt.Errorf("the binary log %s is cut off: its end is not there", logs[len(logs)-1].Name)
		}
		if end := s.closed.Add(time.Second); end.Before(until) { // the log's times are in whole seconds
			until = end
		}
	}
	if to.After(until) {
		return p, fmt.Errorf("what is known after the backup %s ends at %s: take an earlier moment or another backup", b.name(), stamp(until))
	}
	return s.plan, nil
}

// A scan goes through the logs of a chain.
type scan struct {
	b            Backup
	to           time.Time
	dumped, seen binlog.Set // those in the dump; those in the logs up to here and before them
	plan         plan
	last         int // the log that contains the stop
	at           int // the log that is being read
	stopped      time.Time
	where        string // describes the stop, in messages
	closed       time.Time
}

func (s *scan) read(ctx context.Context, log archived, first bool, identities []age.Identity) error {
	in, err := log.open(ctx, identities)
	if err != nil {
		return err
	}
	defer in.Close()
	var own binlog.Set
	end, err := binlog.Read(in, schema, func(t binlog.Transaction) error {
		own.Add(t.GTID)
		before := first && t.At < int64(s.b.Log.At)
		if err := s.take(t, before, log.Name); err != nil {
			return fmt.Errorf("%w (transaction %s, position %d)", err, t.GTID, t.At)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if end.Size != log.Size {
		return fmt.Errorf("it has %d bytes, and had %d", end.Size, log.Size)
	}
	switch {
	case first && !s.b.LogBegan.IsZero() && !end.Began.Equal(s.b.LogBegan):
		return fmt.Errorf("it was begun at %s, and the one that the backup is of at %s: it is of another server, or the binary log was begun anew", stamp(end.Began), stamp(s.b.LogBegan))
	case first && int64(s.b.Log.At) > end.Size:
		return fmt.Errorf("it ends before the backup's place in it, position %d: it is of another server, or the binary log was begun anew", s.b.Log.At)
	case first && !end.Previous.Subset(s.dumped):
		return errors.New("it goes on from transactions that the backup does not have: it is of another server, or the binary log was begun anew")
	case !first && !end.Previous.Equal(s.seen):
		return errors.New("it does not go on where the one before it ends: it is of another server, or the binary log was begun anew")
	}
	s.seen = end.Previous.Clone()
	s.seen.AddAll(own)
	s.closed = end.Closed
	s.at++
	return nil
}

// take adds the next transaction to the scan. before is set if it precedes the backup's place in the log.
func (s *scan) take(t binlog.Transaction, before bool, log string) error {
	concerns := t.Effect != binlog.None
	switch {
	case before && !t.Committed.Before(s.to) && concerns:
		return fmt.Errorf("it is in the backup %s and was committed at %s, which is not before %s: clocks contradict each other; take an earlier backup, with FILE=…", s.b.name(), stamp(t.Committed), stamp(s.to))
	case before && concerns && !s.dumped.Has(t.GTID):
		return fmt.Errorf("it comes before the backup's place in the log (position %d), and the backup does not have it: the manifest of %s contradicts the log", s.b.Log.At, s.b.name())
	case before:
		return nil
	case s.dumped.Has(t.GTID) && concerns:
		return fmt.Errorf("it comes after the backup's place in the log (position %d), and the backup has it already: the manifest of %s contradicts the log", s.b.Log.At, s.b.name())
	case s.dumped.Has(t.GTID):
		return nil // of another schema, committed while the dump began
	case s.plan.stop != nil:
		if t.Committed.Before(s.to) && concerns {
			return fmt.Errorf("it was committed at %s, and before it in the log comes one of %s (%s): the clock was set back, so that %s came twice. Take a moment before %[1]s or after %[2]s", stamp(t.Committed), stamp(s.stopped), s.where, stamp(s.to))
		}
		return nil
	case !t.Committed.Before(s.to):
		gtid := t.GTID
		s.plan.stop, s.last, s.stopped, s.where = &gtid, s.at, t.Committed, fmt.Sprintf("%s, position %d", log, t.At)
		return nil
	case t.Effect == binlog.Moves:
		return fmt.Errorf("at %s, before that moment, the site was restored, or its tables were moved between schemas by hand: take a backup that was made after it, or an earlier moment", stamp(t.Committed))
	case t.Effect == binlog.Unclear:
		return fmt.Errorf("at %s, before that moment, there is what cannot be carried out apart from what else it changes: take a backup that was made after it, or an earlier moment. It is %s", stamp(t.Committed), t.Why)
	}
	s.plan.expected.Add(t.GTID)
	if concerns {
		s.plan.changes++
		s.plan.defines = s.plan.defines || t.Statement
	} else {
		s.plan.skipped.Add(t.GTID)
	}
	return nil
}

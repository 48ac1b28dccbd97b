package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"oneserver/ctl/internal/terminal"
)

// archive adds to each backup of this server the binary logs that lead from it to the next one, or to now, as far as
// they are not there yet. The server keeps a log for seven days; the log in use is closed first, since only a closed
// one no longer changes. A log is encrypted as its backup is, or else to these recipients: somebody who has begun to use a
// key wants no more plain text.
func (d database) archive(ctx context.Context, say *terminal.Teller, here server, backups []Backup, recipients []string) error {
	until := time.Now().UTC()
	rows, err := d.ask(ctx, "FLUSH BINARY LOGS; SHOW BINARY LOGS")
	if err != nil {
		return err
	}
	sizes := map[int]int64{} // of the closed ones, by number
	for _, row := range rows[:max(0, len(rows)-1)] {
		size, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			return fmt.Errorf("SHOW BINARY LOGS: %w", err)
		}
		sizes[number(row[0])] = size
	}
	if len(sizes) == 0 {
		return fmt.Errorf("the server has no closed binary log: it says %q", rows)
	}
	newest := number(rows[len(rows)-2][0])

	ours, err := d.current(ctx, here, backups)
	if err != nil {
		return err
	}
	var errs []error
	for i, b := range ours {
		last, covered := newest, until
		if i+1 < len(ours) {
			last, covered = number(ours[i+1].Log.File), ours[i+1].Taken
		}
		if len(b.Recipients) == 0 {
			b.Recipients = recipients
		}
		if err := d.archiveFor(ctx, say, here, b, last, covered, sizes); err != nil {
			errs = append(errs, fmt.Errorf("the binary logs since %s: %w", b.name(), err))
		}
	}
	return errors.Join(errs...)
}

// archiveFor adds the logs up to the one with the number last to one backup.
func (d database) archiveFor(ctx context.Context, say *terminal.Teller, here server, b Backup, last int, covered time.Time, sizes map[int]int64) error {
	logs, err := b.logs()
	if err != nil {
		return err
	}
	next := number(b.Log.File)
	if n := len(logs.Files); n > 0 {
		next = number(logs.Files[n-1].Name) + 1
	}
	if next > last {
		if covered.After(logs.Until) {
			logs.Until = covered
			return b.writeLogs(logs)
		}
		return nil
	}
	for ; next <= last; next++ {
		name := strings.TrimRight(b.Log.File, "0123456789") + fmt.Sprintf("%06d", next)
		size, there := sizes[next]
		if !there {
			return fmt.Errorf("the server no longer has %s: what was written after %s can be restored from a later backup only", name, stamp(logs.Until))
		}
		say.Now("keeping the binary log %s for %s", name, b.name())
		log := Log{Name: name, File: name + suffix(b.Recipients), Size: size}
		if log.SHA256, err = d.copyLog(ctx, path.Join(here.logDir, name), filepath.Join(b.Dir, log.File), size, b.Recipients); err != nil {
			return err
		}
		logs.Files = append(logs.Files, log)
		if next == last {
			logs.Until = covered
		}
		if err := b.writeLogs(logs); err != nil {
			return err
		}
	}
	return nil
}

func (d database) copyLog(ctx context.Context, from, to string, size int64, recipients []string) (sum string, err error) {
	sealed, err := seal(to+partial, recipients)
	if err != nil {
		return "", err
	}
	var copied int64
	err = d.stream(ctx, "cat", func(ctx context.Context) *exec.Cmd { return d.command(ctx, `exec cat -- "$0"`, from) }, nil, func(out io.Reader) error {
		var err error
		copied, err = io.Copy(sealed, out)
		return err
	})
	if err == nil && copied != size {
		err = fmt.Errorf("%s has %d bytes, and %d were read", from, size, copied)
	}
	if err != nil {
		sealed.abandon()
		return "", errors.Join(err, os.Remove(to+partial))
	}
	if sum, err = sealed.finish(); err != nil {
		return "", err
	}
	return sum, os.Rename(to+partial, to)
}

// number is that of a binary log: 7 of binlog.000007.
func number(name string) int {
	n, _ := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	return n
}

// A plan is what is replayed after the dump.
type plan struct {
	logs         []Log
	stop         uint64 // where in the last of them; 0 is its end
	transactions int
}

// prepare looks where in the logs the moment is, and whether everything up to there can be replayed. It changes nothing.
func (d database) prepare(ctx context.Context, say *terminal.Teller, b Backup, to time.Time, identities []age.Identity) (plan, error) {
	var p plan
	logs, err := b.logs()
	if err != nil {
		return p, err
	}
	if to.After(logs.Until) {
		return p, fmt.Errorf("what is known after the backup %s ends at %s: take an earlier moment or another backup", b.name(), stamp(logs.Until))
	}
	start := b.Log.At
	for i, log := range logs.Files {
		if number(log.Name) != number(b.Log.File)+i {
			return p, fmt.Errorf("%s lacks the binary log before %s", b.Dir, log.Name)
		}
		if err := b.compare(ctx, log.File, log.SHA256); err != nil {
			return p, err
		}
		say.Now("looking for %s in the binary log %s", stamp(to), log.Name)
		found, err := d.scan(ctx, b, log, start, to, identities)
		if err != nil {
			return p, err
		}
		p.logs, p.stop, p.transactions = append(p.logs, log), found.stop, p.transactions+found.transactions
		if found.stop != 0 {
			break
		}
		start = firstEvent
	}
	return p, nil
}

// firstEvent is where every binary log's first event is, after the four bytes that mark it.
const firstEvent = 4

func (d database) scan(ctx context.Context, b Backup, log Log, start uint64, to time.Time, identities []age.Identity) (found scanned, err error) {
	var done int64
	in, err := unseal(ctx, filepath.Join(b.Dir, log.File), identities, &done)
	if err != nil {
		return found, err
	}
	defer in.Close()
	err = d.stream(ctx, "mysqlbinlog", func(ctx context.Context) *exec.Cmd {
		return d.command(ctx, scanScript, strconv.FormatUint(start, 10))
	}, in, func(out io.Reader) error {
		var err error
		found, err = scanLog(out, log.Name, to)
		return err
	})
	return found, err
}

// replay applies the plan to the schema beside the site's.
func (d database) replay(ctx context.Context, say *terminal.Teller, b Backup, p plan, identities []age.Identity) error {
	start := b.Log.At
	for i, log := range p.logs {
		stop := log.Size
		if i == len(p.logs)-1 && p.stop != 0 {
			stop = int64(p.stop)
		}
		if int64(start) >= stop { // the moment is right after the dump
			continue
		}
		say.Now("replaying the binary log %s", log.Name)
		if err := d.replayOne(ctx, b, log, start, stop, identities); err != nil {
			return fmt.Errorf("replay %s: %w", log.Name, err)
		}
		start = firstEvent
	}
	return nil
}

// replayOne gives mysqlbinlog the log up to where it ends: it takes no --stop-position for its standard input.
func (d database) replayOne(ctx context.Context, b Backup, log Log, start uint64, stop int64, identities []age.Identity) error {
	var done int64
	in, err := unseal(ctx, filepath.Join(b.Dir, log.File), identities, &done)
	if err != nil {
		return err
	}
	defer in.Close()
	return d.stream(ctx, "mysqlbinlog", func(ctx context.Context) *exec.Cmd {
		return d.command(ctx, replayScript, strconv.FormatUint(start, 10))
	}, io.LimitReader(in, stop), nil)
}

// scanned is what is found in one log.
type scanned struct {
	stop         uint64 // where the first transaction begins that was committed at the moment or after it; 0 is nowhere
	transactions int    // before it
}

var (
	at        = regexp.MustCompile(`^# at (\d+)`)
	committed = regexp.MustCompile(`^#.*\tGTID\t.*\timmediate_commit_timestamp=(\d+)`)
	// A statement that names the site's schema cannot be carried out in another one. The application and its
	// migrations never do it.
	definition = regexp.MustCompile("(?is)^\\s*(?:(?:/\\*.*?\\*/|--[^\n]*\n)\\s*)*(create|alter|drop|rename|truncate)\\s.*?[\\s`,(]" + schema + "`?(\\s*\\.|\\s*$|\\s|/)")
	swapping   = regexp.MustCompile("(?i)^\\s*RENAME TABLE `" + schema + "`\\.")
)

// scanLog reads what mysqlbinlog prints of a log: each transaction begins with an event that says when it was committed,
// to the microsecond and in the order in which the data saw it, which the seconds of --stop-datetime do not.
func scanLog(text io.Reader, log string, to time.Time) (scanned, error) {
	var (
		found     scanned
		position  uint64
		statement strings.Builder
		lines     = bufio.NewReaderSize(text, 64<<10)
	)
	check := func() error {
		defer statement.Reset()
		switch sql := statement.String(); {
		case swapping.MatchString(sql):
			return fmt.Errorf("before that moment the site was restored (%s, position %d): take a backup that was made after it, or an earlier moment", log, position)
		case definition.MatchString(sql):
			return fmt.Errorf("before that moment there is a statement that names the schema %s (%s, position %d), which cannot be replayed beside it: take a backup that was made after it, or an earlier moment. It is: %.200s", schema, log, position, strings.TrimSpace(sql))
		}
		return nil
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return found, err
		}
		if found.stop == 0 {
			if match := at.FindStringSubmatch(line); match != nil {
				if err := check(); err != nil {
					return found, err
				}
				if position, err = strconv.ParseUint(match[1], 10, 64); err != nil {
					return found, err
				}
			} else if match := committed.FindStringSubmatch(line); match != nil {
				microseconds, err := strconv.ParseInt(match[1], 10, 64)
				if err != nil {
					return found, err
				}
				if !time.UnixMicro(microseconds).Before(to) {
					found.stop = position
					continue
				}
				found.transactions++
			} else if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "/*!") && !strings.HasPrefix(line, "SET ") && !strings.HasPrefix(line, "use `") {
				statement.WriteString(line)
			}
		}
		if err != nil { // the end; the rest is read too where nothing is looked for any more, so that mysqlbinlog ends well
			if found.stop == 0 {
				return found, check()
			}
			return found, nil
		}
	}
}

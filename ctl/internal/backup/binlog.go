package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/terminal"
)

// archive adds to each backup of this server the binary logs that lead from it to the next one, or to now, unless they are
// already there. The server keeps a log for seven days. The log in use is closed first, because only a closed log no longer
// changes. A log is encrypted like its backup or, if the backup is not encrypted, to the given recipients: once a user has
// begun to use a key, nothing more is stored as plain text.
func (d database) archive(ctx context.Context, say *terminal.Teller, here server, backups []Backup, recipients []string) error {
	until := time.Now().UTC()
	rows, err := d.SQL(ctx, "FLUSH BINARY LOGS; SHOW BINARY LOGS")
	if err != nil {
		return err
	}
	sizes := map[int]int64{} // of the closed logs, by number
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

// archiveFor adds the logs up to number last to one backup.
func (d database) archiveFor(ctx context.Context, say *terminal.Teller, here server, b Backup, last int, covered time.Time, sizes map[int]int64) error {
	if b.signed() { // a list without a signature, or signed by someone else, would make the whole backup unusable
		if len(b.signers) == 0 {
			return errors.New("it is signed, and only with its key are binary logs added to it: KEY=FILE")
		}
		if err := b.authenticate(b.signers); err != nil {
			return err
		}
	}
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
	say.Now("keeping the binary logs since %s (%d)", b.name(), last-next+1)
	for ; next <= last; next++ {
		name := strings.TrimRight(b.Log.File, "0123456789") + fmt.Sprintf("%06d", next)
		size, there := sizes[next]
		if !there {
			return fmt.Errorf("the server no longer has %s: what was written after %s can be restored from a later backup only", name, stamp(logs.Until))
		}
		say.Show("%s", name)
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
	err = stream(ctx, "cat", func(ctx context.Context) *exec.Cmd { return d.Bash(ctx, `exec cat -- "$0"`, from) }, nil, func(out io.Reader) error {
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

// number returns the number of a binary log: 7 for binlog.000007.
func number(name string) int {
	n, _ := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	return n
}

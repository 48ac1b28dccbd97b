package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/wait"

	"github.com/miekg/dns"
)

// maintenance is the second of the three issues: recurring jobs, each done with the simplest command for it.
var maintenance = []action{
	{
		name: "static", title: "a changed page",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			change, err := d.stack.edit(u, "services/web/index.html", "<!-- "+mark+" -->", nil)
			return prepared{run: change}, err
		},
	},
	{
		name: "zone", title: "a changed zone",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			change, err := d.stack.edit(u, "services/dns/zone/site.zone", mark+` IN TXT "here"`,
				func(ctx context.Context) error { return d.stack.answers(ctx, mark, dns.RcodeNameError) })
			return prepared{run: func(ctx context.Context) error {
				if err := change(ctx); err != nil {
					return err
				}
				return d.stack.answers(ctx, mark, dns.RcodeSuccess)
			}}, err
		},
	},
	{
		name: "nginx-conf", title: "a changed nginx.conf", note: "docker compose restart web",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			restart := func(ctx context.Context) error { return d.stack.compose(ctx, "restart", "web") }
			change, err := d.stack.edit(u, "nginx.conf", "# "+mark, restart)
			return prepared{run: func(ctx context.Context) error {
				if err := change(ctx); err != nil {
					return err
				}
				return restart(ctx)
			}}, err
		},
	},
	newImage("web-image", "a new Nginx image", "web"),
	newImage("release", "a new release of app", "app"),
	{
		name: "db-restart", title: "a MySQL restart", note: "docker compose restart db",
		prepare: func(_ context.Context, d *drill, _ *undo) (prepared, error) {
			return prepared{run: func(ctx context.Context) error { return d.stack.compose(ctx, "restart", "db") }}, nil
		},
	},
	migration("migrate-instant", "a new column, a million rows", "INSTANT"),
	migration("migrate-copy", "the same as a copy of the table", "COPY"),
}

// mark is in every line that a drill adds to a file, so that a line left behind by a killed drill can be found.
const mark = "oneserver-drill"

// edit prepares to add a line to the end of a file of the repository. The undo restores the file, byte for byte and with its
// modification time to the second, and then calls after, if there is one.
func (s *Stack) edit(u *undo, name, line string, after func(context.Context) error) (change func(context.Context) error, err error) {
	path := filepath.Join(s.Dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	before, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(before), mark) {
		return nil, fmt.Errorf("%s holds a line of a drill that was killed; remove it: git diff %[1]s", name)
	}
	changed := false
	u.later("put "+name+" back", func(ctx context.Context) error {
		if !changed {
			return nil
		}
		if err := overwrite(path, before); err != nil {
			return err
		}
		if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil { // Nginx makes the ETag from it
			return err
		}
		if after == nil {
			return nil
		}
		return after(ctx)
	})
	return func(context.Context) error {
		changed = true
		return overwrite(path, fmt.Appendf(nil, "%s%s\n", before, line))
	}, nil
}

// overwrite writes a file in place with a single write. The file is mounted into a container, which would keep the old one
// after a rename. A single write never leaves it empty, whereas truncating it first would for a moment.
func overwrite(path string, content []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteAt(content, 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(content)))
}

// answers waits until dns answers a question for a name of the zone with the given code.
func (s *Stack) answers(ctx context.Context, name string, rcode int) error {
	client := &dns.Client{Timeout: 500 * time.Millisecond}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name+"."+s.domain), dns.TypeTXT)
	return wait.Until(ctx, 15*time.Second, 20*time.Millisecond, func(ctx context.Context) error {
		answer, _, err := client.ExchangeContext(ctx, question, s.dns.String())
		if err == nil && answer.Rcode != rcode {
			err = fmt.Errorf("dns answers %s for %s, not %s", dns.RcodeToString[answer.Rcode], name, dns.RcodeToString[rcode])
		}
		return err
	})
}

// newImage returns an action that rebuilds a service's image, with the same content but a different id, and runs docker
// compose up.
func newImage(name, title, service string) action {
	return action{
		name: name, title: title, note: "docker compose up --detach",
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			s := d.stack
			tag := s.project.Services[service].Image
			old, err := s.imageID(ctx, tag)
			if err != nil {
				return prepared{}, err
			}
			next, err := d.derive(ctx, u, tag, "")
			if err != nil {
				return prepared{}, err
			}
			u.later("put the image of "+service+" back", func(ctx context.Context) error {
				if _, err := s.Output(ctx, "image", "tag", old, tag); err != nil {
					return err
				}
				return s.up(ctx)
			})
			return prepared{
				run: func(ctx context.Context) error {
					if _, err := s.Output(ctx, "image", "tag", next, tag); err != nil {
						return err
					}
					return s.up(ctx)
				},
				recovered: func(now []docker.Container) error {
					for _, c := range now {
						if c.Service() == service && c.Image == old {
							return fmt.Errorf("%s is the old one", c.Name)
						}
					}
					return nil
				},
			}, nil
		},
	}
}

// derive builds an image with the same content but a different id, or with a line that changes it.
func (d *drill) derive(ctx context.Context, u *undo, tag, line string) (id string, err error) {
	const next = mark + ":next"
	builder, err := images.ForBuilds(ctx, d.stack.Stack)
	if err != nil {
		return "", err
	}
	dockerfile := "FROM " + tag + "\nLABEL drill=" + strconv.FormatUint(d.seed, 36) + "\n" + line + "\n"
	if _, err := builder.OutputFrom(ctx, strings.NewReader(dockerfile), "build", "--quiet", "--tag", next, "-"); err != nil {
		return "", err
	}
	u.later("remove the image of the drill", func(ctx context.Context) error {
		_, err := d.stack.Output(ctx, "image", "rm", next)
		return err
	})
	return d.stack.imageID(ctx, next)
}

const (
	rows    = 1_000_000 // the size of the table that a migration changes
	portion = 100_000   // rows for one statement; more would fill the database's log
	table   = site.Growing
)

// unlogged keeps a drill's changes to the table out of the binary log, where they would stay for a week. It turns off the
// checks of foreign keys, because with them, copying a table that has one takes about 2.4 kB of memory per row (MySQL
// 9.7.4). For a million rows that is more than db may have, and the kernel would kill it.
const unlogged = "SET sql_log_bin=0, foreign_key_checks=0, cte_max_recursion_depth=1000000;\n"

// migration returns an action that adds a column to a table of a million rows, with one of MySQL's algorithms, while the
// site writes to it.
func migration(name, title, algorithm string) action {
	const column = "oneserver_drill"
	forth := "ALTER TABLE " + table + " ADD COLUMN " + column + " int NULL, ALGORITHM=" + algorithm
	return action{
		name: name, title: title, note: forth,
		setUp: fill,
		prepare: func(ctx context.Context, d *drill, u *undo) (prepared, error) {
			u.later("drop the column again", func(ctx context.Context) error {
				there, err := d.stack.sql(ctx, "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema=DATABASE() AND table_name='"+table+"' AND column_name='"+column+"'")
				if err != nil || there[0][0] == "0" {
					return err
				}
				_, err = d.stack.sql(ctx, unlogged+"ALTER TABLE "+table+" DROP COLUMN "+column)
				return err
			})
			return prepared{run: func(ctx context.Context) error {
				_, err := d.stack.sql(ctx, unlogged+forth)
				return err
			}}, nil
		},
	}
}

// fill brings the table to a million rows, once for all actions that need them.
func fill(ctx context.Context, d *drill, u *undo) error {
	if d.filled {
		return nil
	}
	d.filled = true
	u.later("remove the million rows", d.stack.empty)
	d.tell.Now("filling %s to %d rows", table, rows)
	defer d.tell.End()
	if err := d.stack.empty(ctx); err != nil { // rows that a killed drill has left
		return err
	}
	for from := 0; from < rows; from += portion {
		d.tell.Show("%d rows", from)
		if _, err := d.stack.sql(ctx, unlogged+site.Fill(from, portion)); err != nil {
			return err
		}
	}
	return nil
}

// empty removes the rows of a drill, if there are any, and frees their space.
func (s *Stack) empty(ctx context.Context) error {
	for removed := false; ; removed = true {
		left, err := s.sql(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE %s)", table, site.Filled))
		if err != nil {
			return err
		}
		if left[0][0] == "0" && !removed {
			return nil
		}
		if left[0][0] == "0" {
			_, err := s.sql(ctx, unlogged+"ALTER TABLE "+table+" FORCE")
			return err
		}
		if _, err := s.sql(ctx, fmt.Sprintf(unlogged+"DELETE FROM %s WHERE %s LIMIT %d", table, site.Filled, portion)); err != nil {
			return err
		}
	}
}

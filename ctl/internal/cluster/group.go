package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/binlog"
	"oneserver/ctl/internal/images"
	"oneserver/ctl/internal/wait"
)

const (
	askWithin       = 10 * time.Second // one member, on a busy machine
	bootstrapWithin = 90 * time.Second
	mysqldWithin    = 3 * time.Minute // to initialise an empty data directory and start, on a busy machine
	joinWithin      = 5 * time.Minute // initialise, copy all data, restart, join; with little data 30 s
)

// A memberView is one member as another one sees it.
type memberView struct {
	Host  string `json:"member"`
	State string `json:"state"` // ONLINE, RECOVERING, UNREACHABLE, ERROR, OFFLINE
	Role  string `json:"role"`  // PRIMARY, SECONDARY; empty if it is not in the group
}

// facts is what a member says of itself and of the group.
type facts struct {
	State    string       // of itself
	View     string       // the id of its view; empty outside the group
	Members  []memberView // its view
	Writable bool         // super_read_only is off
	Fresh    bool         // it has never been in the group, and holds nothing of its own
	Executed binlog.Set   // transactions
	Received binlog.Set   // those that it has on disk, though it may not have executed them
	Queue    int64        // transactions that it has received and not executed
}

// has returns every transaction that is on the member's disk.
func (f facts) has() binlog.Set {
	if f.Fresh {
		return binlog.Set{}
	}
	all := f.Executed.Clone()
	all.AddAll(f.Received)
	return all
}

// factsQuery asks for all of it. The first column says what a row is.
const factsQuery = `SELECT 'self', IFNULL((SELECT MEMBER_STATE FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@server_uuid), 'OFFLINE'),
  @@super_read_only, REPLACE(@@gtid_executed, '\n', ''), LOCATE(@@group_replication_group_name, @@gtid_executed) > 0;
SELECT 'received', REPLACE(RECEIVED_TRANSACTION_SET, '\n', '') FROM performance_schema.replication_connection_status
  WHERE CHANNEL_NAME = 'group_replication_applier';
SELECT 'stats', VIEW_ID, COUNT_TRANSACTIONS_REMOTE_IN_APPLIER_QUEUE FROM performance_schema.replication_group_member_stats
  WHERE MEMBER_ID = @@server_uuid;
SELECT 'member', MEMBER_HOST, MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members WHERE MEMBER_HOST <> '';
`

// ask returns what a server's database says.
func (c *Cluster) ask(ctx context.Context, one Server) (facts, error) {
	rows, err := c.sql(ctx, one, askWithin, factsQuery)
	if err != nil {
		return facts{}, err
	}
	f, err := readFacts(rows)
	if err != nil {
		return facts{}, fmt.Errorf("%s: %w", one.Database(), err)
	}
	return f, nil
}

func readFacts(rows [][]string) (f facts, err error) {
	for _, row := range rows {
		switch {
		case row[0] == "self" && len(row) == 5:
			f.State, f.Writable, f.Fresh = row[1], row[2] == "0", row[4] == "0"
			if f.Executed, err = binlog.ParseSet(row[3]); err != nil {
				return facts{}, err
			}
		case row[0] == "received" && len(row) == 2:
			if f.Received, err = binlog.ParseSet(row[1]); err != nil {
				return facts{}, err
			}
		case row[0] == "stats" && len(row) == 3:
			f.View = row[1]
			if f.Queue, err = strconv.ParseInt(row[2], 10, 64); err != nil {
				return facts{}, err
			}
		case row[0] == "member" && len(row) == 4:
			f.Members = append(f.Members, memberView{row[1], row[2], row[3]})
		default:
			return facts{}, fmt.Errorf("it answers %q", row)
		}
	}
	if f.State == "" {
		return facts{}, fmt.Errorf("it answers %q", rows)
	}
	return f, nil
}

// askAll asks all databases at the same time. The errors are those of the databases that do not answer.
func (c *Cluster) askAll(ctx context.Context) (found map[string]facts, silent map[string]error) {
	all, errs := make([]facts, len(c.Servers)), make([]error, len(c.Servers))
	_ = each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		all[indexOf(one)], errs[indexOf(one)] = c.ask(ctx, one)
		return nil
	})
	found, silent = map[string]facts{}, map[string]error{}
	for i, one := range c.Servers {
		if errs[i] != nil {
			silent[one.Letter] = errs[i]
		} else {
			found[one.Letter] = all[i]
		}
	}
	return found, silent
}

// askRunning asks all databases until each that runs has answered, for a while: one that is starting answers late.
func (c *Cluster) askRunning(ctx context.Context) (found map[string]facts) {
	// What does not answer in time is no member that could be counted on.
	_ = wait.Until(ctx, 3*askWithin, time.Second, func(ctx context.Context) error {
		var silent map[string]error
		found, silent = c.askAll(ctx)
		for _, err := range silent {
			if !errors.Is(err, errStopped) {
				return err
			}
		}
		return nil
	})
	return found
}

// later compares view ids. A view's id is two numbers: when the group was formed, and the count of its views since then.
func later(a, b string) int {
	formedA, countA := viewOf(a)
	formedB, countB := viewOf(b)
	return cmp.Or(cmp.Compare(formedA, formedB), cmp.Compare(countA, countB))
}

func viewOf(id string) (formed, count int64) {
	first, second, _ := strings.Cut(id, ":")
	formed, _ = strconv.ParseInt(first, 10, 64) // what is no number is the oldest
	count, _ = strconv.ParseInt(second, 10, 64)
	return formed, count
}

// A group is the group of databases, as the member with the latest view sees it. The others may be behind: a primary that was
// cut off says for many seconds that it still is one.
type group struct {
	View    string
	Members []memberView
	Primary string // its host; empty if there is none
}

// quorum reports whether a majority of the view can be reached, so that the group accepts writes.
func (g group) quorum() bool {
	reached := 0
	for _, one := range g.Members {
		if one.State == "ONLINE" || one.State == "RECOVERING" {
			reached++
		}
	}
	return g.Primary != "" && reached*2 > len(g.Members)
}

// latest returns the group in the latest view of those members that say they are ONLINE.
func latest(found map[string]facts) group {
	var g group
	for _, f := range found {
		if f.State != "ONLINE" || g.View != "" && later(f.View, g.View) <= 0 {
			continue
		}
		g = group{View: f.View, Members: slices.Clone(f.Members)}
		for _, one := range f.Members {
			if one.Role == "PRIMARY" && one.State == "ONLINE" {
				g.Primary = one.Host
			}
		}
	}
	slices.SortFunc(g.Members, func(a, b memberView) int { return cmp.Compare(a.Host, b.Host) })
	return g
}

// primary returns the server of the group's primary.
func (c *Cluster) primary(g group) (Server, bool) {
	i := slices.IndexFunc(c.Servers, func(one Server) bool { return one.Database() == g.Primary })
	if i < 0 {
		return Server{}, false
	}
	return c.Servers[i], true
}

// startDatabases starts db on every server, and waits until each answers over TCP: before that, its data may not be complete.
func (c *Cluster) startDatabases(ctx context.Context, out *images.Runner) error {
	out.Begin("starting the databases")
	if err := each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		ctx, cancel := context.WithTimeout(ctx, mysqldWithin)
		defer cancel()
		if _, err := c.on[one.Letter].Compose(ctx, "up", "--detach", "db"); err != nil {
			return err
		}
		return wait.Until(ctx, mysqldWithin, wait.Often, func(ctx context.Context) error {
			db, err := c.databaseContainer(ctx, one)
			if err != nil {
				return err
			}
			if !db.Running() { // it also restarts once it has copied another member's data
				return db.Ill()
			}
			said, err := c.on[one.Letter].Output(ctx, "exec", db.ID, "bash", "/healthcheck.sh")
			switch {
			case err == nil:
				return nil
			case strings.Contains(said, "was cut off before it was complete"): // its advice is for one server
				return wait.Final(fmt.Errorf("the first start of its database was cut off, so it holds nothing; there: docker compose down, "+
					"docker volume rm %s; and then make cluster again", dataVolume))
			}
			return errors.New(cmp.Or(strings.TrimSpace(said), err.Error()))
		})
	}); err != nil {
		return out.Fail(err)
	}
	out.Done("started the databases")
	return nil
}

// startInTurn does the same while there is a group. A database that Compose replaces, because its settings have changed, leaves
// the group, and only one may be away at a time; the primary is the last.
func (c *Cluster) startInTurn(ctx context.Context, out *images.Runner, primary Server) error {
	for _, one := range append(c.others(primary), primary) {
		out.Begin("starting %s, or waiting until it is in the group", one.Database())
		limited, cancel := context.WithTimeout(ctx, mysqldWithin)
		_, err := c.on[one.Letter].Compose(limited, "up", "--detach", "db")
		cancel()
		if err == nil {
			err = c.awaitMembers(ctx, joinWithin, one)
		}
		if err != nil {
			return out.Fail(fmt.Errorf("%w; the group goes on without it, and the databases after it were left as they are. make cluster-status shows the group, "+
				"and docker compose logs db on server %s may say why", err, one.Letter))
		}
		out.End()
	}
	return nil
}

// formGroup makes sure that there is a group, and returns its primary. It forms one only from databases that have never been in
// one. After that, forming one is a decision: Recover.
func (c *Cluster) formGroup(ctx context.Context, out *images.Runner) (Server, error) {
	var primary Server
	out.Begin("looking for the group")
	// A member that was just started needs some seconds to find the others, and one without a majority 10 s to notice.
	err := wait.Until(ctx, joinWithin, time.Second, func(ctx context.Context) error {
		found, silent := c.askAll(ctx)
		if g := latest(found); g.quorum() {
			is := false
			if primary, is = c.primary(g); !is {
				return wait.Final(fmt.Errorf("the primary is %s, which is not one of these servers", g.Primary))
			}
			return nil
		}
		for _, err := range silent {
			return err
		}
		if first, err := mayForm(c.Servers, found); err != nil {
			return wait.Final(err)
		} else if first {
			primary = c.Servers[0]
			if err := c.bootstrap(ctx, primary); err != nil {
				return wait.Final(err)
			}
			return nil
		}
		return errors.New("a member says that it is in the group, and sees no majority")
	})
	if err != nil {
		return Server{}, out.Fail(err)
	}
	out.Done("the group has the primary %s", primary.Database())
	return primary, nil
}

// mayForm reports whether a first group may be formed. It is an error if there has been one and nobody is in it.
func mayForm(servers []Server, found map[string]facts) (bool, error) {
	var had []string
	for _, one := range servers {
		f := found[one.Letter]
		if f.State == "ONLINE" || f.State == "RECOVERING" {
			return false, nil
		}
		if !f.Fresh {
			had = append(had, one.Database())
		}
	}
	if len(had) > 0 {
		return false, fmt.Errorf("no database is in the group, and there has been one: %s may hold data. make cluster-recover forms it again from the one that has everything",
			strings.Join(had, ", "))
	}
	return true, nil
}

// bootstrap forms the group with one member. The others join it by themselves.
func (c *Cluster) bootstrap(ctx context.Context, one Server) (err error) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapWithin)
	defer cancel()
	defer func() { // even if this is interrupted: whoever has this variable on starts a group of its own
		off, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
		defer cancel()
		_, failed := c.sql(off, one, askWithin, "SET GLOBAL group_replication_bootstrap_group = OFF")
		err = errors.Join(err, failed)
	}()
	// An attempt to join that is running makes this fail; it ends within seconds, since there is no group.
	if _, err := c.sql(ctx, one, bootstrapWithin, "STOP GROUP_REPLICATION; SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION"); err != nil {
		return err
	}
	return wait.Until(ctx, bootstrapWithin, wait.Often, func(ctx context.Context) error {
		f, err := c.ask(ctx, one)
		if err != nil {
			return err
		}
		if f.State != "ONLINE" || !f.Writable {
			return fmt.Errorf("%s is %s and does not accept writes yet", one.Database(), f.State)
		}
		// The first transaction of the group: whoever has it has been in the group.
		_, err = c.sql(ctx, one, askWithin, "INSERT INTO oneserver.bootstraps VALUES (UTC_TIMESTAMP(6), @@report_host)")
		return err
	})
}

// awaitMembers waits until the databases of these servers are ONLINE in the group's latest view.
func (c *Cluster) awaitMembers(ctx context.Context, within time.Duration, servers ...Server) error {
	return wait.Until(ctx, within, time.Second, func(ctx context.Context) error {
		found, silent := c.askAll(ctx)
		g := latest(found)
		for _, one := range servers {
			if err := silent[one.Letter]; err != nil {
				return err
			}
			if f := found[one.Letter]; f.State != "ONLINE" || f.View != g.View {
				return fmt.Errorf("%s is %s", one.Database(), f.State)
			}
		}
		return nil
	})
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

// lookWithin is how long a server may take to say how it is. One that takes longer is shown as not answering.
const lookWithin = 15 * time.Second

// services are shown in this order.
var services = []string{"dns", "certs", "web", "app", "db"}

// Status is what the servers say at one moment.
type Status struct {
	Cluster string         `json:"cluster"`
	State   string         `json:"state"`   // one of the words below
	Primary string         `json:"primary"` // the database that accepts writes; empty if none does
	View    string         `json:"view"`    // the id of the group's latest view
	Servers []ServerStatus `json:"servers"`
}

// What a cluster can be.
const (
	Complete  = "complete"     // all that there should be is there
	Degraded  = "degraded"     // it reads and writes, and something is missing
	NoPrimary = "cannot write" // no database has a majority behind it
)

// ServerStatus is what one server says.
type ServerStatus struct {
	Server   string            `json:"server"`
	Address  string            `json:"address"`
	Release  string            `json:"release"`  // of the files that were sent
	Services map[string]string `json:"services"` // by name: healthy, starting, unhealthy, or the state of its container
	Uses     string            `json:"uses"`     // the database that its application uses
	Errors   []string          `json:"errors,omitempty"`
	Member   *MemberStatus     `json:"member"` // null if its database does not answer
	// The days for which the certificates are still valid; null if unknown.
	SiteCertificateDays     *int `json:"site_certificate_days"`
	DatabaseCertificateDays *int `json:"database_certificate_days"`
}

// MemberStatus is what a database says of itself. Lag counts transactions of the primary that it has not executed, at the
// moment of asking; Queue those of them that it has received.
type MemberStatus struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Role     string `json:"role"` // PRIMARY or SECONDARY in the group's latest view; empty outside
	Lag      *int64 `json:"lag"`  // null if there is no primary to compare with
	Queue    int64  `json:"queue"`
	Writable bool   `json:"writable"`
}

// Look asks all servers at the same time.
func Look(ctx context.Context, here *stack.Stack, name string) (Status, error) {
	c, err := Open(here, name)
	if err != nil {
		return Status{}, err
	}
	seen := make([]ServerStatus, len(c.Servers))
	found := make([]*facts, len(c.Servers))
	_ = each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		ctx, cancel := context.WithTimeout(ctx, lookWithin)
		defer cancel()
		seen[indexOf(one)], found[indexOf(one)] = c.look(ctx, one)
		return nil // the errors are in what was seen
	})
	if ctx.Err() != nil {
		return Status{}, ctx.Err()
	}
	return judge(c, seen, found), nil
}

// look asks one server.
func (c *Cluster) look(ctx context.Context, one Server) (ServerStatus, *facts) {
	seen := ServerStatus{Server: one.Letter, Address: one.PrivateIP, Services: map[string]string{}}
	s := c.on[one.Letter]
	fail := func(err error) {
		if err != nil {
			seen.Errors = append(seen.Errors, strings.Join(strings.Fields(short(err)), " "))
		}
	}
	list, err := c.containers(ctx, one)
	if err != nil {
		fail(err)
		return seen, nil
	}
	release, err := docker.Output(ctx, c.command(ctx, one, "cat", releaseFile))
	fail(err)
	seen.Release = strings.TrimSpace(release)
	for _, container := range list {
		if slices.Contains(services, container.Service()) {
			seen.Services[container.Service()] = stateOf(container)
		}
		if container.Service() == "app" {
			seen.Uses = used(container)
		}
		switch {
		case !container.Running():
		case container.Service() == "web": // the file also holds the key, which does not leave the server
			pems, err := s.Output(ctx, "exec", container.ID, "sed", "-n", "/BEGIN CERTIFICATE/,/END CERTIFICATE/p", "/tls/site.pem")
			fail(err)
			seen.SiteCertificateDays = daysLeft(pems)
		case container.Service() == "db":
			pems, err := s.Output(ctx, "exec", container.ID, "cat", "/run/secrets/db.crt")
			fail(err)
			seen.DatabaseCertificateDays = daysLeft(pems)
		}
	}
	f, err := c.ask(ctx, one)
	if err != nil {
		fail(err)
		return seen, nil
	}
	return seen, &f
}

// short returns what went wrong without the command that failed, which is long.
func short(err error) string {
	for inner := errors.Unwrap(err); inner != nil && !docker.CutOff(err); inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// used returns the database that an application uses.
func used(app docker.Container) string {
	for _, variable := range app.Config.Env {
		if address, found := strings.CutPrefix(variable, "MYSQL_ADDRESS="); found {
			return strings.TrimSuffix(address, ":3306")
		}
	}
	return ""
}

func stateOf(c docker.Container) string {
	switch {
	case c.Running() && c.State.Health != nil:
		return c.State.Health.Status
	default:
		return c.State.Status
	}
}

// daysLeft returns for how many days the first certificate of a PEM text is still valid; nil if there is none.
func daysLeft(text string) *int {
	certificate, err := parseCertificate([]byte(text))
	if err != nil {
		return nil
	}
	days := int(time.Until(certificate.NotAfter).Hours() / 24)
	return &days
}

// judge puts together what the servers say.
func judge(c *Cluster, seen []ServerStatus, found []*facts) Status {
	byLetter := map[string]facts{}
	for i, f := range found {
		if f != nil {
			byLetter[c.Servers[i].Letter] = *f
		}
	}
	g := latest(byLetter)
	status := Status{Cluster: c.Name, State: NoPrimary, View: g.View, Servers: seen}
	complete := true
	if g.quorum() {
		status.State, status.Primary = Degraded, g.Primary
	}
	primary, known := c.primary(g)
	leads, answers := byLetter[primary.Letter]
	for i, one := range c.Servers {
		for _, name := range services {
			complete = complete && seen[i].Services[name] == "healthy"
		}
		complete = complete && len(seen[i].Errors) == 0 && seen[i].Uses == g.Primary // elsewhere, it can only read
		f := found[i]
		if f == nil {
			complete = false
			continue
		}
		member := &MemberStatus{Name: one.Database(), State: f.State, Queue: f.Queue, Writable: f.Writable}
		for _, view := range g.Members {
			if view.Host == one.Database() {
				member.Role = view.Role
				complete = complete && view.State == "ONLINE"
			}
		}
		if known && answers {
			lag := union(leads.Executed, f.Executed).Count() - f.Executed.Count()
			member.Lag = &lag
		}
		complete = complete && member.State == "ONLINE" && member.Role != ""
		seen[i].Member = member
	}
	if complete && status.State == Degraded {
		status.State = Complete
	}
	return status
}

// Err returns an error if the cluster is not complete, for scripts.
func (s Status) Err() error {
	if s.State == Complete {
		return nil
	}
	return fmt.Errorf("the cluster is not complete: %s", s.State)
}

// Print shows the status on one screen.
func (s Status) Print(to io.Writer) error {
	switch s.State {
	case NoPrimary:
		fmt.Fprintf(to, "%s cannot write: no database has a majority behind it. If all were lost: make cluster-recover\n\n", s.Cluster)
	default:
		fmt.Fprintf(to, "%s is %s: writes go to %s\n\n", s.Cluster, s.State, s.Primary)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "server\taddress\t%s\tuses\tcertificate\trelease\n", strings.Join(services, "\t"))
	for _, one := range s.Servers {
		fmt.Fprintf(table, "%s\t%s\t", one.Server, one.Address)
		for _, name := range services {
			fmt.Fprintf(table, "%s\t", orDash(one.Services[name]))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", orDash(one.Uses), days(one.SiteCertificateDays), orDash(one.Release))
	}
	fmt.Fprintf(table, "\nmember\tstate\trole\tlag\tqueue\tcertificate\n")
	for _, one := range s.Servers {
		if one.Member == nil {
			fmt.Fprintf(table, "db-%s\t-\t-\t-\t-\t%s\n", one.Server, days(one.DatabaseCertificateDays))
			continue
		}
		lag := "-"
		if one.Member.Lag != nil {
			lag = fmt.Sprint(*one.Member.Lag)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", one.Member.Name, one.Member.State, orDash(one.Member.Role), lag, one.Member.Queue, days(one.DatabaseCertificateDays))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, one := range s.Servers {
		if one.Uses != "" && s.Primary != "" && one.Uses != s.Primary {
			fmt.Fprintf(to, "\nThe application of server %s uses %s, which only reads: make cluster\n", one.Server, one.Uses)
		}
		for _, wrong := range one.Errors {
			fmt.Fprintf(to, "\nserver %s: %s", one.Server, wrong)
		}
		if len(one.Errors) > 0 {
			fmt.Fprintln(to)
		}
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func days(left *int) string {
	if left == nil {
		return "-"
	}
	return fmt.Sprintf("%d days", *left)
}

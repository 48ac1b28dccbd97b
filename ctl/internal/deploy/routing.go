package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

// A routing says which replicas of the application Nginx passes requests to. The zero value means every replica that
// Docker's DNS names, ready or not.
type routing struct {
	servers []replica
	backups []replica // asked if the servers fail
}

// A replica is a container's id and its address. The id is needed because addresses change hands when containers restart.
type replica struct {
	id      string
	address netip.Addr
}

// byName is the routing that services/web-init/routing.sh writes when web starts.
const byName = "server app:8080 resolve max_fails=0;\n"

// String returns the address that Nginx connects to.
func (r replica) String() string { return netip.AddrPortFrom(r.address, 8080).String() }

func (to routing) pinned() bool { return len(to.servers) > 0 }

// onTrial reports whether the servers are a new release and the backups the previous one.
func (to routing) onTrial() bool { return len(to.backups) > 0 }

// String returns the content of routing.conf, which nginx.conf includes.
//
// If there are addresses, the name app is listed twice as well. The first entry is a server that gets no requests ("down").
// Without it, Nginx would forget the addresses of that name at a reload, and when the name returned without addresses,
// visitors would get 503 for a moment. The second entry is a last resort, so that the site survives if the addresses that a
// killed deploy has left no longer work.
func (to routing) String() string {
	if !to.pinned() {
		return byName
	}
	text := "# make deploy is at work; make up puts right what one that was killed has left\n" +
		"server app:8080 resolve max_fails=0 down;\n"
	for _, r := range to.servers {
		text += "server " + r.String() + " max_fails=0; # " + r.id + "\n"
	}
	for _, r := range to.backups {
		text += "server " + r.String() + " max_fails=0 backup; # " + r.id + "\n"
	}
	return text + "server app:8080 resolve max_fails=0 backup;\n"
}

// parseRouting parses what String or routing.sh has written.
func parseRouting(conf string) (to routing) {
	for line := range strings.Lines(conf) {
		server, id, _ := strings.Cut(strings.TrimSpace(line), "; # ")
		words := strings.Fields(server)
		if len(words) < 2 || words[0] != "server" {
			continue
		}
		address, err := netip.ParseAddrPort(words[1])
		switch one := (replica{id, address.Addr()}); {
		case err != nil: // a name rather than an address
		case slices.Contains(words, "backup"):
			to.backups = append(to.backups, one)
		default:
			to.servers = append(to.servers, one)
		}
	}
	return to
}

// whileOnTrial is the content of trial.conf, which the application's location includes: the previous release answers the
// requests that a release on trial fails.
const whileOnTrial = "proxy_next_upstream http_500 http_502 http_503 http_504;\n"

// candidate puts a file of Nginx's configuration beside those in use and makes Nginx check them together.
func (s *site) candidate(ctx context.Context, file, text string, trial bool) error {
	onTrial := ""
	if trial {
		onTrial = whileOnTrial
	}
	// Here Nginx's standard error is the result; docker's is not.
	said, err := s.inWeb(ctx, text, `cd /run/nginx && rm -rf candidate && mkdir candidate && cp nginx.conf routing.conf candidate && cat >"candidate/$0" &&
		{ [ -z "$1" ] || printf %s "$1" >candidate/trial.conf; } && nginx -t -q -c /run/nginx/candidate/nginx.conf 2>&1`, file, onTrial)
	if err == nil {
		return nil
	}
	if _, failed := s.inWeb(ctx, "", "rm -rf /run/nginx/candidate"); failed != nil {
		err = errors.Join(err, failed)
	}
	if said = strings.TrimSpace(strings.ReplaceAll(said, "/run/nginx/candidate/", "")); said != "" {
		return errors.New(said)
	}
	return err
}

// adopt makes Nginx run with the candidate, and returns its previous workers, which may still be finishing requests. The
// folder named next is there from just before the first file is replaced until Nginx runs with all the new ones, so that an
// interruption can be detected.
func (s *site) adopt(ctx context.Context) (before []string, err error) {
	before, _, err = s.workers(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.inWeb(ctx, "", "cd /run/nginx && rm -rf next && mv candidate next && rm -f trial.conf && mv next/* . && nginx -s reload -c /run/nginx/nginx.conf"); err != nil {
		return nil, err
	}
	err = wait.Until(ctx, stack.Brief, wait.Often, func(ctx context.Context) error {
		_, serving, err := s.workers(ctx)
		if err != nil {
			return err
		}
		if len(serving) == 0 || slices.ContainsFunc(serving, func(id string) bool { return slices.Contains(before, id) }) {
			return errors.New("web has not taken its new configuration over: docker compose logs web says why")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = s.inWeb(ctx, "", "rmdir /run/nginx/next")
	return before, err
}

// route makes Nginx pass requests on to these replicas. If alone is set, it waits until no worker passes any elsewhere.
func (s *site) route(ctx context.Context, to routing, alone bool) error {
	if err := s.candidate(ctx, "routing.conf", to.String(), to.onTrial()); err != nil {
		return err
	}
	before, err := s.adopt(ctx)
	if err != nil || !alone {
		return err
	}
	// nginx.conf gives the previous workers 30 s (worker_shutdown_timeout).
	return wait.Until(ctx, 40*time.Second, wait.Often, func(ctx context.Context) error {
		all, _, err := s.workers(ctx)
		if err == nil && slices.ContainsFunc(all, func(id string) bool { return slices.Contains(before, id) }) {
			err = errors.New("a worker of Nginx still serves with the configuration of before")
		}
		return err
	})
}

// workers returns the ids of all of Nginx's workers, and of those that accept connections.
func (s *site) workers(ctx context.Context) (all, serving []string, err error) {
	// A process may end meanwhile; that is no error.
	out, err := s.inWeb(ctx, "", `for p in /proc/[0-9]*; do
		if read -r title 2>/dev/null <"$p/cmdline" || [ -n "$title" ]; then echo "${p#/proc/} $title"; fi; title=; done 2>/dev/null | tr -d '\0'`)
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(out) {
		id, title, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(title, "nginx: worker process") {
			continue
		}
		all = append(all, id)
		if !strings.Contains(title, "shutting down") {
			serving = append(serving, id)
		}
	}
	return all, serving, nil
}

// resolverKeeps is how long Nginx may use an answer of Docker's DNS. It asks again every two seconds (valid=1s in
// nginx.conf), but nothing shows from outside that it has.
const resolverKeeps = 2 * time.Second

// routeByName lets Nginx find the application by its name again, once that name resolves to exactly these replicas.
func (s *site) routeByName(ctx context.Context, live []docker.Container) error {
	err := wait.Until(ctx, stack.Brief, wait.Often, func(ctx context.Context) error {
		out, err := s.inWeb(ctx, "", "getent ahostsv4 app | cut -d ' ' -f 1 | sort -u")
		if err != nil {
			return err
		}
		return leadsTo(strings.Fields(out), live)
	})
	if err != nil {
		return err
	}
	if err := wait.For(ctx, resolverKeeps); err != nil {
		return err
	}
	return s.route(ctx, routing{}, false)
}

// leadsTo returns an error unless a name's addresses are those of all these containers and of nothing else. An address
// counts whichever of the container's networks it is in.
func leadsTo(found []string, live []docker.Container) error {
	wrong := fmt.Errorf("the name app leads to %s, which is not what runs", strings.Join(found, ", "))
	others := slices.Clone(found)
	for _, c := range live {
		here := false
		for _, network := range c.NetworkSettings.Networks {
			here = here || slices.Contains(found, network.IPAddress)
			others = slices.DeleteFunc(others, func(address string) bool { return address == network.IPAddress })
		}
		if !here {
			return wrong
		}
	}
	if len(others) > 0 {
		return wrong
	}
	return nil
}

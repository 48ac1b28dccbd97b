package deploy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A routing says to which addresses of the application Nginx passes requests.
type routing struct {
	servers []string
	backups []string // asked where the servers fail
}

// What is edited of nginx.conf. A line that gives way is kept behind a mark, and one that is added bears it, so that the
// text can be put back whoever finds it.
const (
	hidden = "#deploy# " // before a line that gave way
	added  = " #deploy"  // behind one that took its place
)

var (
	nameLine  = regexp.MustCompile(`(?m)^([ \t]*)server app:8080 resolve max_fails=0;.*$`)
	retryLine = regexp.MustCompile(`(?m)^([ \t]*)proxy_next_upstream[ \t]+([^;]*);.*$`)
	triesLine = regexp.MustCompile(`(?m)^([ \t]*)proxy_next_upstream_tries[ \t]+[^;]*;.*$`)
)

// pin puts addresses in the place of the name app, which finds every replica that runs, ready or not.
//
// The name stays as a server that is never asked ("down"): Nginx keeps the addresses of a name across reloads only while
// it has that name, and a name that comes back without any is a moment of 503.
func pin(conf string, to routing) (string, error) {
	conf = unpin(conf)
	if n := len(nameLine.FindAllString(conf, -1)); n != 1 {
		return "", fmt.Errorf("nginx.conf has the line %q %d times, and deploy needs it once: it says where the application is",
			"server app:8080 resolve max_fails=0;", n)
	}
	conf = replace(conf, nameLine, func(indent, _ string) []string {
		lines := []string{indent + "server app:8080 resolve max_fails=0 down;"}
		for _, address := range to.servers {
			lines = append(lines, indent+"server "+address+":8080 max_fails=0;")
		}
		for _, address := range to.backups {
			lines = append(lines, indent+"server "+address+":8080 max_fails=0 backup;")
		}
		return lines
	})
	if len(to.backups) == 0 {
		return conf, nil
	}
	// What a server on trial cannot answer, the others do, however many are on trial.
	if !retryLine.MatchString(conf) || !triesLine.MatchString(conf) {
		return "", errors.New("nginx.conf has no proxy_next_upstream or no proxy_next_upstream_tries: without them visitors would see what a new release does wrong")
	}
	conf = replace(conf, retryLine, func(indent, conditions string) []string {
		return []string{indent + "proxy_next_upstream " + conditions + " http_500 http_502 http_503 http_504;"}
	})
	return replace(conf, triesLine, func(indent, _ string) []string { return []string{indent + "proxy_next_upstream_tries 0;"} }), nil
}

// replace hides each line that matches and adds others below it.
func replace(conf string, line *regexp.Regexp, by func(indent, rest string) []string) string {
	return line.ReplaceAllStringFunc(conf, func(old string) string {
		match := append(line.FindStringSubmatch(old), "")
		text := hidden + old
		for _, one := range by(match[1], match[2]) {
			text += "\n" + one + added
		}
		return text
	})
}

// unpin takes every edit back.
func unpin(conf string) string {
	var text strings.Builder
	for line := range strings.Lines(conf) {
		if strings.HasSuffix(strings.TrimRight(line, "\n"), added) {
			continue
		}
		text.WriteString(strings.TrimPrefix(line, hidden))
	}
	return text.String()
}

var pinned = regexp.MustCompile(`(?m)^[ \t]*server (\d+\.\d+\.\d+\.\d+):8080 max_fails=0( backup)?;` + added + `$`)

// routingOf reads what pin has written; found is false where nothing is pinned.
func routingOf(conf string) (to routing, found bool) {
	for _, match := range pinned.FindAllStringSubmatch(conf, -1) {
		if match[2] == "" {
			to.servers = append(to.servers, match[1])
		} else {
			to.backups = append(to.backups, match[1])
		}
	}
	return to, len(to.servers) > 0
}

// conf reads the configuration that Nginx runs with.
func (s *site) conf(ctx context.Context) (string, error) {
	return s.inWeb(ctx, "", "cat /run/nginx/nginx.conf")
}

// candidate puts a configuration beside the one in use and lets Nginx check it.
func (s *site) candidate(ctx context.Context, conf string) error {
	out, err := s.inWeb(ctx, conf, `cat >/run/nginx/next.conf && nginx -t -q -c /run/nginx/next.conf`)
	if err == nil {
		return nil
	}
	if _, failed := s.inWeb(ctx, "", "rm -f /run/nginx/next.conf"); failed != nil {
		err = errors.Join(err, failed)
	}
	if said := strings.TrimSpace(strings.ReplaceAll(out, "/run/nginx/next.conf", "nginx.conf")); said != "" {
		return errors.New(said)
	}
	return err
}

// adopt makes Nginx run with the candidate, and returns its workers of before, which may still be finishing something.
func (s *site) adopt(ctx context.Context) (before []string, err error) {
	before, _, err = s.workers(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.inWeb(ctx, "", "mv /run/nginx/next.conf /run/nginx/nginx.conf && nginx -s reload -c /run/nginx/nginx.conf"); err != nil {
		return nil, err
	}
	err = await(ctx, brief, func(ctx context.Context) error {
		_, serving, err := s.workers(ctx)
		if err != nil {
			return err
		}
		if len(serving) == 0 || slices.ContainsFunc(serving, func(id string) bool { return slices.Contains(before, id) }) {
			return errors.New("web has not taken its new configuration over: docker compose logs web says why")
		}
		return nil
	})
	return before, err
}

// route makes Nginx pass requests on to these addresses. With alone it returns once no worker does anything else.
func (s *site) route(ctx context.Context, to routing, alone bool) error {
	conf, err := s.conf(ctx)
	if err != nil {
		return err
	}
	if conf, err = pin(conf, to); err != nil {
		return err
	}
	return s.use(ctx, conf, alone)
}

// use makes Nginx run with a configuration; with alone it waits until nothing of any before is left.
func (s *site) use(ctx context.Context, conf string, alone bool) error {
	if err := s.candidate(ctx, conf); err != nil {
		return err
	}
	before, err := s.adopt(ctx)
	if err != nil || !alone {
		return err
	}
	// nginx.conf gives them 30 s (worker_shutdown_timeout).
	return await(ctx, 40*time.Second, func(ctx context.Context) error {
		all, _, err := s.workers(ctx)
		if err == nil && slices.ContainsFunc(all, func(id string) bool { return slices.Contains(before, id) }) {
			err = errors.New("a worker of Nginx still serves with the configuration of before")
		}
		return err
	})
}

// workers returns the ids of Nginx' workers: of all, and of those that accept connections.
func (s *site) workers(ctx context.Context) (all, serving []string, err error) {
	// A process that ends meanwhile is no error.
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

// resolverKeeps is how long Nginx may believe what Docker's DNS told it last: nginx.conf asks anew each second (valid=1s),
// and nothing shows from outside that it has.
const resolverKeeps = 2 * time.Second

// release lets Nginx find the application by its name again, once that name leads to these replicas and nowhere else.
func (s *site) release(ctx context.Context, live []container) error {
	want := addresses(live)
	slices.Sort(want)
	err := await(ctx, brief, func(ctx context.Context) error {
		out, err := s.inWeb(ctx, "", "getent ahostsv4 app | cut -d ' ' -f 1 | sort -u")
		if err != nil {
			return err
		}
		got := strings.Fields(out)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the name app leads to %s, and what runs is at %s", strings.Join(got, ", "), strings.Join(want, ", "))
		}
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-time.After(resolverKeeps):
	case <-ctx.Done():
		return ctx.Err()
	}
	conf, err := s.conf(ctx)
	if err != nil {
		return err
	}
	return s.use(ctx, unpin(conf), false)
}

package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
)

// Bounds of a release.
const (
	readyWithin   = time.Minute      // from its start until it is healthy
	trialTime     = 3 * time.Second  // of visitors' requests, before it has to stand alone
	migrateWithin = 31 * time.Minute // the application's own bound for all migrations, and a little
	maxReplicas   = 4                // services/app/mysql/db.go does the sum, with those of before beside them
	backWithin    = 2 * time.Minute  // to leave the site as it was found, or to finish what cannot be taken back
)

// Deploy builds the application anew and puts it in the place of what runs, with as many replicas or with another number.
// A release that fails is taken away again; the one before it never stopped serving.
func Deploy(ctx context.Context, cli docker.CLI, out *os.File, replicas int) error {
	if replicas < 0 || replicas > maxReplicas {
		return fmt.Errorf("%d replicas: there can be 1 to %d", replicas, maxReplicas)
	}
	r, done, err := begin(ctx, cli, out, replicas)
	if err != nil {
		return err
	}
	defer done()
	return r.settle(ctx, func() error {
		if err := images.Ensure(ctx, cli, images.NewReporter(out), "app"); err != nil {
			return err
		}
		current, err := r.isCurrent(ctx)
		if err != nil || current {
			return err
		}
		if err := r.judgeMigrations(ctx); err != nil {
			return err
		}
		return r.replace(ctx)
	})
}

// Rollback puts the release before this one in its place again. Its tables are those of now: no migration is undone, and
// none that it would not survive was let through.
func Rollback(ctx context.Context, cli docker.CLI, out io.Writer) error {
	r, done, err := begin(ctx, cli, out, 0)
	if err != nil {
		return err
	}
	defer done()
	here, err := cli.Images(ctx, r.previous())
	if err != nil {
		return err
	}
	previous, found := here[r.previous()]
	if !found || previous.ID == r.running {
		return errors.New("there is no release to go back to: make deploy keeps the one that it replaces")
	}
	return r.put(ctx, previous.ID)
}

// Release puts an image that is built already in the place of what runs.
func Release(ctx context.Context, cli docker.CLI, out io.Writer, image string) error {
	r, done, err := begin(ctx, cli, out, 0)
	if err != nil {
		return err
	}
	defer done()
	return r.put(ctx, image)
}

// put gives an image app's name and lets it take over.
func (r *release) put(ctx context.Context, image string) error {
	return r.settle(ctx, func() error {
		if err := r.tag(ctx, image, r.image()); err != nil {
			return err
		}
		return r.replace(ctx)
	})
}

// release is one that takes the place of another.
type release struct {
	*site
	old      []container // what serves now
	running  string      // the id of its image
	replicas int         // how many there shall be
	// oneShots says that secrets and migrate were made anew, of the new image
	oneShots bool
	// over says that the new release serves: from here on there is no way back but a rollback
	over bool
}

func (r *release) image() string { return r.project.Services["app"].Image }

func (r *release) previous() string { return Previous(r.image()) }

// Previous is the name under which the image is kept that was replaced last by one of that name.
func Previous(image string) string {
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image + ":previous"
}

func (r *release) tag(ctx context.Context, image, name string) error {
	_, err := r.docker(ctx, "image", "tag", image, name)
	return err
}

// begin looks at what runs, and mends what one that was killed has left. It holds the lock until done is called.
func begin(ctx context.Context, cli docker.CLI, out io.Writer, replicas int) (r *release, done func(), err error) {
	s, err := find(ctx, cli, out)
	if err != nil {
		return nil, nil, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	r = &release{site: s, replicas: replicas}
	if err := r.look(ctx); err != nil {
		unlock()
		return nil, nil, err
	}
	return r, unlock, nil
}

func (r *release) look(ctx context.Context) error {
	if err := r.mend(ctx); err != nil {
		return err
	}
	all, err := r.of(ctx, "app")
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("app does not run: make up starts it, and there is nothing to replace")
	}
	for _, c := range all {
		if !c.healthy() {
			return fmt.Errorf("what runs must be well before it is replaced: %w", c.ill())
		}
	}
	r.old, r.running = all, all[0].Image
	if r.replicas == 0 {
		for _, c := range all { // of a mixture, only the older: the others are what a deploy that was killed had begun
			if c.Image == r.running {
				r.replicas++
			}
		}
	}
	return nil
}

// mend takes up what a deploy that was killed has left: it lets what serves serve, and removes what does not.
func (r *release) mend(ctx context.Context) error {
	all, err := r.of(ctx, "app")
	if err != nil {
		return err
	}
	conf, err := r.conf(ctx)
	if err != nil {
		return err
	}
	to, pinned := routingOf(conf)
	serving := to.servers
	if len(to.backups) > 0 { // it was on trial
		serving = to.backups
	}
	var rest, live []container
	for _, c := range all {
		if slices.Contains([]string{"created", "exited", "dead"}, c.State.Status) || pinned && !slices.Contains(serving, c.address()) {
			rest = append(rest, c)
		} else {
			live = append(live, c)
		}
	}
	if !pinned && len(rest) == 0 {
		return nil
	}
	if len(live) == 0 {
		// Addresses change with a restart. Whatever answers is better than nobody.
		if rest = nil; pinned {
			r.say("a deploy was killed here, and what it left is gone: Nginx looks the application up again")
			return r.use(ctx, unpin(conf), false)
		}
		return nil
	}
	r.say("a deploy was killed here: removing what it left")
	if pinned {
		if err := r.route(ctx, routing{servers: addresses(live)}, true); err != nil {
			return err
		}
	}
	if err := r.drain(ctx, rest); err != nil {
		return err
	}
	if !pinned {
		return nil
	}
	return r.release(ctx, live)
}

// isCurrent says whether what runs is what would be started.
func (r *release) isCurrent(ctx context.Context) (bool, error) {
	here, err := r.cli.Images(ctx, r.image())
	if err != nil {
		return false, err
	}
	hash, err := r.site.configHash(ctx, "app")
	if err != nil {
		return false, err
	}
	for _, c := range r.old {
		if c.Image != here[r.image()].ID || c.configHash() != hash {
			return false, nil
		}
	}
	if len(r.old) != r.replicas {
		return false, nil
	}
	fmt.Fprintln(r.out, "The release that runs is the newest: there is nothing to deploy.")
	return true, nil
}

// judgeMigrations refuses a release that would take from the running one what it uses.
func (r *release) judgeMigrations(ctx context.Context) error {
	text, err := r.composeWithin(ctx, 90*time.Second, "run", "--rm", "--no-deps", "--no-TTY", "migrate", "pending")
	if err != nil {
		return fmt.Errorf("ask the new release for its migrations: %w", err)
	}
	var a ahead
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return fmt.Errorf("app pending: %w", err)
	}
	if objections := a.objections(); len(objections) > 0 {
		return fmt.Errorf("the running release would not survive this one:\n  %s\n%s", strings.Join(objections, "\n  "), howToSplit)
	}
	var files []string
	for _, m := range a.Migrations {
		files = append(files, m.File)
	}
	if len(files) > 0 {
		r.say("to migrate: %s", strings.Join(files, ", "))
	}
	return nil
}

// settle lets a release take place, and leaves the images and the one-shots as they were where it does not.
func (r *release) settle(ctx context.Context, work func() error) error {
	err := work()
	if err == nil || r.over {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	if failed := r.tag(ctx, r.running, r.image()); failed != nil {
		return errors.Join(err, failed)
	}
	if r.oneShots {
		if failed := r.runOneShots(ctx); failed != nil {
			return errors.Join(err, failed)
		}
	}
	return fmt.Errorf("%w\nthe release that ran before is serving as before", err)
}

// runOneShots makes secrets and migrate of the image that app has now and waits for them, as `docker compose up` would;
// a later `up` then finds nothing to make anew.
func (r *release) runOneShots(ctx context.Context) error {
	r.oneShots = true
	if _, err := r.composeWithin(ctx, time.Minute, "up", "--detach", "--no-deps", "--no-build", "secrets", "migrate"); err != nil {
		return err
	}
	for _, service := range []string{"secrets", "migrate"} {
		found, err := r.of(ctx, service)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("%s has %d containers", service, len(found))
		}
		waiting, cancel := context.WithTimeout(ctx, migrateWithin)
		code, err := r.cli.Output(waiting, "wait", found[0].ID)
		cancel()
		if err != nil {
			return err
		}
		if code = strings.TrimSpace(code); code != "0" {
			return fmt.Errorf("%s ended with exit code %s; %s", service, code, r.log(ctx, found[0]))
		}
	}
	return nil
}

// replace migrates, starts the image that app has now beside what runs, and lets it take over.
func (r *release) replace(ctx context.Context) error {
	if err := r.runOneShots(ctx); err != nil {
		return err
	}
	r.say("the tables are as the new release needs them")

	// From here on Nginx asks nobody who is not named to it: Docker's DNS names a replica as soon as it starts.
	fresh, err := r.try(ctx)
	if err != nil {
		return errors.Join(err, r.giveUp(ctx))
	}
	r.over = true

	// To stop half-way would leave more behind than to go on.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	if fresh[0].Image != r.running { // where only the number of replicas has changed, the release before stays that
		if err := r.tag(ctx, r.running, r.previous()); err != nil {
			return err
		}
	}
	if err := r.drain(ctx, r.old); err != nil {
		return err
	}
	r.say("the old release has answered what it had begun, and is gone")
	if err := r.release(ctx, fresh); err != nil {
		return err
	}
	r.say("done; make rollback undoes it")
	return nil
}

// try starts the new release and lets visitors have it, behind the back of the old one at first. It returns when the
// new one alone serves.
func (r *release) try(ctx context.Context) (fresh []container, err error) {
	if err := r.route(ctx, routing{servers: addresses(r.old)}, true); err != nil {
		return nil, err
	}
	if _, err := r.composeWithin(ctx, readyWithin, "up", "--detach", "--no-deps", "--no-recreate", "--no-build",
		"--scale", "app="+strconv.Itoa(len(r.old)+r.replicas), "app"); err != nil {
		return nil, err
	}
	if fresh, err = r.fresh(ctx); err != nil {
		return nil, err
	}
	r.say("the new release has started, beside the old one")
	if err := r.ready(ctx, fresh); err != nil {
		return nil, err
	}
	if fresh, err = r.fresh(ctx); err != nil { // with their addresses
		return nil, err
	}
	if err := r.ask(ctx, fresh); err != nil {
		return nil, err
	}
	r.say("it is ready, and answers")
	since := time.Now()
	if err := r.route(ctx, routing{servers: addresses(fresh), backups: addresses(r.old)}, false); err != nil {
		return nil, err
	}
	seen, err := r.watch(ctx, fresh, since)
	if err != nil {
		return nil, err
	}
	r.say("it has answered %d requests of visitors, and failed none", seen)
	return fresh, r.route(ctx, routing{servers: addresses(fresh)}, true)
}

// fresh returns the containers of the new release.
func (r *release) fresh(ctx context.Context) ([]container, error) {
	all, err := r.of(ctx, "app")
	if err != nil {
		return nil, err
	}
	old := ids(r.old)
	fresh := slices.DeleteFunc(all, func(c container) bool { return slices.Contains(old, c.ID) })
	if len(fresh) == 0 {
		return nil, errors.New("docker compose up has started no container of the new release")
	}
	return fresh, nil
}

// ready waits until all of the new release is healthy.
func (r *release) ready(ctx context.Context, fresh []container) error {
	var sick container
	err := await(ctx, readyWithin, func(ctx context.Context) error {
		now, err := docker.Inspect[container](ctx, r.cli, ids(fresh)...)
		if err != nil {
			return err
		}
		for _, c := range now {
			if c.healthy() {
				continue
			}
			sick = c
			if c.RestartCount > 0 || c.State.Status == "exited" {
				return hopeless{c.ill()}
			}
			return c.ill()
		}
		return nil
	})
	if err != nil && ctx.Err() == nil && sick.ID != "" {
		return fmt.Errorf("the new release does not become ready: %w\n%s", err, r.log(ctx, sick))
	}
	return err
}

// ask asks each of the new replicas directly for what a visitor may want, before any visitor does.
func (r *release) ask(ctx context.Context, fresh []container) error {
	for _, c := range fresh {
		for _, path := range []string{"/readyz", "/api/v1/posts", "/api/openapi.json"} {
			out, err := r.inWeb(ctx, "", `curl --silent --show-error --max-time 10 --output /dev/null --write-out '%{http_code}' --header "Host: www.$DOMAIN" "http://$0:8080$1"`,
				c.address(), path)
			if err == nil && strings.TrimSpace(out) != "200" {
				err = fmt.Errorf("it answers %s", strings.TrimSpace(out))
			}
			if err != nil {
				return fmt.Errorf("the new release fails its first requests: GET %s of %s: %w\n%s", path, c.name(), err, r.log(ctx, c))
			}
		}
	}
	return nil
}

// watch looks at what web logs of visitors' requests to the new replicas, for as long as the trial takes, and returns how
// many there were.
func (r *release) watch(ctx context.Context, fresh []container, since time.Time) (seen int, err error) {
	over := time.After(trialTime)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-over:
			ended = true // and look once more
		case <-tick.C:
		}
		text, err := r.docker(ctx, "logs", "--since", since.UTC().Format(time.RFC3339Nano), r.web.ID)
		if err != nil {
			return 0, err
		}
		var bad *failure
		if seen, bad = verdict(text, addresses(fresh)); bad != nil {
			at := slices.IndexFunc(fresh, func(c container) bool { return c.address() == bad.address })
			return 0, fmt.Errorf("the new release fails its first visitors, whom the old one has answered: %s\n%s", bad.what, r.log(ctx, fresh[at]))
		}
	}
	return seen, nil
}

// failure is a request that a replica failed.
type failure struct{ address, what string }

// verdict counts in web's log the requests that these addresses were asked, and returns the first that they failed.
func verdict(log string, addresses []string) (seen int, bad *failure) {
	for line := range strings.Lines(log) {
		var request struct {
			Method, URI string
			Addresses   string `json:"upstream_addr"`
			Statuses    string `json:"upstream_status"`
		}
		if json.Unmarshal([]byte(line), &request) != nil { // a message of Nginx
			continue
		}
		// a comma is between two tries of a request, a colon between two requests of one
		split := func(list string) []string { return strings.Split(strings.ReplaceAll(list, " : ", ", "), ", ") }
		statuses := split(request.Statuses)
		for i, address := range split(request.Addresses) {
			host, _, _ := strings.Cut(address, ":")
			if !slices.Contains(addresses, host) || i >= len(statuses) {
				continue
			}
			seen++
			if status, err := strconv.Atoi(statuses[i]); err == nil && status >= 500 {
				return seen, &failure{host, fmt.Sprintf("%s %s is answered with %d", request.Method, request.URI, status)}
			}
		}
	}
	return seen, nil
}

// drain stops containers in good order and removes them.
func (r *release) drain(ctx context.Context, list []container) error {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // compose.yaml gives each 20 s
	defer cancel()
	if _, err := r.cli.Output(ctx, append([]string{"stop"}, ids(list)...)...); err != nil {
		return err
	}
	_, err := r.cli.Output(ctx, append([]string{"rm"}, ids(list)...)...)
	return err
}

// giveUp takes the new release away, also after Ctrl-C.
func (r *release) giveUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	conf, err := r.conf(ctx)
	if err != nil {
		return err
	}
	to, pinned := routingOf(conf)
	old := addresses(r.old)
	if pinned && !slices.Equal(to.servers, old) {
		if err := r.route(ctx, routing{servers: old}, true); err != nil {
			return err
		}
	}
	all, err := r.of(ctx, "app")
	if err != nil {
		return err
	}
	keep := ids(r.old)
	rest := slices.DeleteFunc(all, func(c container) bool { return slices.Contains(keep, c.ID) })
	if len(rest) > 0 {
		if _, err := r.docker(ctx, append([]string{"rm", "--force"}, ids(rest)...)...); err != nil {
			return err
		}
	}
	if !pinned {
		return nil
	}
	return r.release(ctx, r.old)
}

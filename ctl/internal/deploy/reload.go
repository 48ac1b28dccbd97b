package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

// Reload checks the files that web and dns use and makes both load them. If one of the files is broken, nothing changes. No
// container is recreated.
func Reload(ctx context.Context, running *stack.Stack, out io.Writer) error {
	s, err := find(ctx, running, out)
	if err != nil {
		return err
	}
	dns, err := s.One(ctx, "dns")
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()

	if err := s.recover(ctx); err != nil {
		return err
	}
	// This passes on the text, because after an editor has saved by renaming, the container still sees the old file.
	template, err := os.ReadFile(filepath.Join(s.Dir, "nginx.conf"))
	if err != nil {
		return err
	}
	next, err := s.inWeb(ctx, string(template), `envsubst '${DOMAIN} ${SUBNET} ${HTTPS_PORT}'`) // as the image's entrypoint does
	if err != nil {
		return err
	}
	if err := s.candidate(ctx, "nginx.conf", next, false); err != nil {
		return fmt.Errorf("web refuses this nginx.conf, and nothing was changed:\n%w", err)
	}
	sum, err := s.checkDNS(ctx, dns)
	if err != nil {
		return fmt.Errorf("dns refuses this corefile or zone, and nothing was changed:\n%w", err)
	}
	if err := s.checkFiles(ctx); err != nil {
		return err
	}

	// Nginx reloads in any case: it includes the words of the error pages, and nothing shows which version of them is in
	// use.
	if _, err := s.adopt(ctx); err != nil {
		return err
	}
	s.tell.Say("Nginx has taken nginx.conf and the words of its error pages over")
	s.tell.Say("the static files are served as they are")
	if err := s.hasCorefile(ctx, dns, sum); err != nil {
		return err
	}
	s.tell.Say("dns serves this corefile, and a changed zone within two seconds")
	return nil
}

// checkFiles checks that web can read what it serves.
func (s *site) checkFiles(ctx context.Context) error {
	out, err := s.inWeb(ctx, "", `find /srv/web \( ! -readable -o -type d ! -executable \) 2>&1
		for file in index.html errors/error.html errors/error.json errors/words.conf; do [ -s "/srv/web/$file" ] || echo "/srv/web/$file is not there"; done`)
	if err != nil {
		return err
	}
	if out = strings.TrimSpace(out); out != "" {
		return fmt.Errorf("web cannot serve all of services/web, and nothing was changed; its user must be able to read:\n%s",
			strings.ReplaceAll(out, "/srv/web", "services/web"))
	}
	return nil
}

// checkDNS makes the running image check the host's present corefile and zone. It returns the checksum that the server logs
// when it serves that corefile.
func (s *site) checkDNS(ctx context.Context, dns docker.Container) (string, error) {
	run := slices.Concat([]string{"run", "--rm"}, docker.Confined, []string{"--network", "none", "--label", ours + "=" + s.project.Name, "--user", s.project.Services["dns"].User})
	for _, variable := range dns.Config.Env {
		run = append(run, "--env", variable)
	}
	for file, destination := range map[string]string{"corefile": "/etc/dns/corefile", "services/dns/zone": "/etc/dns/zone"} {
		run = append(run, "--mount", "type=bind,readonly,source="+filepath.Join(s.Dir, filepath.FromSlash(file))+",destination="+destination)
	}
	ctx, cancel := context.WithTimeout(ctx, stack.Brief)
	defer cancel()
	out, err := s.Command(ctx, append(run, dns.Image, "check")...).CombinedOutput()
	if said := strings.TrimSpace(string(out)); err != nil && said != "" && ctx.Err() == nil {
		return "", errors.New(said)
	}
	if err != nil {
		return "", fmt.Errorf("docker run: %w", cmp.Or(context.Cause(ctx), err))
	}
	sum := checkedSum.FindSubmatch(out)
	if sum == nil {
		return "", errors.New("this image of dns is older than this command: make up")
	}
	return string(sum[1]), nil
}

var checkedSum = regexp.MustCompile(`(?m)^SHA512 = ([0-9a-f]{128})$`)

var servesSum = regexp.MustCompile(`Running configuration SHA512 = ([0-9a-f]{128})`)

// hasCorefile waits until dns serves the corefile with that checksum. dns checks its file every two seconds.
func (s *site) hasCorefile(ctx context.Context, dns docker.Container, sum string) error {
	err := wait.Until(ctx, 8*time.Second, wait.Often, func(ctx context.Context) error {
		out, err := s.Command(ctx, "logs", dns.ID).CombinedOutput()
		if err != nil {
			return fmt.Errorf("docker logs: %w", cmp.Or(context.Cause(ctx), err))
		}
		said := servesSum.FindAllSubmatch(out, -1)
		if len(said) == 0 || string(said[len(said)-1][1]) != sum {
			return errors.New("dns still serves the corefile of before")
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w\nall else is reloaded. The file that this container has was replaced by another, as editors do that save by renaming. Only a restart\ntakes the new one: docker compose restart dns. Resolvers ask again meanwhile, for a few seconds; a file that is saved in place needs none", err)
	}
	return err
}

package lifecycle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"oneserver/ctl/internal/stack"
)

// ErrDeclined means that the user did not confirm: the answer was wrong, Ctrl-C was pressed, or there was nobody to ask.
var ErrDeclined = errors.New("not confirmed, so nothing was done")

// Reset removes the stack with its data, after asking for the project's name. With yes, it does not ask.
func Reset(ctx context.Context, s *stack.Stack, in *os.File, out *os.File, yes bool) error {
	project, err := s.Project(ctx)
	if err != nil {
		return err
	}
	doomed, err := list(ctx, s, project)
	if err != nil {
		return err
	}
	if len(doomed) == 0 {
		fmt.Fprintf(out, "%s has no container and no data: there is nothing to remove\n", project.Name)
		return nil
	}
	fmt.Fprintf(out, "This removes for good:\n  %s\n", strings.Join(doomed, "\n  "))
	if !yes {
		if err := Ask(ctx, in, out, project.Name, "bin/oneserver reset --yes"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := s.Command(ctx, "compose", "down", "--remove-orphans")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker compose down: %w; run make reset again to remove what is left", err)
	}
	names, kept, err := volumes(ctx, s, project)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if _, err := s.Output(ctx, append([]string{"volume", "rm"}, names...)...); err != nil {
			return fmt.Errorf("%w; run make reset again to remove what is left", err)
		}
	}
	if err := s.Disclaim(ctx); err != nil {
		return err
	}
	if kept != "" {
		fmt.Fprintf(out, "kept: the volume %s, with the site's certificates and the authority that you may have told a browser to trust; it goes with: docker volume rm %[1]s\n", kept)
	}
	return nil
}

// volumes returns the project's volumes to remove, and the one that is kept: a public authority issues the same certificate
// only five times a week, so issued certificates are not removed with the data.
func volumes(ctx context.Context, s *stack.Stack, project stack.Project) (names []string, kept string, err error) {
	out, err := s.Output(ctx, "volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+project.Name)
	if err != nil {
		return nil, "", err
	}
	for name := range strings.FieldsSeq(out) {
		if name == project.Volumes["certs"].Name {
			kept = name
			continue
		}
		names = append(names, name)
	}
	return names, kept, nil
}

// Ask makes the user type the project's name before something that cannot be undone. instead is the command that does not
// ask.
func Ask(ctx context.Context, in, out *os.File, project, instead string) error {
	if !term.IsTerminal(int(in.Fd())) {
		return fmt.Errorf("%w: there is no terminal to ask on; without asking: %s", ErrDeclined, instead)
	}
	fmt.Fprintf(out, "Type %s to go on: ", project)
	return confirm(ctx, in, project)
}

// confirm expects the answer on its own line.
func confirm(ctx context.Context, in io.Reader, answer string) error {
	read := make(chan string, 1)
	go func() { // a read from a terminal does not end with a context
		line, _ := bufio.NewReader(in).ReadString('\n') // Ctrl-D is an answer too: no
		read <- line
	}()
	select {
	case line := <-read:
		if line = strings.TrimSpace(line); line != answer {
			return fmt.Errorf("%w: the answer was %q, and %q was to be typed", ErrDeclined, line, answer)
		}
		return nil
	case <-ctx.Done():
		return ErrDeclined
	}
}

// list describes the containers and volumes of a project.
func list(ctx context.Context, s *stack.Stack, project stack.Project) ([]string, error) {
	containers, err := s.List(ctx, "--all", "--filter", "label=com.docker.compose.project="+project.Name)
	if err != nil {
		return nil, err
	}
	names, _, err := volumes(ctx, s, project)
	if err != nil {
		return nil, err
	}
	var doomed []string
	for _, c := range containers {
		doomed = append(doomed, fmt.Sprintf("container %s, %s", c.Title(), c.State.Status))
	}
	for _, name := range names {
		line := "volume    " + name
		if name == project.Volumes["data"].Name {
			line += describe(ctx, s, project, name)
		}
		doomed = append(doomed, line)
	}
	return doomed, nil
}

// describeData prints how large the data is and, if it was ever complete, since when. The engine is of no help here. It
// shows the last change of a volume's folder as the volume's creation time. To find one volume's size, it measures all
// layers and volumes, which can take minutes and continues even if nobody waits for it.
const describeData = `
printf ', %s MB' "$(du -sm /data | cut -f 1)"
if [ -f /data/stack_id ]; then date -u -r /data/stack_id '+, in use since %Y-%m-%d %H:%M UTC'; fi
`

// describe returns what is known about the data volume. Without web's image, which is needed to look into the volume, that
// is nothing.
func describe(ctx context.Context, s *stack.Stack, project stack.Project, volume string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	says, err := s.LookInto(ctx, project.Services["web"].Image, volume, "", describeData)
	if err != nil {
		return ""
	}
	return strings.TrimRight(says, "\n")
}

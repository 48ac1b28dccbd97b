package programs

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// images lists the images that others publish.
var images = []string{"mysql", "nginx", "golang"}

// named matches an image's name, with the registry and the folder that Docker puts before it, and the tag or digest.
var named = regexp.MustCompile(`^(?:\$\{\w+:?-)?(?:(?:docker\.io|index\.docker\.io)/)?(?:library/)?([a-z]+)(?:[:@].*|\})?$`)

func imageOf(name string) string {
	if match := named.FindStringSubmatch(name); match != nil && slices.Contains(images, match[1]) {
		return match[1]
	}
	return ""
}

// List reads a list of programs: names between blanks, comments from # on.
func List(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		names = append(names, strings.Fields(line)...)
	}
	return names, nil
}

// inScript returns what a script in a file calls in an image, apart from the command that the script is given.
func inScript(path, image string) ([]Call, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return called(path, image, string(text), true)
}

func called(at, image, script string, given bool) ([]Call, error) {
	names, err := inShell(script, given)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	var calls []Call
	for _, name := range names {
		calls = append(calls, Call{at, name, []string{image}})
	}
	return calls, nil
}

// inCompose returns the programs that the services of a compose file call in images that others publish: in commands, in
// health checks, and in mounted scripts.
func inCompose(path string, known map[string]string) ([]Call, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Services map[string]struct {
			Image       string
			Command     yaml.Node
			Entrypoint  yaml.Node
			Healthcheck struct{ Test yaml.Node }
			Volumes     []string
			PostStart   []struct{ Command yaml.Node } `yaml:"post_start"`
			PreStop     []struct{ Command yaml.Node } `yaml:"pre_stop"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var calls []Call
	for name, service := range file.Services {
		if image := imageOf(service.Image); image != "" {
			known[name] = image
		}
		image := known[name]
		if image == "" || service.Image != "" && imageOf(service.Image) == "" {
			continue
		}
		nodes := map[string]yaml.Node{"command": service.Command, "entrypoint": service.Entrypoint, "healthcheck": service.Healthcheck.Test}
		for i, hook := range slices.Concat(service.PostStart, service.PreStop) {
			nodes[fmt.Sprintf("hook %d", i+1)] = hook.Command
		}
		for what, node := range nodes {
			found, err := inNode(path+": "+name+"'s "+what, image, node)
			if err != nil {
				return nil, err
			}
			calls = append(calls, found...)
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			scripts := []string{filepath.Join(filepath.Dir(path), source)}
			if filepath.Ext(source) != ".sh" {
				if scripts, err = filepath.Glob(filepath.Join(scripts[0], "*.sh")); err != nil {
					return nil, err
				}
			}
			for _, script := range scripts {
				found, err := inScript(script, image)
				if err != nil {
					return nil, err
				}
				calls = append(calls, found...)
			}
		}
	}
	return calls, nil
}

// inNode returns what a command calls, whether it is written as a list or as a line of shell.
func inNode(at, image string, node yaml.Node) ([]Call, error) {
	var words []string
	if node.Kind == yaml.ScalarNode && node.Value != "" {
		words = []string{"CMD-SHELL", node.Value}
	} else if err := node.Decode(&words); err != nil && node.Kind != 0 {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if len(words) == 0 || words[0] == "NONE" {
		return nil, nil
	}
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "$$", "$")
	}
	switch words[0] {
	case "CMD-SHELL":
		found, err := called(at, image, words[1], false)
		return append(found, Call{at, "sh", []string{image}}), err
	case "CMD":
		words = words[1:]
	}
	return inWords(at, image, words)
}

// inWords returns the programs that a command calls, given as a list of words. A script of ours may be given a command to
// start, which begins with the first argument that is neither a file nor an option.
func inWords(at, image string, words []string) ([]Call, error) {
	if len(words) == 0 || ours(words[0]) || strings.HasPrefix(words[0], "-") {
		return nil, nil
	}
	calls := []Call{{at, words[0], []string{image}}}
	if !slices.Contains(shells, words[0]) || len(words) == 1 {
		return calls, nil
	}
	var more []Call
	var err error
	if commandOption(words[1]) {
		more, err = called(at, image, strings.Join(words[2:min(3, len(words))], ""), false)
	} else if i := slices.IndexFunc(words[1:], func(word string) bool { return !ours(word) && !strings.HasPrefix(word, "-") }); i >= 0 {
		more, err = inWords(at, image, words[1+i:])
	}
	return append(calls, more...), err
}

var (
	fromLine = regexp.MustCompile(`(?i)^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)
	runLine  = regexp.MustCompile(`(?is)^(?:ONBUILD\s+)?(?:RUN|CMD|ENTRYPOINT|SHELL|HEALTHCHECK\s.*?CMD)\s+(?:--\S+\s+)*(.*)`)
	heredoc  = regexp.MustCompile(`<<-?\s*["']?(\w+)["']?`)
)

// inDockerfile returns the programs that a Dockerfile's steps call in images that others publish.
func inDockerfile(path string) ([]Call, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var calls []Call
	stages, image := map[string]string{}, ""
	for _, step := range steps(string(text)) {
		if from := fromLine.FindStringSubmatch(step); from != nil {
			if image = imageOf(from[1]); image == "" {
				if image = stages[from[1]]; image == "" && strings.Contains(from[1], "$") {
					return nil, fmt.Errorf("%s: which image %s is, is known only when it is built", path, from[1])
				}
			}
			stages[from[2]] = image
			continue
		}
		run := runLine.FindStringSubmatch(step)
		if run == nil || image == "" {
			continue
		}
		var found []Call
		if strings.HasPrefix(run[1], "[") {
			var node yaml.Node
			if err := yaml.Unmarshal([]byte(run[1]), &node); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			found, err = inNode(path, image, *node.Content[0])
		} else {
			found, err = called(path, image, run[1], false)
			found = append(found, Call{path, "sh", []string{image}})
		}
		if err != nil {
			return nil, err
		}
		calls = append(calls, found...)
	}
	return calls, nil
}

// steps joins the lines of a Dockerfile that continue on the next one, and leaves out comments. A step includes the text
// that follows it as its input, which RUN takes as a script.
func steps(dockerfile string) []string {
	var all []string
	step := ""
	for lines := bufio.NewScanner(strings.NewReader(dockerfile)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		if before, goesOn := strings.CutSuffix(line, `\`); goesOn {
			step += before + " "
			continue
		}
		step += line
		var given strings.Builder
		for _, end := range heredoc.FindAllStringSubmatch(step, -1) {
			for lines.Scan() && strings.TrimLeft(lines.Text(), "\t") != end[1] {
				given.WriteString(lines.Text() + "\n")
			}
		}
		if given.Len() > 0 { // RUN <<EOF alone executes it; RUN program <<EOF passes it on
			step = heredoc.ReplaceAllString(step, "")
			step = strings.TrimRight(step, " ") + " \n" + given.String()
		}
		all = append(all, step)
		step = ""
	}
	return all
}

var composeLine = regexp.MustCompile(`docker compose[^|;&\n]*?\s(?:exec|run)(?:\s+-\S+)*\s+(web|db)\s+(\S+)([^\n|;&]*)`)

// inText returns the programs that docker compose commands call in web and in db, as people or make type them.
func inText(path string) ([]Call, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var calls []Call
	for _, match := range composeLine.FindAllStringSubmatch(string(text), -1) {
		image := map[string]string{"web": "nginx", "db": "mysql"}[match[1]]
		found, err := inWords(path, image, []string{strings.Trim(match[2], "`'\")")})
		if err != nil {
			return nil, err
		}
		calls = append(calls, found...)
	}
	return calls, nil
}

// In returns every program that the repository at root calls in images that others publish.
func In(root string) ([]Call, error) {
	known := map[string]string{} // which image a service runs
	var calls []Call
	each := func(look func(string) ([]Call, error), patterns ...string) error {
		for _, pattern := range patterns {
			paths, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				return err
			}
			for _, path := range paths {
				found, err := look(path)
				if err != nil {
					return err
				}
				calls = append(calls, found...)
			}
		}
		return nil
	}
	inside := func(image string) func(string) ([]Call, error) {
		return func(path string) ([]Call, error) { return inScript(path, image) }
	}
	steps := []error{
		each(func(path string) ([]Call, error) { return inCompose(path, known) }, "compose.yaml", "compose.*.yaml", "ctl/internal/*/compose.yaml"),
		each(inside("mysql"), "offline/mysql/*.sh"),
		each(inside("nginx"), "offline/nginx/*.sh"),
		each(inDockerfile, "services/*/Dockerfile", "ctl/Dockerfile", "ctl/*/*/Dockerfile"),
		each(inText, "Makefile", "*.md", "docs/*.md", "docs/*/*.md", ".github/*.md", ".ci/run"),
	}
	for _, err := range steps {
		if err != nil {
			return nil, err
		}
	}
	found, err := InGo(filepath.Join(root, "ctl"))
	return append(calls, found...), err
}

// Unknown returns the calls that are not on the list of the image or, if it may be one of several, not on the list of each.
func Unknown(calls []Call, lists map[string][]string) []string {
	var unknown []string
	for _, call := range calls {
		for _, image := range call.Images {
			name := call.Program[strings.LastIndex(call.Program, "/")+1:]
			if !slices.ContainsFunc(strings.Split(image, " or "), func(image string) bool { return slices.Contains(lists[image], name) }) {
				unknown = append(unknown, fmt.Sprintf("%s: %s, which the official image of %s is not known to have (offline/*/programs)", call.At, call.Program, image))
			}
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

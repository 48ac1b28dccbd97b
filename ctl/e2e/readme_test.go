package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each ```console block of the README is run as it stands there, line by line, and what it prints is compared with
// what the README shows. There, … stands for what differs from run to run: within a line for any text, alone on a line
// for any lines. The test copy's ports take the place of the default ones.
func TestTheReadmeTellsTheTruth(t *testing.T) {
	readme := read(t, filepath.Join(root, "README.md"))
	curlHome := t.TempDir() // curl goes to the test copy without a change to the command
	if err := os.WriteFile(filepath.Join(curlHome, ".curlrc"), []byte("connect-to = \"::127.0.0.1:"+site.httpPort+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ports := strings.NewReplacer("-p 1053", "-p "+site.dnsPort)

	steps := readmeSteps(readme)
	if len(steps) < 10 {
		t.Fatalf("the README shows only %d commands", len(steps))
	}
	for _, step := range steps {
		t.Run(step.command, func(t *testing.T) {
			cmd := site.command(t.Context(), "bash", "-c", ports.Replace(step.command))
			cmd.Env = append(cmd.Env, "CURL_HOME="+curlHome, "LC_ALL=C.UTF-8")
			got, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, got)
			}
			if !step.shows.MatchString(strings.TrimSpace(string(got))) {
				t.Errorf("it prints\n%s\nthe README shows\n%s", got, step.shown)
			}
		})
	}
}

type readmeStep struct {
	command string
	shown   string
	shows   *regexp.Regexp
}

// readmeSteps takes the commands (after "$ ", continued after a backslash) and what follows each out of the blocks.
func readmeSteps(readme string) []readmeStep {
	var steps []readmeStep
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```").FindAllStringSubmatch(readme, -1) {
		for _, part := range strings.Split("\n"+strings.ReplaceAll(block[1], "\\\n", " "), "\n$ ")[1:] {
			command, shown, _ := strings.Cut(part, "\n")
			step := readmeStep{command: command, shown: strings.TrimSpace(shown)}
			pattern := regexp.QuoteMeta(step.shown)
			pattern = regexp.MustCompile(`(?m)^…$`).ReplaceAllString(pattern, "(?s:.*)")
			pattern = strings.ReplaceAll(pattern, "…", ".*")
			if step.shown != "" { // a command that shows nothing may print what it likes
				step.shows = regexp.MustCompile("^" + pattern + "$")
			} else {
				step.shows = regexp.MustCompile("")
			}
			steps = append(steps, step)
		}
	}
	return steps
}

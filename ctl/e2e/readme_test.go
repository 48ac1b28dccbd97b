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
	curlHome := t.TempDir() // as on a terminal, curl shows no progress
	if err := os.WriteFile(filepath.Join(curlHome, ".curlrc"), []byte("silent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("-p 1053", "-p "+site.dnsPort, "oneserver_default", site.project+"_default", "172.28.0.", site.subnet+".",
		"www.foobar.com:80:127.0.0.1 http://www.foobar.com/", "www.foobar.com:"+site.httpPort+":127.0.0.1 http://www.foobar.com:"+site.httpPort+"/",
		"www.foobar.com:80:127.0.0.1 'http://www.foobar.com/", "www.foobar.com:"+site.httpPort+":127.0.0.1 'http://www.foobar.com:"+site.httpPort+"/")
	steps := readmeSteps(here.Replace(readme))
	if len(steps) < 10 {
		t.Fatalf("the README shows only %d commands", len(steps))
	}
	for _, step := range steps {
		t.Run(step.command, func(t *testing.T) {
			got, err := site.with("LC_ALL=C.UTF-8", "CURL_HOME="+curlHome).output(t.Context(), "bash", "-c", step.command)
			if err != nil {
				t.Fatal(err)
			}
			printed := strings.TrimSpace(strings.ReplaceAll(got, "\r\n", "\n")) + "\n"
			if !step.shows.MatchString(blanks.ReplaceAllString(printed, " ")) {
				t.Errorf("it prints\n%s\nthe README shows\n%s", printed, step.shown)
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
			steps = append(steps, readmeStep{command, strings.TrimSpace(shown), pattern(strings.TrimSpace(shown))})
		}
	}
	return steps
}

// blanks are as many as a table's columns need, which differs with what stands in them.
var blanks = regexp.MustCompile(`[ \t]+`)

// pattern matches what a command prints against what the README shows of it: … alone on a line is any lines or none,
// and elsewhere any text in its line. Where nothing is shown anything may be printed.
func pattern(shown string) *regexp.Regexp {
	if shown == "" {
		return regexp.MustCompile("")
	}
	var expression strings.Builder
	for line := range strings.Lines(blanks.ReplaceAllString(shown, " ") + "\n") {
		if line == "…\n" {
			expression.WriteString("(?:.*\n)*")
		} else {
			expression.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
		}
	}
	return regexp.MustCompile("^" + expression.String() + "$")
}

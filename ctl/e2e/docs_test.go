package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each ```console block of the README and of docs/ is run unchanged, line by line, and its output is compared with what the
// page shows. There, … stands for what differs from run to run: any text within a line, or any lines if it is alone on a
// line. The test copy's ports replace the default ones.
func TestThePagesTellTheTruth(t *testing.T) {
	ran := 0
	for _, page := range markdown(t) {
		ran += follow(t, site, root, page, "console")
	}
	if ran < 20 {
		t.Errorf("the pages show only %d commands", ran)
	}
}

// learner is the stack of a reader who follows the pages in a separate clone, since backups/ and drills/ in this one may
// hold somebody's files.
var learner = newCopy("oneserver-test-pages", "18096", "11067", "172.28.14")

// The same for blocks that take long or change more than they show (```console long).
func TestLongThePagesTellTheTruth(t *testing.T) {
	clone := t.TempDir()
	copyWorkingTree(t, clone)
	own := learner.with("COMPOSE_FILE=" + filepath.Join(clone, "compose.yaml"))
	t.Cleanup(func() {
		if err := own.remove(); err != nil {
			t.Error(err)
		}
	})
	if _, err := own.output(t.Context(), "make", "--directory", clone, "up"); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range markdown(t) {
		ran += follow(t, own, clone, page, "console long")
	}
	if ran < 5 {
		t.Errorf("the pages show only %d commands that take long", ran)
	}
}

// copyWorkingTree makes a clone that includes uncommitted changes: it copies every file that Git tracks or would add.
func copyWorkingTree(t *testing.T, to string) {
	t.Helper()
	files, err := site.output(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		from, at := filepath.Join(root, name), filepath.Join(to, name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // its removal is not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(read(t, from)), info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// markdown returns the README and every page of docs/, as paths in the repository.
func markdown(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md"}
	err := fs.WalkDir(os.DirFS(root), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// follow runs a page's blocks of one kind in the folder dir, and returns how many commands they contain.
func follow(t *testing.T, stack *copyOfStack, dir, page, kind string) int {
	t.Helper()
	text := read(t, filepath.Join(root, page))
	here := strings.NewReplacer("-p 1053", "-p "+stack.dnsPort, "oneserver_default", stack.project+"_default", "172.28.0.", stack.subnet+".",
		"https://www.foobar.com/", "https://www.foobar.com:"+stack.httpsPort+"/", "127.0.0.1:443,", "127.0.0.1:"+stack.httpsPort+",",
		"www.foobar.com:80:127.0.0.1 http://www.foobar.com/", "www.foobar.com:"+stack.httpPort+":127.0.0.1 http://www.foobar.com:"+stack.httpPort+"/",
		"www.foobar.com:80:127.0.0.1 'http://www.foobar.com/", "www.foobar.com:"+stack.httpPort+":127.0.0.1 'http://www.foobar.com:"+stack.httpPort+"/")
	steps := pageSteps(here.Replace(text), kind)
	if len(steps) == 0 {
		return 0
	}
	curlHome := t.TempDir() // no progress meter, which curl does not show on a terminal either
	if err := os.WriteFile(filepath.Join(curlHome, ".curlrc"), []byte("silent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reader := stack.with("LC_ALL=C.UTF-8", "CURL_HOME="+curlHome)
	t.Run(page, func(t *testing.T) {
		leaveEvidence(t, stack)
		for _, step := range steps {
			t.Run(step.command, func(t *testing.T) {
				got, err := reader.output(t.Context(), "bash", "-c", "unset MAKEFLAGS MAKELEVEL; cd '"+dir+"' && "+step.command)
				if err != nil {
					t.Fatal(err)
				}
				printed := strings.TrimSpace(strings.ReplaceAll(got, "\r\n", "\n")) + "\n"
				if !step.shows.MatchString(blanks.ReplaceAllString(printed, " ")) {
					t.Errorf("it prints\n%s\nthe page shows\n%s", printed, step.shown)
				}
			})
		}
	})
	return len(steps)
}

type pageStep struct {
	command string
	shown   string
	shows   *regexp.Regexp
}

// pageSteps extracts the commands (after "$ ", continued after a backslash) and the output shown below each from the blocks
// of one kind.
func pageSteps(page, kind string) []pageStep {
	var steps []pageStep
	for _, block := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```").FindAllStringSubmatch(page, -1) {
		for _, part := range strings.Split("\n"+strings.ReplaceAll(block[1], "\\\n", " "), "\n$ ")[1:] {
			command, shown, _ := strings.Cut(part, "\n")
			steps = append(steps, pageStep{command, strings.TrimSpace(shown), pattern(strings.TrimSpace(shown))})
		}
	}
	return steps
}

// blanks matches the space between a table's columns, whose width depends on their contents.
var blanks = regexp.MustCompile(`[ \t]+`)

// pattern returns an expression for the output that a page shows. An … alone on a line matches any number of lines, and
// elsewhere any text within its line. If the page shows nothing, any output matches.
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

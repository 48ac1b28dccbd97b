package main

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// texts returns the pages written for people, by their path in the repository.
func texts(t *testing.T) map[string]string {
	t.Helper()
	root := os.DirFS("..")
	all := map[string]string{}
	for _, pattern := range []string{"*.md", ".github/*.md", "docs/*.md", "docs/*/*.md"} {
		names, err := fs.Glob(root, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(root, name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(text)
		}
	}
	return all
}

var (
	block = regexp.MustCompile("(?ms)^```.*?^```")
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// links returns a page's links within the repository, each as a file and a heading in that file; the heading may be empty.
func links(page, text string) (to [][2]string) {
	for _, match := range link.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
		if strings.Contains(match[1], "://") {
			continue
		}
		file, heading, _ := strings.Cut(match[1], "#")
		if file == "" {
			file = page
		} else {
			file = path.Join(path.Dir(page), file)
		}
		to = append(to, [2]string{file, heading})
	}
	return to
}

// anchors returns the names that GitHub gives to the headings of a page.
func anchors(text string) []string {
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func TestEveryLinkInThePagesLeadsSomewhere(t *testing.T) {
	t.Parallel()
	all := texts(t)
	for page, text := range all {
		for _, to := range links(page, text) {
			if _, err := os.Stat(path.Join("..", to[0])); err != nil {
				t.Errorf("%s leads to %s: %v", page, to[0], err)
			}
			if to[1] != "" && !slices.Contains(anchors(all[to[0]]), to[1]) {
				t.Errorf("%s leads to %s#%s, which has only %q", page, to[0], to[1], anchors(all[to[0]]))
			}
		}
	}
}

func TestTheReadmeLeadsToEveryPage(t *testing.T) {
	t.Parallel()
	all := texts(t)
	reached := []string{"README.md"}
	for i := 0; i < len(reached); i++ {
		for _, to := range links(reached[i], all[reached[i]]) {
			if _, isPage := all[to[0]]; isPage && !slices.Contains(reached, to[0]) {
				reached = append(reached, to[0])
			}
		}
	}
	for page := range all {
		if !slices.Contains(reached, page) {
			t.Errorf("nothing that can be reached from README.md leads to %s", page)
		}
	}
}

func TestTheReadmeIsShort(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(texts(t)["README.md"], "\n"), "\n")
	if len(lines) > 150 {
		t.Errorf("README.md has %d lines, more than 150", len(lines))
	}
	for i, line := range lines {
		if n := utf8.RuneCountInString(line); n > 120 {
			t.Errorf("line %d of README.md has %d characters, more than 120", i+1, n)
		}
	}
}

// The pages use no curl option newer than version 7.81, which Ubuntu 22.04 has.
func TestThePagesNeedNoNewCurl(t *testing.T) {
	t.Parallel()
	newer := regexp.MustCompile(`--(json|url-query|rate|remove-on-error|no-clobber|variable|expand-[a-z]+|trace-ids|trace-config|ca-native|skip-existing|http3-only|follow)\b`)
	calls := 0
	for page, text := range texts(t) {
		for _, shown := range block.FindAllString(text, -1) {
			for line := range strings.Lines(strings.ReplaceAll(shown, "\\\n", "")) {
				if !strings.Contains(line, "curl ") {
					continue
				}
				calls++
				if found := newer.FindString(line); found != "" {
					t.Errorf("%s: curl 7.81 has no %s: %s", page, found, line)
				}
			}
		}
	}
	if calls < 5 {
		t.Errorf("the pages call curl %d times", calls)
	}
}

// CONTRIBUTING.md names only files that exist.
func TestContributingNamesFilesThatAreThere(t *testing.T) {
	t.Parallel()
	for _, match := range regexp.MustCompile("`([^` ]+)`").FindAllStringSubmatch(block.ReplaceAllString(texts(t)["CONTRIBUTING.md"], ""), -1) {
		name := match[1]
		top, _, below := strings.Cut(name, "/")
		if _, err := os.Stat(path.Join("..", top)); below && err != nil || !below && !strings.Contains(name, ".") || strings.ContainsAny(name, "$=…") || name == ".env" || strings.Contains(name, "NAME") {
			continue // a word, or a path relative to another one in the same sentence
		}
		if found, err := fs.Glob(os.DirFS(".."), strings.TrimSuffix(name, "/")); err != nil || len(found) == 0 {
			t.Errorf("CONTRIBUTING.md names %s, which is not there (%v)", name, err)
		}
	}
}

// Every make target that the pages name exists, and the README names all of them.
func TestThePagesNameTheTargetsOfTheMakefile(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, match := range regexp.MustCompile(`(?m)^([a-z-]+):.*## `).FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, match[1])
	}
	all := texts(t)
	for page, text := range all {
		for _, match := range regexp.MustCompile("(?m)(?:`|^\\$ |^)make ([a-z][a-z-]*)(( [a-z-]+)*)").FindAllStringSubmatch(text, -1) {
			for _, target := range strings.Fields(match[1] + match[2]) {
				if !slices.Contains(targets, target) {
					t.Errorf("%s names make %s, which the Makefile does not have", page, target)
				}
			}
		}
	}
	for _, target := range targets {
		if target != "help" && !strings.Contains(all["README.md"], "`make "+target+"`") {
			t.Errorf("README.md does not name make %s", target)
		}
	}
}

// Setting up a server takes ten commands at most, and the settings that they write exist.
func TestAServerTakesTenCommands(t *testing.T) {
	t.Parallel()
	_, after, found := strings.Cut(texts(t)["docs/server.md"], "\n```sh\n")
	commands, _, ended := strings.Cut(after, "\n```")
	if lines := strings.Split(commands, "\n"); !found || !ended || len(lines) > 10 {
		t.Errorf("docs/server.md begins with %d commands:\n%s", len(lines), commands)
	}
	known, err := os.ReadFile("../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	written := regexp.MustCompile(`\b([A-Z_]+)=`).FindAllStringSubmatch(commands, -1)
	for _, match := range written {
		if !strings.Contains(string(known), "\n"+match[0]) {
			t.Errorf("docs/server.md writes %s, which .env.example does not have", match[0])
		}
	}
	if len(written) < 4 {
		t.Errorf("docs/server.md writes %d settings", len(written))
	}
}

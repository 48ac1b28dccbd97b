package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// repository creates a folder with the Makefile and the given programs, which are shell scripts by name. make finds these
// before other programs of the same names.
func repository(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"Makefile": string(text), "ctl/main.go": ""}
	for name, script := range programs {
		files[name] = "#!/bin/sh\n" + script + "\n"
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runMake runs the real make in such a folder and returns the lines that it prints.
func runMake(t *testing.T, dir string, environment []string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") }),
		[]string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")}, environment)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("make %q: %v: %s", args, err, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
}

// makeUse says how a target uses a variable.
type makeUse struct {
	target, variable string
	want             func(value string) []string // the arguments after the command's name
}

// sqlAs returns docker's arguments for an SQL prompt with an account.
func sqlAs(account ...string) []string {
	return append([]string{"compose", "exec", "db", "sh", "-c",
		`export MYSQL_PWD="$(cat "/run/secrets/mysql_$1_password")"; exec mysql --user="$@" foobar`, "sql"}, account...)
}

// Values that a user passes to make, perhaps because someone else told them to, are only text: make runs nothing in them,
// and they arrive unchanged.
func TestMakeRunsNothingOfWhatItIsGiven(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("no make here")
	}
	ran := filepath.Join(t.TempDir(), "ran")
	const says = `printf '%s\n' "$@"` // its arguments, one per line
	dir := repository(t, map[string]string{"go": "", "docker": says, "bin/oneserver": says})
	dangerous := []string{
		"`touch " + ran + "`", "$(shell touch " + ran + ")", "$(touch " + ran + ")", "$$(touch " + ran + ")", "${shell touch " + ran + "}",
		`"; touch ` + ran + `; "`, `'; touch ` + ran + `; '`, "; touch " + ran,
	}
	odd := []string{"x\ttwo  words", `\`, `\"`, `"`, "'", "$", "$$HOME", "$(URL)", "#x", "*", "~", "%", "-x", "--help", "é\u202e"}
	uses := []makeUse{
		{"trace", "URL", func(v string) []string { return []string{"--", v} }},
		{"trust", "REMOVE", func(string) []string { return []string{"--remove"} }},
		{"bench", "ROWS", func(v string) []string { return []string{"--rows=" + v} }},
		{"deploy", "REPLICAS", func(v string) []string { return []string{"--replicas=" + v} }},
		{"backup", "KEEP", func(v string) []string { return []string{"--keep=" + v} }},
		{"backup", "KEY", func(v string) []string { return []string{"--key=" + v} }},
		{"restore", "FILE", func(v string) []string { return []string{"--", v} }},
		{"restore", "TO", func(v string) []string { return []string{"--to=" + v} }},
		{"restore", "KEY", func(v string) []string { return []string{"--key=" + v} }},
		{"restore", "UNSIGNED", func(string) []string { return []string{"--unsigned"} }},
		{"restart-db", "FORCE", func(string) []string { return []string{"--force"} }},
		{"cluster", "HOSTS", func(v string) []string { return []string{"--", v} }},
		{"cluster-recover", "WITHOUT", func(v string) []string { return []string{"--without=" + v} }},
		{"load", "FILE", func(v string) []string { return []string{"--", v} }},
		{"up", "BUILDX_BUILDER", func(string) []string { return nil }}, // Docker's own
		{"sql", "ROOT", func(string) []string { return sqlAs("root") }},
		// not used by the target, or not for its user to set
		{"up", "DOMAIN", func(string) []string { return nil }},
		{"up", "ANYTHING", func(string) []string { return nil }},
		{"up", "tool", func(string) []string { return nil }},
		{"up", "hint", func(string) []string { return nil }},
		{"up", "modules", func(string) []string { return nil }},
		{"up", "staticcheck", func(string) []string { return nil }},
		{"up", "actionlint", func(string) []string { return nil }},
	}
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\$\$\{?([A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
		if !slices.ContainsFunc(uses, func(u makeUse) bool { return u.variable == name[1] }) {
			t.Errorf("the Makefile uses %s, which this test does not know", name[1])
		}
	}
	if expanded := regexp.MustCompile(`\$[({][A-Z_]+[)}]`).FindString(string(text)); expanded != "" {
		t.Errorf("the Makefile has %s, which make expands and a shell reads: a recipe finds it in its environment, as $$NAME", expanded)
	}
	var all sync.WaitGroup
	for _, use := range uses {
		all.Go(func() {
			compare := func(value, from string, got []string) {
				want := use.want(value)
				if use.target != "sql" { // which calls docker
					want = append([]string{use.target}, want...)
				}
				if !slices.Equal(got, want) {
					t.Errorf("make %s with %s=%q in %s runs a program with %q, want %q", use.target, use.variable, value, from, got, want)
				}
			}
			for _, value := range dangerous {
				compare(value, "the command line", runMake(t, dir, nil, use.target, use.variable+"="+value))
				compare(value, "the environment", runMake(t, dir, []string{use.variable + "=" + value}, use.target))
			}
			if use.want("") == nil {
				return
			}
			for _, value := range odd {
				compare(value, "the command line", runMake(t, dir, nil, use.target, use.variable+"="+value))
			}
		})
	}
	all.Wait()
	if got := runMake(t, dir, nil, "sql"); !slices.Equal(got, sqlAs("app", "--host=127.0.0.1")) {
		t.Errorf("make sql runs docker with %q", got)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("something was run")
	}
}

// withoutGo puts the programs that the Makefile calls into a folder. The folder can then be the whole PATH, on any machine.
func withoutGo(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"awk", "cp", "find", "gzip", "mkdir", "mv", "tar", "touch", "uname"} {
		path, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(path, filepath.Join(dir, name))
		}
		if err != nil {
			t.Skip(err)
		}
	}
}

// A server needs no Go: if the tool is missing, Docker builds it, once, or it comes with the bundle.
func TestMakeHasTheToolOfTheseSources(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("no make here")
	}
	const (
		tool    = `echo "tool: $*"`
		goBuild = `echo "go: $*"; cp made bin/oneserver`
		docker  = `[ "$1" != build ] || { echo "docker: $1 of $(for last; do :; done; echo "$last")"; cp made bin/oneserver; }`
		broken  = `exit 1` // no golang image, and no registry
	)
	ago, later := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, c := range []struct {
		what, target string
		programs     map[string]string
		tool         time.Time // when the existing one was made; zero if there is none
		want         []string
	}{
		{"with Go", "up", map[string]string{"go": goBuild}, time.Time{}, []string{"go: build -C ctl -o ../bin/oneserver .", "tool: up"}},
		{"with Go, which knows itself what is new", "up", map[string]string{"go": goBuild}, later, []string{"go: build -C ctl -o ../bin/oneserver .", "tool: up"}},
		{"without Go", "up", map[string]string{"docker": docker}, time.Time{}, []string{"building bin/oneserver ...", "docker: build of ctl", "tool: up"}},
		{"without Go, of changed sources", "up", map[string]string{"docker": docker}, ago, []string{"building bin/oneserver ...", "docker: build of ctl", "tool: up"}},
		{"without Go, of the same sources", "up", map[string]string{"docker": broken}, later, []string{"tool: up"}},
		{"from a bundle", "load", map[string]string{"docker": broken}, time.Time{}, []string{"tool: load"}},
		{"from a bundle, in the place of an older one", "load", map[string]string{"docker": broken}, ago, []string{"tool: load"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			c.programs["made"] = tool
			if !c.tool.IsZero() {
				c.programs["bin/oneserver"] = tool
			}
			dir := repository(t, c.programs)
			withoutGo(t, dir)
			if c.tool.IsZero() {
				if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
					t.Fatal(err)
				}
			} else if err := os.Chtimes(filepath.Join(dir, "bin/oneserver"), c.tool, c.tool); err != nil {
				t.Fatal(err)
			}
			system, err := exec.Command("uname", "-s").Output()
			if err != nil {
				t.Fatal(err)
			}
			bundle := exec.Command("sh", "-c", `cp made "oneserver-$1" && touch -t 202001010000 "oneserver-$1" && tar -czf oneserver-images-x.tar.gz "oneserver-$1" && rm "oneserver-$1"`,
				"", strings.TrimSpace(string(system)))
			bundle.Dir = dir
			if out, err := bundle.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := runMake(t, dir, []string{"PATH=" + dir}, c.target); !slices.Equal(got, c.want) {
				t.Errorf("make %s prints %q, want %q", c.target, got, c.want)
			}
		})
	}
}

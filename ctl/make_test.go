package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// runMake runs the real make on the repository's Makefile, with the programs in bin before others, and returns the lines
// that it prints.
func runMake(t *testing.T, bin string, environment []string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", args...)
	cmd.Dir = ".."
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") }),
		append(environment, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("make %q: %v: %s", args, err, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
}

// makeUse is what a target does with a variable.
type makeUse struct {
	target, variable string
	want             func(value string) []string // the arguments behind the command's name
}

// sqlAs are docker's arguments for a prompt as an account.
func sqlAs(account ...string) []string {
	return append([]string{"compose", "exec", "db", "sh", "-c",
		`export MYSQL_PWD="$(cat "/run/secrets/mysql_$1_password")"; exec mysql --user="$@" foobar`, "sql"}, account...)
}

// What somebody gives to make, perhaps because another told them to, is text: nothing in it runs, and it arrives as it is.
func TestMakeRunsNothingOfWhatItIsGiven(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("no make here")
	}
	bin, ran := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	for _, name := range []string{"go", "docker"} { // each prints its arguments, a line each
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dangerous := []string{
		"`touch " + ran + "`", "$(shell touch " + ran + ")", "$(touch " + ran + ")", "$$(touch " + ran + ")", "${shell touch " + ran + "}",
		`"; touch ` + ran + `; "`, `'; touch ` + ran + `; '`, "; touch " + ran,
	}
	odd := []string{"x\ttwo  words", `\`, `\"`, `"`, "'", "$", "$$HOME", "$(URL)", "#x", "*", "~", "%", "-x", "--help", "é\u202e"}
	uses := []makeUse{
		{"trace", "URL", func(v string) []string { return []string{"--", v} }},
		{"bench", "ROWS", func(v string) []string { return []string{"--rows=" + v} }},
		{"deploy", "REPLICAS", func(v string) []string { return []string{"--replicas=" + v} }},
		{"backup", "KEEP", func(v string) []string { return []string{"--keep=" + v} }},
		{"backup", "KEY", func(v string) []string { return []string{"--key=" + v} }},
		{"restore", "FILE", func(v string) []string { return []string{"--", v} }},
		{"restore", "TO", func(v string) []string { return []string{"--to=" + v} }},
		{"restore", "KEY", func(v string) []string { return []string{"--key=" + v} }},
		{"restore", "UNSIGNED", func(string) []string { return []string{"--unsigned"} }},
		{"restart-db", "FORCE", func(string) []string { return []string{"--force"} }},
		{"load", "FILE", func(v string) []string { return []string{"--", v} }},
		{"sql", "ROOT", func(string) []string { return sqlAs("root") }},
		// of no use to the target, or not for its user to say
		{"up", "DOMAIN", func(string) []string { return nil }},
		{"up", "ANYTHING", func(string) []string { return nil }},
		{"up", "ctl", func(string) []string { return nil }},
		{"up", "hint", func(string) []string { return nil }},
		{"up", "modules", func(string) []string { return nil }},
		{"up", "staticcheck", func(string) []string { return nil }},
	}
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\$\$\{?([A-Z]+)`).FindAllStringSubmatch(string(text), -1) {
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
				if use.target != "sql" { // which needs no Go
					want = append([]string{"run", "-C", "ctl", ".", use.target}, want...)
				}
				if !slices.Equal(got, want) {
					t.Errorf("make %s with %s=%q in %s runs a program with %q, want %q", use.target, use.variable, value, from, got, want)
				}
			}
			for _, value := range dangerous {
				compare(value, "the command line", runMake(t, bin, nil, use.target, use.variable+"="+value))
				compare(value, "the environment", runMake(t, bin, []string{use.variable + "=" + value}, use.target))
			}
			if use.want("") == nil {
				return
			}
			for _, value := range odd {
				compare(value, "the command line", runMake(t, bin, nil, use.target, use.variable+"="+value))
			}
		})
	}
	all.Wait()
	if got := runMake(t, bin, nil, "sql"); !slices.Equal(got, sqlAs("app", "--host=127.0.0.1")) {
		t.Errorf("make sql runs docker with %q", got)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("something was run")
	}
}

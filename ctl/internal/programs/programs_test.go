package programs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

func lists(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, image := range images {
		names, err := List(filepath.Join(root, "offline", image, "programs"))
		if err != nil {
			t.Fatal(err)
		}
		all[image] = names
	}
	return all
}

func TestOnlyProgramsThatTheOfficialImagesHaveAreCalled(t *testing.T) {
	t.Parallel()
	calls, err := In(root)
	if err != nil {
		t.Fatal(err)
	}
	// One known call for each kind of place, so that a search that fails is not mistaken for one that finds nothing.
	for _, want := range []struct{ at, program, image string }{
		{"compose.yaml: web's healthcheck", "curl", "nginx"},
		{"services/hold.sh", "sleep", "nginx"},
		{"compose.yaml: db's command", "mysqld", "mysql"},
		{"compose.yaml: db's healthcheck", "bash", "mysql"},
		{"services/db/healthcheck.sh", "timeout", "mysql"},
		{"services/db/group.sh", "timeout", "mysql"},
		{"db-init/20-accounts.sh", "mysql", "mysql"},
		{"db-init/90-initialised.sh", "sync", "mysql"},
		{"offline/mysql/docker-entrypoint.sh", "gosu", "mysql"},
		{"offline/nginx/20-envsubst-on-templates.sh", "envsubst", "nginx"},
		{"services/app/Dockerfile", "go", "golang"},
		{"Makefile", "nginx", "nginx"},
		{"ctl/internal/deploy/reload.go", "envsubst", "nginx"},
		{"ctl/internal/backup/", "mysqldump", "mysql"},
		{"ctl/internal/stack/", "bash", "mysql"},
		{"ctl/e2e/", "mysqldump", "mysql"},
	} {
		if !slices.ContainsFunc(calls, func(c Call) bool {
			return strings.Contains(filepath.ToSlash(c.At), want.at) && c.Program == want.program && slices.Contains(c.Images, want.image)
		}) {
			t.Errorf("it does not see that %s calls %s in %s", want.at, want.program, want.image)
		}
	}
	for _, call := range Unknown(calls, lists(t)) {
		t.Error(call)
	}
}

// Each call is put into a repository that is otherwise empty.
func TestACallOfAProgramThatIsNotOnTheListIsSeen(t *testing.T) {
	t.Parallel()
	inGo := func(body string) string {
		return "package some\n\nconst first = `exec timeout 12h `\n\nfunc f(s *site, args ...string) {\n" + body + "\n}\n\n" +
			"func (s *site) inWeb(ctx context.Context, stdin, script string, args ...string) {\n\ts.cli.Command(ctx, append([]string{\"exec\", \"--interactive\", s.web.ID, \"sh\", \"-c\", script}, args...)...)\n}\n"
	}
	for _, c := range []struct{ what, path, text, want string }{
		{"docker exec", "ctl/a.go", inGo(`cli.Output(ctx, "exec", db.ID, "mysqlbinlog", "-")`), "mysqlbinlog"},
		{"compose exec", "ctl/a.go", inGo(`s.compose(ctx, "exec", "--no-TTY", "db", "mysqlcheck")`), "mysqlcheck"},
		{"docker run", "ctl/a.go", inGo(`s.output(ctx, "docker", "run", "--rm", "--network", "none", "--entrypoint", "ps", "nginx:1.30", "aux")`), "ps"},
		{"its arguments in a variable", "ctl/a.go", inGo("run := []string{\"run\", \"--rm\", \"--entrypoint\", \"bash\"}\nrun = append(run, \"--user\", \"0\")\ncli.Output(ctx, append(run, image, \"-c\", `vi`)...)"), "vi"},
		{"a script", "ctl/a.go", inGo(`cli.Output(ctx, "exec", db.ID, "sh", "-c", "cat /etc/hostname | hostname -F -")`), "hostname"},
		{"a script handed on", "ctl/a.go", inGo(`s.inWeb(ctx, "", "nc -z app 8080")`), "nc"},
		{"a script of constants", "ctl/a.go", inGo("script := first + `ip address; ` + name + ` `\ncli.Output(ctx, \"exec\", db.ID, \"bash\", \"-c\", script)"), "ip"},
		{"a container without a name", "ctl/a.go", inGo(`s.cli.Command(ctx, "exec", s.id, "bash", "-c", "mysqldump | htop")`), "htop"},
		{"after another program", "ctl/a.go", inGo("s.inWeb(ctx, \"\", `find / -exec file {} +`)"), "file"},
		{"in a substitution", "ctl/a.go", inGo("s.inWeb(ctx, \"\", `echo \"$(which nginx)\"`)"), "which"},
		{"a script that a function returns", "ctl/a.go", inGo(`s.inWeb(ctx, "", ask(s))`) + "func ask(s *site) string { return \"lsof -i \" + s.port }\n", "lsof"},
		{"a script in a builder", "ctl/a.go", inGo("var all strings.Builder\nall.WriteString(`pgrep ` + s.name)\ns.inWeb(ctx, \"\", all.String())"), "pgrep"},
		{"in eval", "ctl/a.go", inGo("s.inWeb(ctx, \"\", `eval \"exec ${root[1]}>&-\"; eval \"strace $1\"`)"), "strace"},
		{"what eval is given", "ctl/a.go", inGo("s.inWeb(ctx, \"\", `eval \"$1 x\"`)"), "9"},
		{"after an array", "ctl/a.go", inGo("s.inWeb(ctx, \"\", `limit=(timeout 5); \"${limit[@]}\" dig foobar.com`)"), "dig"},
		{"what cannot be seen", "ctl/a.go", inGo(`cli.Output(ctx, "exec", db.ID, program)`), "cannot be seen"},
		{"a script that cannot be seen", "ctl/a.go", inGo(`cli.Output(ctx, "exec", db.ID, "sh", "-c", read(file))`), "cannot be seen"},
		{"a health check", "compose.yaml", "services:\n  db: {image: mysql:9.7, healthcheck: {test: [CMD, mysqlshow]}}\n", "mysqlshow"},
		{"a health check in shell", "compose.yaml", "services:\n  web: {image: nginx:1.30, healthcheck: {test: [CMD-SHELL, \"wget -q http://127.0.0.1/ || exit 1\"]}}\n", "wget"},
		{"a command", "compose.yaml", "services:\n  db: {image: mysql:9.7, command: mysqld_safe --user=mysql}\n", "mysqld_safe"},
		{"a health check through a script of ours", "compose.yaml", "services:\n  web: {image: nginx:1.30, healthcheck: {test: [CMD, bash, /hold.sh, /run/told, pgrep, nginx]}}\n", "pgrep"},
		{"shell through a script of ours", "compose.yaml", "services:\n  web: {image: nginx:1.30, healthcheck: {test: [CMD, bash, /hold.sh, /run/told, sh, -c, 'ss -l | grep 80']}}\n", "ss"},
		{"an image's entrypoint", "offline/mysql/docker-entrypoint.sh", "#!/bin/bash\nexec setpriv --reuid=mysql \"$0\" \"$@\"\n", "setpriv"},
		{"an image's script", "offline/nginx/20.sh", "#!/bin/sh\ntimeout -s KILL 5 nice -n 5 pgrep nginx\n", "pgrep"},
		{"a build", "services/app/Dockerfile", "FROM golang:1.26 AS build\nRUN --mount=type=cache,target=/x go build && \\\n    # all of it\n    upx /app\nFROM scratch\n", "upx"},
		{"a stage on a stage", "services/app/Dockerfile", "FROM golang:1.26 AS base\nFROM base AS build\nRUN [\"make\", \"all\"]\n", "make"},
		{"a script after a cluster of options", "ctl/a.go", inGo(`s.inWeb(ctx, "", "bash -euc 'hexdump x'")`), "hexdump"},
		{"a script in a trap", "ctl/a.go", inGo("s.inWeb(ctx, \"\", `trap -- 'pkill nginx; rm x' EXIT; trap - INT`)"), "pkill"},
		{"a program in awk", "ctl/a.go", inGo("s.inWeb(ctx, \"\", `awk '{ system(\"ping \" $1) }' /etc/hosts`)"), "awk"},
		{"docker create", "ctl/a.go", inGo(`cli.Output(ctx, "create", "--name", name, "--entrypoint", "bash", mysqlImage, "-c", "mysqld & lsns")`), "lsns"},
		{"a script after a cluster of options, in a list", "compose.yaml", "services:\n  db: {image: mysql:9.7, command: [sh, -ec, 'rsync a b']}\n", "rsync"},
		{"an image with its registry", "compose.yaml", "services:\n  db: {image: 'docker.io/library/mysql:9.7', command: [mysqlpump]}\n", "mysqlpump"},
		{"an image that may be exchanged", "compose.yaml", "services:\n  web: {image: '${NGINX:-nginx:1.30}', command: [njs]}\n", "njs"},
		{"an image by its digest", "compose.yaml", "services:\n  web: {image: 'nginx@sha256:1234', command: [vim]}\n", "vim"},
		{"a hook", "compose.yaml", "services:\n  db: {image: mysql:9.7, pre_stop: [{command: [killall, mysqld]}]}\n", "killall"},
		{"a build's script", "services/app/Dockerfile", "FROM golang:1.26\nRUN <<EOF\ngo build\nzip /app.zip /app\nEOF\nCMD [\"go\"]\n", "zip"},
		{"a build's shell", "services/app/Dockerfile", "FROM golang:1.26\nSHELL [\"/bin/zsh\", \"-c\"]\n", "zsh"},
		{"a build on what nobody knows", "services/app/Dockerfile", "ARG BASE=mysql:9.7\nFROM ${BASE}\nRUN ls\n", "known only"},
		{"what people are told to type", "README.md", "```sh\ndocker compose exec db mysqlslap --help\n```\n", "mysqlslap"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, c.path)
			if err := os.MkdirAll(filepath.Join(dir, "ctl"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			calls, err := In(dir)
			said := strings.Join(Unknown(calls, lists(t)), "\n")
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, c.want) || strings.Count(said, "\n") > 1 {
				t.Errorf("it says %q, want %q alone", said, c.want)
			}
		})
	}
}

func TestAScriptThatIsMountedOrEmbeddedIsLookedInto(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"compose.yaml": "services:\n  db: {image: mysql:9.7, volumes: ['data:/data', './init:/docker-entrypoint-initdb.d:ro', './check.sh:/check.sh:ro']}\n",
		"init/10.sh":   "hostname >/tmp/name",
		"check.sh":     "if pidof mysqld; then \"$@\"; fi",
		"ctl/a.go":     "package a\n\n//go:embed a.sh\nvar a string\n\nfunc f() { cli.Output(ctx, \"exec\", web, \"sh\", \"-c\", a) }\n",
		"ctl/a.sh":     "less /etc/passwd",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	calls, err := In(dir)
	said := Unknown(calls, lists(t))
	if err != nil || len(said) != 3 || !strings.Contains(said[0], "pidof") || !strings.Contains(said[1], "less") || !strings.Contains(said[2], "hostname") {
		t.Errorf("%q, %v; want pidof, less and hostname", said, err)
	}
}

func TestWhatTheShellDoesItselfIsNoProgram(t *testing.T) {
	t.Parallel()
	got, err := inShell("f() { local x; printf %s \"$1\"; }\nset -e; f 1; while read -r line; do [[ $line ]] && exec 9>lock && flock --timeout 5 9; done; kill -9 \"$!\"; timeout --signal=KILL 12h mysql; A=1 env B=2 cat", false)
	if want := []string{"cat", "env", "flock", "mysql", "timeout"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

package images

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneserver/ctl/internal/stack"
)

// engine is a fake docker that remembers images: a file for each contains what `docker image inspect` prints. It can pull if
// there is a file called registry, and reports the container whose id is in the file called running.
const engine = `case "$1 $2" in
"compose config") echo '{"name":"some","services":{"db":{"image":"mysql:9.7"}}}' ;;
"image inspect") [ -e "$3" ] && cat "$3" || { echo '[]'; echo "No such image: $3" >&2; exit 1; } ;;
"image history") cat history ;;
"pull "*) [ -e registry ] || { echo 'no such host' >&2; exit 1; }; echo '[{"Id":"sha256:official"}]' >"$2" ;;
"ps --quiet") cat running ;;
"inspect --type") echo '[{"Name":"/some-db-1"}]' ;;
"build "*) echo '[{"Id":"sha256:built","Config":{"Labels":{"'"${6%%=*}"'":"'"${6#*=}"'"}}}]' >"$4" ;;
"info "*) echo '{"ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v0.29.0"}]}}' ;;
"context inspect") echo default ;;
"compose --progress") ;;
"version "*) echo linux arm64 ;;
"load --input") ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac`

func TestOnlyMakeImagesExchangesAStandInAndNotUnderAContainer(t *testing.T) {
	const old, official = `[{"Id":"sha256:old","Config":{"Labels":{"org.oneserver.stand-in":"0123"}}}]`, `[{"Id":"sha256:old"}]`
	images := func(ctx context.Context, cli *stack.Stack, out *Runner) error { return Renew(ctx, cli, out, true) }
	keep := func(ctx context.Context, cli *stack.Stack, out *Runner) error { return Renew(ctx, cli, out, false) }
	up := func(ctx context.Context, cli *stack.Stack, out *Runner) error { return Ensure(ctx, cli, out) }
	for _, c := range []struct {
		what     string
		do       func(context.Context, *stack.Stack, *Runner) error
		image    string // the one that is here; "current" is a stand-in of the present sources
		history  string
		registry bool
		running  string
		want     string // its id afterwards
		says     string
	}{
		{"make images takes the official one", images, old, "", true, "", "sha256:official", "mysql:9.7 is the official image"},
		{"also for a current stand-in", images, "current", "", true, "", "sha256:official", "mysql:9.7 is the official image"},
		{"without a registry a stand-in of old sources is built anew", images, old, "", false, "", "sha256:built", "is a stand-in"},
		{"and a current one stays", images, "current", "", false, "", "sha256:current", "mysql:9.7 is a stand-in from Debian packages"},
		{"as does one that a container runs on", images, old, "", true, "1a2b", "sha256:old", "some-db-1 runs on it (make down first)"},
		{"make test builds it anew, and asks no registry", keep, old, "", true, "", "sha256:built", "is a stand-in"},
		{"and leaves a current one alone", keep, "current", "", true, "", "sha256:current", "is a stand-in"},
		{"or one in use", keep, old, "", true, "1a2b", "sha256:old", "runs on it"},
		{"make up exchanges nothing", up, old, "", true, "", "sha256:old", ""},
		{"an official one is left alone", images, official, "", true, "", "sha256:old", "mysql:9.7 is the official image"},
		{"a stand-in of before the label is known by its making", keep, official, "RUN apt-get install mysql-server-core mysql-client-core", false, "", "sha256:built", "is a stand-in"},
	} {
		t.Run(c.what, func(t *testing.T) {
			cli, calls := fake(t, engine)
			write := func(name, text string) {
				t.Helper()
				path := filepath.Join(cli.Dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("offline/keep-only.sh", "rm")
			write("offline/mysql/programs", "mysql")
			if c.image == "current" {
				sum, err := sources(cli.Dir, "mysql:9.7")
				if err != nil {
					t.Fatal(err)
				}
				c.image = `[{"Id":"sha256:current","Config":{"Labels":{"org.oneserver.stand-in":"` + sum + `"}}}]`
			}
			write("mysql:9.7", c.image)
			write(baseImage, `[{"Id":"sha256:base"}]`)
			write("history", c.history)
			write("running", c.running)
			if c.registry {
				write("registry", "")
			}
			r, out := plain(t)
			if err := c.do(t.Context(), cli, r); err != nil {
				t.Fatal(err)
			}
			now, err := cli.Images(t.Context(), "mysql:9.7")
			if err != nil {
				t.Fatal(err)
			}
			if now["mysql:9.7"].ID != c.want || !strings.Contains(out.String(), c.says) {
				text, _ := os.ReadFile(calls)
				t.Errorf("it is %s, want %s; printed %q, want %q in it; docker was called with\n%s", now["mysql:9.7"].ID, c.want, out.String(), c.says, text)
			}
		})
	}
}

func TestAnArchiveExchangesNothing(t *testing.T) {
	const (
		labelled   = `{"os":"linux","architecture":"arm64","config":{"Labels":{"org.oneserver.stand-in":"0123"}}}`
		unlabelled = `{"os":"linux","architecture":"arm64"}`
	)
	const standIn, official = `{"Id":"sha256:old","Config":{"Labels":{"org.oneserver.stand-in":"0123"}}}`, `{"Id":"sha256:old"}`
	for _, c := range []struct{ here, inArchive, says string }{
		{standIn, labelled, ""},
		{official, unlabelled, ""},
		{"", unlabelled, ""},
		{standIn, unlabelled, "mysql:9.7 is a stand-in from Debian packages here and the official image in this archive"},
		{official, labelled, "mysql:9.7 is the official image here and a stand-in from Debian packages in this archive"},
	} {
		cli, calls := fake(t, engine)
		archive := archiveOf(t, map[string]string{"manifest.json": `[{"Config":"aa.json","RepoTags":["mysql:9.7"]}]`, "aa.json": c.inArchive})
		files := map[string]string{"archive": string(archive), "history": ""}
		if c.here != "" {
			files["mysql:9.7"] = "[" + c.here + "]"
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(cli.Dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, out := plain(t)
		err := Load(t.Context(), cli, r, "archive")
		text, _ := os.ReadFile(calls)
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(string(text), "load")) {
			t.Errorf("%s, and %s in the archive: %v, want %q; printed %q, docker was called with\n%s", c.here, c.inArchive, err, c.says, out, text)
		}
	}
}

// A stand-in's sources are its folder, with the list of programs in it, and the script that removes all other programs.
func TestASourceThatChangesChangesTheSumOfAStandIn(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name := range folders {
		sum, err := sources("../../..", name)
		if err != nil || len(sum) != 64 || seen[sum] != "" {
			t.Errorf("%s: %q, %v, as that of %q", name, sum, err, seen[sum])
		}
		seen[sum] = name
	}
}

func TestAnImageOfAnotherOriginThanTheOneThatRunsIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		use  Use
		says string // empty: all is well
	}{
		{Use{"mysql:9.7", StandIn, "db", StandIn}, ""},
		{Use{"mysql:9.7", Official, "", ""}, ""},
		{Use{"mysql:9.7", Official, "db", StandIn}, "db runs on a stand-in from Debian packages, and mysql:9.7 is now the official image"},
		{Use{"nginx:1.30", StandIn, "web", Official}, "web runs on the official image, and nginx:1.30 is now a stand-in"},
	} {
		if err := Exchanged([]Use{c.use}); (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "make down")) {
			t.Errorf("%+v: %v, want %q", c.use, err, c.says)
		}
	}
}

func TestTheImagesInUseAreSaidByName(t *testing.T) {
	t.Parallel()
	for want, uses := range map[string][]Use{
		"mysql:9.7 and nginx:1.30 are stand-ins from Debian packages":                    {{"mysql:9.7", StandIn, "", ""}, {"nginx:1.30", StandIn, "", ""}},
		"mysql:9.7 and nginx:1.30 are the official images":                               {{"mysql:9.7", Official, "", ""}, {"nginx:1.30", Official, "", ""}},
		"nginx:1.30 is a stand-in from Debian packages, mysql:9.7 is the official image": {{"mysql:9.7", Official, "", ""}, {"nginx:1.30", StandIn, "", ""}},
		"mysql:9.7 is a stand-in from Debian packages":                                   {{"mysql:9.7", Official, "db", StandIn}, {"nginx:1.30", "", "", ""}},
	} {
		if got := Describe(uses); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// On the real engine, this runs a container on an image whose name another image then takes.
func TestTheImageOfARunningContainerIsToldFromTheOneOfItsName(t *testing.T) {
	t.Parallel()
	const name = "ctl-test-origin"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("name: "+name+"\nservices: {web: {image: 'nginx:1.30'}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cli := stack.New(dir, append(os.Environ(), "COMPOSE_PROJECT_NAME="+name)...)
	here, err := cli.Images(t.Context(), "nginx:1.30", baseImage)
	if err != nil || len(here) != 2 || here["nginx:1.30"].Config.Labels[standInLabel] == "" {
		t.Skipf("it needs an engine with %s and a stand-in for nginx:1.30 (%v)", baseImage, err)
	}
	remove := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = cli.Output(ctx, "rm", "--force", name)
	}
	remove() // what a run that was killed has left
	t.Cleanup(remove)
	if _, err := cli.Output(t.Context(), "run", "--detach", "--rm", "--name", name, "--pull", "never", "--network", "none",
		"--label", "com.docker.compose.project="+name, "--label", "com.docker.compose.service=web", "--label", "com.docker.compose.oneoff=False",
		baseImage, "sleep", "600"); err != nil {
		t.Fatal(err)
	}
	uses, err := Uses(t.Context(), cli)
	if err != nil || len(uses) != 1 || uses[0] != (Use{"nginx:1.30", StandIn, "web", Official}) {
		t.Errorf("%+v, %v; want that web runs on what is no stand-in, and nginx:1.30 is one", uses, err)
	}
	if err := Exchanged(uses); err == nil {
		t.Error("the next start would replace it unasked")
	}
}

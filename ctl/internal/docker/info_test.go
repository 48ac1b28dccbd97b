package docker

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestVersionsAreReadAsDockersPartsWriteThem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text   string
		want   Version
		before bool // 20.10
	}{
		{"20.10.24+dfsg1", Version{20, 10}, false},
		{"19.03.15", Version{19, 3}, true},
		{"v2.40.3-desktop.1", Version{2, 40}, true},
		{"0.29.1+ds1", Version{0, 29}, true},
		{"28.0.0-rc.1", Version{28, 0}, false},
	}
	for _, test := range tests {
		got, err := ParseVersion(test.text)
		if err != nil || got != test.want || got.Before(Version{20, 10}) != test.before {
			t.Errorf("%q is read as %v, %v, before 20.10 %t; want %v, %t", test.text, got, err, got.Before(Version{20, 10}), test.want, test.before)
		}
	}
	if got, err := ParseVersion("latest"); err == nil {
		t.Errorf("latest is read as %v", got)
	}
}

// Each case imitates a release of the docker command that reports the failure in its own way.
func TestAnEngineThatDoesNotAnswerIsTold(t *testing.T) {
	const said = "Cannot connect to the Docker daemon"
	for _, test := range []struct{ release, script string }{
		{"20.10, which ends well", `printf '%s' '{"ServerErrors":["` + said + `"],"ClientInfo":{"Plugins":[{"Name":"compose","Version":"2.40.3-3"}]}}'`},
		{"28, which fails", `printf '%s' '{"ClientInfo":{"Plugins":[{"Name":"compose","Version":"2.40.3-3"}]}}'; echo "` + said + `" >&2; exit 1`},
	} {
		info, err := fake(t, `[ "$3" = "{{json .}}" ] || { echo json; exit; }; `+test.script).Info(t.Context())
		if err != nil || !strings.Contains(strings.Join(info.ServerErrors, " "), said) {
			t.Errorf("%s: %+v, %v; want an error of the server", test.release, info, err)
		}
		if version, wrong := info.Plugin(Compose); version != "2.40.3-3" || wrong != "" {
			t.Errorf("%s: Compose is %q, %q; want the client's plugins all the same", test.release, version, wrong)
		}
	}
}

func TestACancelledQuestionIsNotAnEngineThatDoesNotAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if info, err := fake(t, "echo {}").Info(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it finds %+v, %v; want %v", info, err, context.Canceled)
	}
}

func TestAPluginWillDoUnlessItIsKnownToBeTooOld(t *testing.T) {
	t.Parallel()
	type plugin = struct{ Name, Version, Err string }
	for _, test := range []struct {
		name    string
		plugin  plugin
		version string
		wrong   string
	}{
		{"new enough", plugin{"compose", "v2.24.0", ""}, "v2.24.0", ""},
		{"too old", plugin{"compose", "2.23.3-desktop.1", ""}, "2.23.3-desktop.1", "2.24 is the oldest"},
		{"of somebody's own making", plugin{"compose", "dev-a1b2c3", ""}, "dev-a1b2c3", ""},
		{"another", plugin{"scan", "v9.9.9", ""}, "", "not installed"},
		{"one that does not run", plugin{"compose", "", "exec format error"}, "", "not installed"},
	} {
		var info Info
		info.ClientInfo.Plugins = []plugin{test.plugin}
		version, wrong := info.Plugin(Compose)
		if version != test.version || (wrong == "") != (test.wrong == "") || !strings.Contains(wrong, test.wrong) {
			t.Errorf("%s: %q, %q; want %q, %q", test.name, version, wrong, test.version, test.wrong)
		}
	}
}

func TestImagesThatAreNotHereAreToldFromAnEngineThatIsGone(t *testing.T) {
	cli := fake(t, `case "$3" in
here) echo '[{"Id":"sha256:1","Architecture":"arm64","Size":7}]' ;;
old) echo '[]'; echo 'Error: No such image: old' >&2; exit 1 ;;
new) echo '[]'; echo 'Error response from daemon: no such image: new: No such image: new:latest' >&2; exit 1 ;;
*) echo '[]'; echo 'Cannot connect to the Docker daemon' >&2; exit 1 ;;
esac`)
	got, err := cli.Images(t.Context(), "old", "here", "new")
	if want := (Image{ID: "sha256:1", Architecture: "arm64", Size: 7}); err != nil || len(got) != 1 || !reflect.DeepEqual(got["here"], want) {
		t.Errorf("it finds %+v, %v; want %+v alone", got, err, want)
	}
	if got, err := cli.Images(t.Context(), "here", "gone"); err == nil {
		t.Errorf("without an engine it finds %+v", got)
	}
}

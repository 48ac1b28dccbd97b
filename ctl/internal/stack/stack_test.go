package stack

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheRootIsFoundFromAnywhereInTheRepository(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	deep := filepath.Join(root, "services", "web")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := FindRoot(deep); err == nil {
		t.Errorf("without a compose.yaml it finds %s", got)
	}
	if err := os.WriteFile(filepath.Join(root, "compose.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, deep} {
		if got, err := FindRoot(dir); err != nil || got != root {
			t.Errorf("from %s it finds %q, %v; want %s", dir, got, err, root)
		}
	}
}

func TestEverySettingIsDocumentedWithItsDefault(t *testing.T) {
	t.Parallel()
	got, err := New("../../..").Defaults()
	if err != nil {
		t.Fatal(err)
	}
	delete(got, "GOPROXY") // GOPROXY concerns builds and is Go's own
	text, err := os.ReadFile("../../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	documented := Settings{}
	for line := range strings.Lines(string(text)) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), "="); is && !strings.HasPrefix(line, "#") {
			documented[name] = value
		}
	}
	if !maps.Equal(got, documented) {
		t.Errorf("compose.yaml has %q, .env.example %q", got, documented)
	}
}

func TestWithoutComposeTheEnvironmentStillCounts(t *testing.T) {
	t.Parallel()
	got, err := New("../../..", "DOMAIN=example.net", "DOMAIN=example.org", "HTTP_PORT=").EnvironmentSettings()
	if err != nil || got["DOMAIN"] != "example.org" || got["HTTP_PORT"] != "80" {
		t.Errorf("the settings are %q, %v; want the last DOMAIN, and the default for an empty HTTP_PORT", got, err)
	}
}

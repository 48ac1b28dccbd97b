package e2e

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A stand-in with more programs than the official image could make the stack's tests pass with the stand-in only.
func TestAStandInHasNoProgramThatTheOfficialImageIsNotKnownToHave(t *testing.T) {
	t.Parallel()
	for image, folder := range map[string]string{"mysql:9.7": "mysql", "nginx:1.30": "nginx", "golang:1.26": "golang"} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			label, err := site.output(t.Context(), "docker", "image", "inspect", "--format", `{{index .Config.Labels "org.oneserver.stand-in"}}`, image)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(label) == "" {
				t.Skip("it is the official image")
			}
			list, err := os.ReadFile("../../offline/" + folder + "/programs")
			if err != nil {
				t.Fatal(err)
			}
			known := strings.Fields(regexp.MustCompile(`#.*`).ReplaceAllString(string(list), ""))
			found, err := site.output(t.Context(), "docker", "run", "--rm", "--pull", "never", "--network", "none", "--user", "0", "--entrypoint", "find", image,
				"/", "-xdev", "!", "-path", "/usr/local/go/*", "!", "-path", "/.dockerenv",
				"(", "-type", "f", "-perm", "/111", "!", "-name", "*.so", "!", "-name", "*.so.*", "-o", "-type", "l", "-path", "*bin/*", ")")
			if err != nil {
				t.Fatal(err)
			}
			paths := strings.Fields(found)
			if len(paths) < 50 {
				t.Fatalf("it has %q", paths)
			}
			for _, program := range paths {
				in := []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/", "/docker-entrypoint.d"}
				if !slices.Contains(known, path.Base(program)) || !slices.Contains(in, path.Dir(program)) {
					t.Errorf("it has %s", program)
				}
			}
		})
	}
}

// Starting or examining the stack shows whether its images are the official ones. TestImagesTravelInOneArchive checks the
// same for bundling.
func TestItIsSaidWhichImagesAreInUse(t *testing.T) {
	for _, command := range []string{"up", "doctor"} {
		out, err := site.ctl(t.Context(), nil, command)
		if err != nil {
			t.Fatal(err)
		}
		saysWhichImages(t, command, out)
	}
}

// saysWhichImages checks that a command's output says of both third-party images whether they are stand-ins.
func saysWhichImages(t *testing.T, command, out string) {
	t.Helper()
	for _, image := range []string{"mysql:9.7", "nginx:1.30"} {
		label, err := site.output(t.Context(), "docker", "image", "inspect", "--format", `{{index .Config.Labels "org.oneserver.stand-in"}}`, image)
		if err != nil {
			t.Fatal(err)
		}
		words := "the official image"
		if strings.TrimSpace(label) != "" {
			words = "stand-in"
		}
		if !regexp.MustCompile(regexp.QuoteMeta(image) + `\b[^\n]*` + words).MatchString(out) {
			t.Errorf("%s does not say that %s is %s:\n%s", command, image, words, out)
		}
	}
}

package e2e

import (
	"path"
	"slices"
	"strings"
	"testing"

	"oneserver/ctl/internal/programs"
)

// A stand-in that can more than what it stands for would let the stack pass on the stand-in alone.
func TestAStandInHasNoProgramThatTheOfficialImageIsNotKnownToHave(t *testing.T) {
	t.Parallel()
	for image, folder := range map[string]string{"mysql:9.7": "mysql", "nginx:1.30": "nginx", "golang:1.26": "golang"} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			label, err := site.output(t.Context(), "docker", "image", "inspect", "--format", `{{index .Config.Labels "org.oneserver.stand-in"}}`, image)
			if err != nil || strings.TrimSpace(label) == "" {
				t.Skipf("it is no stand-in (%v)", err)
			}
			known, err := programs.List("../../offline/" + folder + "/programs")
			if err != nil {
				t.Fatal(err)
			}
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

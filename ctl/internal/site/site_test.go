package site

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// To serve another application, only this package needs to change. No other package contains a path of the application, or
// the name of its database or of a table, except those that compare with this very application.
func TestNothingElseKnowsTheApplication(t *testing.T) {
	t.Parallel()
	known := regexp.MustCompile(`/api/|/readyz|\bfoobar(_|\W?$|\s)|\bposts\b|\bidempotency_keys\b|` + Versions)
	about := map[string]bool{"site": true, "bench": true, "abuse": true}
	files := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && about[entry.Name()] {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING && known.MatchString(literal.Value) {
				t.Errorf("%s knows the application: %s", set.Position(literal.Pos()), literal.Value)
			}
			return true
		})
		return nil
	})
	if err != nil || files < 30 {
		t.Errorf("looked into %d files, %v", files, err)
	}
}

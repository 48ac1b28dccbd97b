package backup

import (
	"context"
	"io"
	"strings"
	"testing"

	"oneserver/ctl/internal/docker/dockertest"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
)

// answers puts a shell script in the place of docker. It finds its call in $*, and the statements for MySQL in $sql.
func answers(t *testing.T, script string) database {
	t.Helper()
	dockertest.Replace(t, "sql=$(cat)\ncase \"$*$sql\" in\n"+script+"esac\n")
	s := stack.New("")
	return database{s.Database(), s}
}

func TestARestoreKnowsWhetherTheDataWasPutInPlace(t *testing.T) {
	const (
		tables = "*'table_schema, table_name'*) printf 'foobar\\tposts\\nfoobar_restore\\tposts\\n' ;;\n*schemata*) printf 'utf8mb4\\tutf8mb4_bin\\n' ;;\n"
		lost   = "*RENAME*) echo 'Lost connection' >&2; exit 1 ;;\n"
		gone   = "*'DROP USER'*) echo 'cannot connect' >&2; exit 1 ;;\n"
		asked  = "*\"'foobar_before'\"*) echo "
	)
	for name, test := range map[string]struct {
		script  string
		swapped bool
		says    string // nothing if there is no error
	}{
		"it is done":                          {tables, true, ""},
		"it is done, and the answer was lost": {tables + lost + asked + "1 ;;\n", true, ""},
		"it is not done":                      {tables + lost + asked + "0 ;;\n", false, "Lost connection"},
		"MySQL does not answer any more":      {tables + lost + gone, true, "another restore would drop them"},
	} {
		swapped, err := answers(t, test.script).swap(t.Context())
		if swapped != test.swapped || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %t, %v; want %t and %q", name, swapped, err, test.swapped, test.says)
		}
	}
}

func TestCtrlCDoesNotStopTheMigrationsOfARestore(t *testing.T) {
	d := answers(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.migrate(ctx, terminal.NewTeller(io.Discard)); err != nil {
		t.Error(err)
	}
}

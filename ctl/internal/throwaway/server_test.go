package throwaway

import (
	"os"
	"strings"
	"testing"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
)

func TestX(t *testing.T) {
	if os.Getenv("THROW") == "" {
		t.Skip()
	}
	cli := docker.CLI{Dir: "../../.."}
	p, err := stack.ReadProject(t.Context(), cli)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), cli, p, "try")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.SQL(t.Context(), "SELECT @@version, @@server_uuid, @@gtid_mode; SHOW VARIABLES LIKE 'relay%'")
	t.Log(rows, err)
	t.Log(s.Put(t.Context(), "x", strings.NewReader("hello")))
	if os.Getenv("THROW") == "kill" {
		os.Exit(9)
	}
	t.Log(s.Remove())
	t.Log(s.Log())
}

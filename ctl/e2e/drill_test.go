package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// drillResult is the part of a drill's summary.json that the tests read.
type drillResult struct {
	Result struct {
		Findings []struct {
			Action struct {
				Name    string
				Healthy int64 `json:"healthy_ns"`
			}
			Kinds map[string]struct{ Of, Failed int }
		}
		Writes struct {
			Acknowledged     int
			Lost, Duplicated []string
		}
	}
}

// drill starts a drill on the shared copy, with its report in a folder of the test. While the drill runs, wait calls line
// with each line printed; at the end, it returns the whole output and how the drill ended.
func drill(t *testing.T, line func(string), args ...string) (dir string, process *os.Process, wait func() (string, error)) {
	t.Helper()
	dir = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	stop := context.AfterFunc(running, cancel)
	t.Cleanup(func() { stop(); cancel() })
	cmd := site.command(ctx, tool(), append([]string{"drill", "--out", dir}, args...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return dir, cmd.Process, func() (string, error) {
		var printed strings.Builder
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			printed.WriteString(lines.Text() + "\n")
			line(lines.Text())
		}
		err := cmd.Wait()
		return printed.String(), err
	}
}

func readDrill(t *testing.T, dir string) drillResult {
	t.Helper()
	var results []drillResult
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "summary.json"))), &results); err != nil || len(results) != 1 {
		t.Fatalf("summary.json holds %d drills, %v", len(results), err)
	}
	return results[0]
}

// traces returns what a drill could leave behind: its account, its posts, its containers and its lines in files. It includes
// the copy's images and containers, so that two results show what has changed.
func traces(t *testing.T) string {
	t.Helper()
	rows, err := site.sql(t.Context(), "root", `SELECT COUNT(*) FROM foobar.users WHERE email LIKE '%@drill.invalid';
		SELECT COUNT(*) FROM foobar.posts WHERE title LIKE 'drill-%'`)
	if err != nil {
		t.Fatal(err)
	}
	containers, err := site.output(t.Context(), "docker", "ps", "--all", "--filter", "label=com.docker.compose.project="+site.project,
		"--format", "{{.Names}} {{.Image}}")
	if err != nil {
		t.Fatal(err)
	}
	states := strings.Split(strings.TrimSpace(containers), "\n")
	slices.Sort(states)
	all, err := site.containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"dns", "web", "app", "db"} {
		states = append(states, service+" "+all[service].State.Status)
	}
	images, err := site.output(t.Context(), "docker", "image", "inspect", "--format", "{{.Id}}", "nginx:1.30", "oneserver-app")
	if err != nil {
		t.Fatal(err)
	}
	files := read(t, filepath.Join(root, "nginx.conf")) + read(t, filepath.Join(root, "services/web/index.html"))
	if strings.Contains(files, "oneserver-drill") {
		t.Error("a drill has left a line in nginx.conf or index.html")
	}
	return rows + "\n" + strings.Join(states, "\n") + "\n" + images
}

func TestADrillMeasuresAKillAndLeavesTheStackAsItWas(t *testing.T) {
	before, process := traces(t), mainProcess(t, "app")
	dir, _, wait := drill(t, func(string) {}, "spof", "--action", "kill-app", "--rate", "50")
	printed, err := wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	t.Logf("it printed\n%s", printed)
	if mainProcess(t, "app") == process {
		t.Error("app is the same process: nobody killed it")
	}
	if !strings.Contains(printed, "kill -9 app") || !strings.Contains(printed, site.project) {
		t.Errorf("it does not say what it did, and to which project:\n%s", printed)
	}
	result := readDrill(t, dir).Result
	if len(result.Findings) != 1 || result.Findings[0].Action.Name != "kill -9 app" || result.Findings[0].Action.Healthy == 0 {
		t.Fatalf("it found %+v", result.Findings)
	}
	if writes := result.Writes; writes.Acknowledged < 20 || len(writes.Lost)+len(writes.Duplicated) != 0 {
		t.Errorf("%d writes were acknowledged; lost %q, stored twice %q", writes.Acknowledged, writes.Lost, writes.Duplicated)
	}
	if lookups := result.Findings[0].Kinds["lookup"]; lookups.Of == 0 || lookups.Failed*10 > lookups.Of { // a busy machine may lose a datagram
		t.Errorf("dns, which nobody killed: %+v", lookups)
	}
	for _, name := range []string{"report.html", "spof.svg", "spof.jsonl"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, errors.Join(err, errors.New("it is too small to hold anything")))
		}
	}
	if after := traces(t); after != before {
		t.Errorf("before the drill there was\n%s\nand after it\n%s", before, after)
	}
}

// A database that acknowledges before it writes loses what it had in memory. A drill that missed this could not be trusted
// about any other database. The database may happen to write just before it is killed, and then nothing is lost, but not
// four times in a row.
func TestADrillCatchesADatabaseThatForgets(t *testing.T) {
	for attempt := range 4 {
		forgetful := false
		dir, _, wait := drill(t, func(line string) {
			if forgetful || !strings.Contains(line, "the load is on") { // not before, as the drill's account must not be lost
				return
			}
			forgetful = true // until db starts again, with the settings of compose.yaml
			_, err := site.sql(t.Context(), "root", `SET GLOBAL innodb_flush_log_at_trx_commit = 0, innodb_flush_log_at_timeout = 2700, sync_binlog = 0`)
			if err != nil {
				t.Error(err)
			}
		}, "spof", "--action", "kill-db", "--rate", "120")
		printed, err := wait()
		if !forgetful {
			t.Fatalf("it never said that its load is on: %v\n%s", err, printed)
		}
		writes := readDrill(t, dir).Result.Writes
		t.Logf("attempt %d: of %d acknowledged writes, the drill found %d lost", attempt+1, writes.Acknowledged, len(writes.Lost))
		if len(writes.Lost) == 0 {
			continue
		}
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("it ends with %v, want the exit code 1\n%s", err, printed)
		}
		if !strings.Contains(printed, "writes are not as they were acknowledged") {
			t.Errorf("it does not say so:\n%s", printed)
		}
		return
	}
	t.Error("the drill never found a lost write")
}

func TestAnInterruptedDrillLeavesTheStackAsItWas(t *testing.T) {
	for _, test := range []struct{ drill, action, says string }{
		{"spof", "freeze-db", "freeze db"},
		{"maintenance", "web-image", "a new Nginx image"},
	} {
		t.Run(test.action, func(t *testing.T) {
			before := traces(t)
			var process *os.Process
			dir, process, wait := drill(t, func(line string) {
				if strings.Contains(line, "s  "+test.says) { // the action has begun
					if err := process.Signal(os.Interrupt); err != nil {
						t.Error(err)
					}
				}
			}, test.drill, "--action", test.action, "--rate", "20")
			printed, err := wait()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("it ends with %v, want the exit code 1", err)
			}
			if !strings.Contains(printed, "interrupted; the stack is as the drill found it") {
				t.Errorf("it says\n%s", printed)
			}
			if _, err := os.Stat(filepath.Join(dir, "report.html")); err == nil {
				t.Error("it has written a report although it was interrupted")
			}
			if after := traces(t); after != before {
				t.Errorf("before the drill there was\n%s\nand after it\n%s", before, after)
			}
			newScenario(t, site).Then(30*time.Second, healthy("dns"), healthy("web"), healthy("app"), healthy("db"))
		})
	}
}

func TestADrillTouchesNoProjectThatIsNotRunning(t *testing.T) {
	out, err := site.ctl(t.Context(), nil, "drill", "spof", "--project", site.project+"-other")
	if err == nil || !strings.Contains(out, site.project+"-other") || !strings.Contains(out, "make up") {
		t.Errorf("it says %q, %v", out, err)
	}
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/doctor"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/terminal"
	"oneserver/ctl/internal/wait"
)

// How long an idle stack is measured, and how long it has been left alone before.
const (
	settleTime = time.Minute
	idleTime   = 5 * time.Minute
)

// idleEngine is the name under which Idle counts the engine.
const idleEngine = "the engine"

// Idle is what the running stack uses while nobody visits it.
type Idle struct {
	Seconds float64            `json:"seconds"`
	CPU     map[string]float64 `json:"cpu_percent_of_one_core"` // by service, and of the engine
	Memory  map[string]int64   `json:"memory_bytes"`            // by service, as docker stats counts it
}

// MeasureIdle leaves the running stack alone for a minute, and then measures it for five. The engine's part is known only if
// it runs on this machine, under Linux; it includes the processes that the engine starts, such as health checks, and so
// counts a health check's own work twice.
func MeasureIdle(ctx context.Context, s *stack.Stack, out *os.File) (report Idle, err error) {
	all, err := s.Containers(ctx)
	if err != nil {
		return Idle{}, err
	}
	if err := s.AwaitHealthy(ctx, patience, nil); err != nil {
		return Idle{}, fmt.Errorf("the stack must be up and healthy: make up; %w", err)
	}
	here, err := doctor.Local(ctx, s)
	if err != nil {
		return Idle{}, err
	}
	tell := terminal.NewTeller(out)
	tell.Now("leaving the stack alone for %s", settleTime)
	if err := wait.For(ctx, settleTime); err != nil {
		return Idle{}, tell.Fail(err)
	}
	tell.Done("left the stack alone")
	tell.Now("measuring it for %s", idleTime)
	began := time.Now()
	before, err := usage(ctx, s.CLI, all, here)
	if err == nil {
		err = wait.For(ctx, idleTime)
	}
	if err != nil {
		return Idle{}, tell.Fail(err)
	}
	after, err := usage(ctx, s.CLI, all, here)
	if err != nil {
		return Idle{}, tell.Fail(err)
	}
	took := time.Since(began)
	tell.Done("measured it")
	report = Idle{Seconds: took.Seconds(), CPU: map[string]float64{}, Memory: map[string]int64{}}
	for name, now := range after {
		report.CPU[name] = 100 * (now.CPU - before[name].CPU).Seconds() / took.Seconds()
		if name != idleEngine {
			report.Memory[name] = now.Memory
		}
	}
	return report, nil
}

// usage returns what each service has used so far, and the engine if it is here and can be seen.
func usage(ctx context.Context, cli docker.CLI, all []docker.Container, here bool) (used map[string]docker.Usage, err error) {
	meters := docker.Meters{} // for one reading, since the engine ends connections that are idle for minutes
	defer func() { err = errors.Join(err, meters.Close()) }()
	for _, c := range all {
		if !c.Running() {
			continue
		}
		if err := meters.Add(ctx, cli, c); err != nil {
			return nil, err
		}
	}
	used, err = meters.Read()
	if err != nil {
		return nil, err
	}
	if engine := engineCPU("/proc"); here && engine > 0 {
		used[idleEngine] = docker.Usage{CPU: engine}
	}
	return used, err
}

// engineCPU returns the CPU time so far of the engine's processes and of those that they have waited for; 0 if there are
// none to be seen (proc(5)).
func engineCPU(proc string) (sum time.Duration) {
	const tick = time.Second / 100 // USER_HZ, on every architecture that Docker supports
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil { // the process has ended
			continue
		}
		_, rest, _ := strings.Cut(string(text), "(")
		name, rest, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(rest)
		if !slices.Contains([]string{"dockerd", "containerd", "containerd-shim", "docker-proxy"}, name) || len(fields) < 15 {
			continue
		}
		for _, field := range fields[11:15] { // user and system time, its own and its children's
			n, _ := strconv.ParseInt(field, 10, 64)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// Print writes a table.
func (i Idle) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tCPU, of one core\tmemory")
	var cpu float64
	var memory int64
	for _, name := range slices.Sorted(maps.Keys(i.CPU)) {
		cpu += i.CPU[name]
		memory += i.Memory[name]
		fmt.Fprintf(table, "%s\t%.2f%%\t%s\n", name, i.CPU[name], mebibytes(i.Memory[name]))
	}
	fmt.Fprintf(table, "together\t%.2f%%\t%s\n", cpu, mebibytes(memory))
	return table.Flush()
}

func mebibytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}

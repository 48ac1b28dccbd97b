package drill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/process"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/site"
	"oneserver/ctl/internal/stack"
)

// A meter watches what the parts of the stack use under load. It asks over connections that it opens beforehand: on a fully
// busy machine, a new command would not even start before the step is over.
type meter struct {
	readings []reading
	parts    docker.Meters

	mu       sync.Mutex
	samples  []sample
	watchers sync.WaitGroup // the goroutines that watch
}

// A reading records how much the machine had worked by the beginning or end of a step.
type reading struct {
	at        time.Time
	machine   float64 // processor seconds, of all processors together
	generator float64 // the share of this process in them
	parts     map[string]docker.Usage
}

// A sample is one observation of one part.
type sample struct {
	at    time.Time
	name  string  // the name of the detail
	of    string  // what was observed, such as a replica's address
	value float64 // if the name is poolWait, that of a counter, which only grows
}

// meter starts a meter that watches the containers running now, until ctx ends.
func (s *Stack) meter(ctx context.Context) (*meter, error) {
	all, err := s.Containers(ctx)
	if err != nil {
		return nil, err
	}
	m := &meter{parts: docker.Meters{}}
	var apps []string
	var db, web string
	for _, c := range all {
		if !c.Running() {
			continue
		}
		if err := m.parts.Add(ctx, s.CLI, c); err != nil {
			return nil, errors.Join(err, m.parts.Close())
		}
		switch c.Service() {
		case "app":
			for _, network := range c.NetworkSettings.Networks {
				apps = append(apps, network.IPAddress)
			}
		case "db":
			db = c.ID
		case "web":
			web = c.ID
		}
	}
	// These shells answer each line that they get, and end when their input does; any other program that docker exec starts
	// in a container would outlive docker exec.
	m.watchers.Go(func() {
		mysql := s.DatabaseIn(db)
		ask := mysql.Bash(ctx, `while read -r go; do `+mysql.Client()+`--batch --skip-column-names -e "SHOW GLOBAL STATUS LIKE 'Threads_running'"; done`)
		m.watch(ask, ctx.Done(), func(line string) {
			if name, text, _ := strings.Cut(line, "\t"); name == "Threads_running" {
				if n, err := strconv.ParseFloat(text, 64); err == nil {
					m.add(threads, db, n-1) // without the thread that asks
				}
			}
		})
	})
	for _, address := range apps {
		m.watchers.Go(func() {
			ask := s.Command(ctx, "exec", "--interactive", web, "sh", "-c",
				`while read -r go; do curl -fsS --max-time 2 http://`+address+`:9090/metrics | grep '^`+waitSeconds+`'; done`)
			m.watch(ask, ctx.Done(), func(line string) {
				if value, err := site.Metric(line, waitSeconds, ""); err == nil {
					m.add(poolWait, address, value)
				}
			})
		})
	}
	return m, nil
}

// watch runs a command until its context ends, sends it a line every second until end is closed, and passes on each line that
// it prints. What cannot be observed is missing from the details.
func (m *meter) watch(cmd *exec.Cmd, end <-chan struct{}, line func(string)) {
	cmd.Cancel = func() error { return cmd.Process.Kill() } // it changes nothing, and the rest of its output is not needed
	stdin, stdout, err := docker.StartPiped(cmd)
	if err != nil {
		return
	}
	go func() {
		defer stdin.Close()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			if _, err := io.WriteString(stdin, "go\n"); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line(lines.Text())
	}
	_ = cmd.Wait() // the error only says that the command was killed
}

func (m *meter) add(name, of string, value float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, sample{time.Now(), name, of, value})
}

// read records what the machine has done so far, when a step begins or the last one ends.
func (m *meter) read(ctx context.Context) error {
	at := time.Now() // on a busy machine the rest takes a while, and as long the next time
	busy, err := cpu.TimesWithContext(ctx, false)
	if err != nil {
		return err
	}
	own, err := process.NewProcessWithContext(ctx, int32(os.Getpid()))
	if err != nil {
		return err
	}
	times, err := own.TimesWithContext(ctx)
	if err != nil {
		return err
	}
	used, err := m.parts.Read()
	if err != nil {
		used = nil // the parts are missing from the details of this step
	}
	t := busy[0]
	m.readings = append(m.readings, reading{at, t.User + t.System + t.Nice + t.Irq + t.Softirq + t.Steal, times.User + times.System, used})
	return nil
}

// These names label a step's details. CPU use is in percent of one processor, but the machine's is in percent of all.
const (
	machineCPU   = "CPU of the machine"
	generatorCPU = "CPU of the generator"
	threads      = "MySQL threads running"
	poolWait     = "waiting for a connection" // of app's pool to the database: requests, on average
)

// details returns what was observed in each step, by name. The meter's context must have ended.
func (m *meter) details() []map[string]string {
	m.watchers.Wait()
	_ = m.parts.Close() // the error only says that the connections were ended
	var steps []map[string]string
	for i := 1; i < len(m.readings); i++ {
		steps = append(steps, detail(m.readings[i-1], m.readings[i], m.samples))
	}
	return steps
}

func detail(from, to reading, samples []sample) map[string]string {
	seconds := to.at.Sub(from.at).Seconds()
	percent := func(value float64) string { return fmt.Sprintf("%.0f%%", value) }
	shown := map[string]string{
		machineCPU:   percent(100 * (to.machine - from.machine) / seconds / float64(runtime.NumCPU())),
		generatorCPU: percent(100 * (to.generator - from.generator) / seconds),
	}
	for service, used := range to.parts {
		before, seen := from.parts[service]
		if worked := used.CPU - before.CPU; seen && worked >= 0 { // it begins at zero again if it was restarted
			shown["CPU of "+service] = percent(100 * worked.Seconds() / seconds)
		}
	}
	type source struct{ name, of string }
	seen := map[source][]sample{}
	for _, s := range samples {
		if !s.at.Before(from.at) && s.at.Before(to.at) {
			seen[source{s.name, s.of}] = append(seen[source{s.name, s.of}], s)
		}
	}
	sums := map[string]float64{} // the sums over all replicas
	for source, list := range seen {
		first, last := list[0], list[len(list)-1]
		if source.name == poolWait {
			if len(list) > 1 {
				sums[poolWait] += (last.value - first.value) / last.at.Sub(first.at).Seconds()
			}
			continue
		}
		sum := 0.0
		for _, s := range list {
			sum += s.value
		}
		sums[source.name] += sum / float64(len(list))
	}
	for name, sum := range sums {
		shown[name] = fmt.Sprintf("%.1f", sum)
	}
	return shown
}

// waitSeconds is the metric that counts how long requests have waited for a connection to the database.
const waitSeconds = "go_sql_wait_duration_seconds_total"

// bottleneck names the resource that was used up, as far as a step's details show it.
func bottleneck(detail map[string]string) string {
	value := func(name string) float64 {
		text := strings.TrimSuffix(detail[name], "%")
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0 // this detail was not observed
		}
		return number
	}
	most, share := "", 0.0
	for _, service := range stack.Services {
		if used := value("CPU of " + service); used > share {
			most, share = service, used
		}
	}
	switch {
	case most == "":
		return "What was used up was not seen."
	case value(machineCPU) >= 85:
		return fmt.Sprintf("The machine's processors were used up (%.0f%% of them all); %s took most, %.0f%% of one.", value(machineCPU), most, share)
	case value(poolWait) >= 1:
		return fmt.Sprintf("The application's connections to the database were used up: %.1f requests waited for one at any time.", value(poolWait))
	case share >= 85 && share < 115:
		return fmt.Sprintf("%s used one processor whole and the machine had others free: it works one at a time.", most)
	}
	return fmt.Sprintf("No processor was used up (%.0f%% of them all): requests waited for something else, such as the disk or a lock; MySQL had %s statements under way.", value(machineCPU), detail[threads])
}

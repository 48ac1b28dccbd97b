package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"

	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/images"
)

const (
	megabyte = 1000 * 1000
	// diskToBuild is the disk space for all images, the layers and caches from building them, and the data.
	diskToBuild = 3000 * megabyte
	// diskToRun is the disk space for a new data directory with its logs, once all images exist.
	diskToRun = 500 * megabyte
)

func checkMemory(_ context.Context, f *facts) ([]Finding, error) {
	info, err := f.engine()
	if err != nil {
		return nil, err
	}
	project, err := f.project()
	if err != nil {
		return nil, err
	}
	var limits int64
	for _, service := range project.Services {
		if service.Restart != "no" { // a one-shot has ended when the others run
			limits += service.MemLimit
		}
	}
	says := fmt.Sprintf("Docker has %d MB, the services' limits add up to %d MB", info.MemTotal/megabyte, limits/megabyte)
	if info.MemTotal < uint64(limits) {
		do := "close other programs, or expect the kernel to end the largest process under load"
		if info.inVM() {
			do = "give Docker Desktop more memory: Settings, Resources"
		}
		return []Finding{{Warning, "memory", says, do}}, nil
	}
	return []Finding{{OK, "memory", says, ""}}, nil
}

// checkRoom asks the running database how much space its disk has. That may not be the engine's disk, and may be on another
// machine.
func checkRoom(ctx context.Context, f *facts) ([]Finding, error) {
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	reserve, err := strconv.ParseUint(settings["DISK_RESERVE"], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: needs valid settings", errUnknown)
	}
	containers, err := f.containers()
	if err != nil {
		return nil, err
	}
	for _, container := range containers {
		if container.Project() != f.projectName() || container.Service() != "db" {
			continue
		}
		out, err := f.stack.Output(ctx, "exec", container.ID, "stat", "--file-system", "--format=%a %S", "/var/lib/mysql")
		if err != nil {
			return nil, err
		}
		var blocks, size uint64
		if _, err := fmt.Sscan(out, &blocks, &size); err != nil {
			return nil, fmt.Errorf("stat in %s says %q: %w", container.Title(), out, err)
		}
		return []Finding{judgeRoom(blocks*size/megabyte, reserve)}, nil
	}
	return []Finding{{OK, "room", "db is not running, so nothing is written", ""}}, nil
}

// judgeRoom compares the free space on the database's disk with the reserve, both in megabytes.
func judgeRoom(free, reserve uint64) Finding {
	says := fmt.Sprintf("the database's disk has %d MB free", free)
	switch {
	case free < reserve:
		return Finding{Warning, "room", fmt.Sprintf("%s, less than DISK_RESERVE=%d: new entries are refused until there is more", says, reserve),
			"make room on it, or give it a larger disk; docker system df shows what Docker itself holds"}
	case free < 2*reserve:
		return Finding{Warning, "room", fmt.Sprintf("%s; below %d MB (DISK_RESERVE) new entries are refused", says, reserve),
			"make room on it while there is time; docker system df shows what Docker itself holds"}
	}
	return Finding{OK, "room", says, ""}
}

func checkDisk(ctx context.Context, f *facts) ([]Finding, error) {
	info, err := f.engine()
	if err != nil {
		return nil, err
	}
	local, err := f.local()
	if err != nil {
		return nil, err
	}
	if !local || info.inVM() {
		return []Finding{{Note, "disk", "not checked: Docker's data is not on a disk of this machine", ""}}, nil
	}
	usage, err := disk.UsageWithContext(ctx, info.DockerRootDir)
	if err != nil {
		return nil, err
	}
	need := uint64(diskToBuild)
	if missing, err := missingImages(f); err == nil && len(missing) == 0 {
		need = diskToRun
	}
	says := fmt.Sprintf("%d MB free in %s, about %d MB needed", usage.Free/megabyte, info.DockerRootDir, need/megabyte)
	if usage.Free < need {
		return []Finding{{Error, "disk", says, "make room; docker system df shows what Docker itself holds, docker image prune removes images without a name"}}, nil
	}
	return []Finding{{OK, "disk", says, ""}}, nil
}

// missingImages returns the images of the stack that the engine does not have, in order.
func missingImages(f *facts) ([]string, error) {
	here, err := f.images()
	if err != nil {
		return nil, err
	}
	project, err := f.project()
	if err != nil {
		return nil, err
	}
	return docker.Absent(here, project.Images()), nil
}

// machines maps the names that docker info uses for architectures (uname -m) to those that images use (GOARCH).
var machines = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}

func checkImages(ctx context.Context, f *facts) ([]Finding, error) {
	here, err := f.images()
	if err != nil {
		return nil, err
	}
	info, err := f.engine()
	if err != nil {
		return nil, err
	}
	machine := info.Architecture
	if goarch, known := machines[machine]; known {
		machine = goarch
	}
	var findings []Finding
	for _, name := range slices.Sorted(maps.Keys(here)) {
		if made := here[name].Architecture; made != machine {
			findings = append(findings, Finding{Error, "images", fmt.Sprintf("%s is made for %s, and the engine is %s", name, made, machine),
				fmt.Sprintf("docker image rm %s, then make up gets the right one; or make load with a bundle written on an %s machine", name, machine)})
		}
	}
	if len(findings) > 0 {
		return findings, nil
	}
	missing, err := missingImages(f)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return []Finding{{Note, "images", "not here: " + strings.Join(missing, ", "), "nothing: make up pulls or builds them"}}, nil
	}
	uses, err := images.Uses(ctx, f.stack)
	if err != nil {
		return nil, err
	}
	if err := images.Exchanged(uses); err != nil {
		says, do, _ := strings.Cut(err.Error(), "\n")
		return []Finding{{Warning, "images", says, do}}, nil
	}
	return []Finding{{OK, "images", "all here, made for " + machine + "; " + images.Describe(uses), ""}}, nil
}

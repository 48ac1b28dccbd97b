package history

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"
)

// Machine describes in one line the machine of a run: processors, memory and system. It leaves out what the system hides.
func Machine(ctx context.Context) string {
	processors := fmt.Sprintf("%d processors", runtime.NumCPU())
	if info, err := cpu.InfoWithContext(ctx); err == nil && len(info) > 0 && info[0].ModelName != "" {
		processors += " (" + strings.Join(strings.Fields(info[0].ModelName), " ") + ")"
	}
	parts := []string{processors}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		parts = append(parts, fmt.Sprintf("%.0f GiB of memory", float64(memory.Total)/(1<<30)))
	}
	system := runtime.GOOS + "/" + runtime.GOARCH
	if info, err := host.InfoWithContext(ctx); err == nil {
		system = fmt.Sprintf("%s %s, kernel %s", info.Platform, info.PlatformVersion, info.KernelVersion)
	}
	return strings.Join(append(parts, system), ", ")
}

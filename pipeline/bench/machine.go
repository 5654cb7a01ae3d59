package bench

import (
	"os"
	"runtime"
	"strings"
	"time"

	"onsite/pipeline"
)

// Machine says where and with what a run was made.
type Machine struct {
	Date        time.Time `json:"date"`
	CPU         string    `json:"cpu"`
	Cores       int       `json:"cores"`
	MemoryBytes int64     `json:"memory_bytes"`
	Kernel      string    `json:"kernel"`
	Onsite      string    `json:"onsite"`
	Go          string    `json:"go"`
	ONNXRuntime string    `json:"onnxruntime"`
	OpenCV      string    `json:"opencv"`
	Libav       string    `json:"libav"`
}

func machine(v pipeline.Verdict) Machine {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // empty where there is none
	m := Machine{
		Date: time.Now().UTC().Truncate(time.Second), CPU: v.Runtime.CPU, Cores: runtime.GOMAXPROCS(0), Kernel: strings.TrimSpace(string(kernel)),
		Onsite: v.Onsite, Go: runtime.Version(), ONNXRuntime: v.Runtime.ONNXRuntime, OpenCV: v.Runtime.OpenCV, Libav: v.Runtime.Libav,
	}
	m.MemoryBytes = totalMemory()
	return m
}
